"""How fast MinHash signatures are, on one core, beside those who also make them, and what each of them finds.

    python benchmarks/dedup.py [--megabytes 2] [FILE | FOLDER ...]

A file has one text per line (.txt), JSON objects with `text` (.jsonl, .json, also .gz) or a Parquet column `text`.
Without any: the Python sources of the standard library. The process pins itself to one core where the system lets it,
and counts its own CPU seconds, so that a busy neighbour shows less. Everybody gets the same documents, evenly chosen
up to so many megabytes, in turns, and the best of three rounds counts, after a first one that compiles and warms.

Others are used as their users use them, Python included: datatrove's step on its Documents, writing its files;
datasketch and rensa on sets of `text.lower().split()`, joined 5 by 5, or of its 24-character pieces joined by spaces.
Recall is theirs too: a copy of each document with words exchanged for others, pairs of a true Jaccard (ours, exact)
of .8 or more, and how many of those share a band by the signatures of each.
"""

import argparse
import gzip
import json
import os
import random
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.kernels.hashing import hash64, hash128
from tokenmill.kernels.minhash import Unit, signatures
from tokenmill.kernels.shingle_sets import shingle_sets

PRESETS: list[tuple[Unit, int, int, int]] = [  # unit, length, bands, rows of a band
    ("words", 5, 14, 8),  # FineWeb, arXiv:2406.17557
    ("characters", 24, 20, 13),
]
SUFFIXES = (".txt", ".jsonl", ".jsonl.gz", ".json.gz", ".parquet")
Places = npt.NDArray[np.unsignedinteger[Any]]
Signer = Callable[[list[str]], Places]


def files_in(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))


def texts_in(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        if "text" in pq.read_schema(path).names:
            yield from pq.read_table(path, columns=["text"])["text"].to_pylist()
        return
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", errors="replace") as lines:
        for line in lines:
            yield line.rstrip("\n") if path.suffix == ".txt" else json.loads(line).get("text")


def texts_of(paths: list[Path], megabytes: float) -> list[str]:
    if paths:
        texts = [text for path in paths for file in files_in(path) for text in texts_in(file) if text]
    else:
        texts = [p.read_text(errors="replace") for p in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))]
    random.Random(1).shuffle(texts)
    some, room = [], megabytes * 1e6
    for text in texts:
        if len(text.encode()) <= room:
            some.append(text)
            room -= len(text.encode())
    return some


def best_seconds(works: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """In turns, so that a noisy minute is everybody's."""
    best = dict.fromkeys(works, float("inf"))
    for number in range(rounds + 1):
        for name, work in works.items():
            begin = time.process_time()
            work()
            if number:
                best[name] = min(best[name], time.process_time() - begin)
    return best


def python_shingles(unit: Unit, length: int, text: str) -> set[str]:
    words = text.lower().split()
    if unit == "words":
        return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}
    folded = " ".join(words)
    return {folded[i : i + length] for i in range(len(folded) - length + 1)}


def ours(unit: Unit, length: int, hashes: int, texts: list[str]) -> Places:
    return signatures(pa.array(texts, pa.large_string()), hashes, length, 1, unit)[0]


def datasketch(unit: Unit, length: int, hashes: int, texts: list[str]) -> Places:
    minhash = import_module("datasketch").MinHash
    found = []
    for text in texts:
        one = minhash(num_perm=hashes, seed=1)
        one.update_batch([shingle.encode() for shingle in python_shingles(unit, length, text)])
        found.append(one.hashvalues)
    return np.array(found)


def rensa(unit: Unit, length: int, hashes: int, texts: list[str]) -> Places:
    minhash = import_module("rensa").RMinHash
    found = []
    for text in texts:
        one = minhash(num_perm=hashes, seed=1)
        one.update(list(python_shingles(unit, length, text)))
        found.append(one.digest())
    return np.array(found, np.uint32)


class Datatrove:
    def __init__(self, length: int, bands: int, rows: int) -> None:
        self.bands, self.rows = bands, rows
        module = import_module("datatrove.pipeline.dedup.minhash")
        self.config = module.MinhashConfig(n_grams=length, num_buckets=bands, hashes_per_bucket=rows)
        self.step_of, self.document = module.MinhashDedupSignature, import_module("datatrove.data").Document
        import_module("loguru").logger.remove()

    def run(self, texts: list[str], folder: str) -> None:
        documents = (self.document(text=text, id=str(i)) for i, text in enumerate(texts))
        self.step_of(output_folder=folder, config=self.config).run(documents, rank=0, world_size=1)

    def timed(self, texts: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.run(texts, folder)

    def places(self, texts: list[str]) -> Places:
        """Out of the files that the step wrote: so many hashes of 64 bits, then the document's number."""
        record = np.dtype([("hashes", "<u8", self.rows), ("document", "<u4")])
        found = np.arange(len(texts) * self.bands * self.rows, dtype=np.uint64).reshape(len(texts), self.bands, -1)
        with tempfile.TemporaryDirectory() as folder:
            self.run(texts, folder)
            for band in range(self.bands):
                rows = np.fromfile(Path(folder, f"bucket_{band:03d}", "00000.minhash.sig"), record)
                found[rows["document"], band] = rows["hashes"]
        return found.reshape(len(texts), -1)


def planted(texts: list[str], at_most: int) -> list[str]:
    """Documents and their copies by turns: in a copy up to 4% of the words are others of the same text."""
    rng = random.Random(2)
    pairs = []
    for text in [text for text in texts if 60 <= len(text.split()) <= 5000][:at_most]:
        words = text.split(" ")
        share = rng.uniform(0.002, 0.04)
        pairs += [text, " ".join(rng.choice(words) if rng.random() < share else word for word in words)]
    return pairs


def true_jaccard(unit: Unit, length: int, pairs: list[str]) -> npt.NDArray[np.float64]:
    values, offsets = shingle_sets(pa.array(pairs, pa.large_string()), length, unit)
    sets = [values[start:stop] for start, stop in pairwise(offsets.tolist())]
    return np.array(
        [
            len(np.intersect1d(one, two, assume_unique=True)) / max(len(np.union1d(one, two)), 1)
            for one, two in zip(sets[::2], sets[1::2], strict=True)
        ]
    )


def share_found(places: Places, bands: int, alike: npt.NDArray[np.bool_]) -> float:
    equal = (places[::2] == places[1::2]).reshape(len(alike), bands, -1)
    return float(equal.all(axis=2).any(axis=1)[alike].mean())


def compare(texts: list[str], unit: Unit, length: int, bands: int, rows: int) -> Iterator[str]:
    hashes = bands * rows
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    array = pa.array(texts, pa.large_string())
    works: dict[str, Callable[[], object]] = {"ours": lambda: signatures(array, hashes, length, 1, unit)}
    signers: dict[str, Signer] = {"ours": partial(ours, unit, length, hashes)}
    if unit == "words" and find_spec("datatrove"):
        step = Datatrove(length, bands, rows)
        works["datatrove, MinhashDedupSignature"] = lambda: step.timed(texts)
        signers["datatrove, MinhashDedupSignature"] = step.places
    for name, signer in (("datasketch", datasketch), ("rensa", rensa)):
        if find_spec(name):
            signers[f"{name}, Python shingling"] = partial(signer, unit, length, hashes)
            works[f"{name}, Python shingling"] = partial(signers[f"{name}, Python shingling"], texts)
    taken = best_seconds(works)
    pairs = planted(texts, 500)
    truth = true_jaccard(unit, length, pairs)
    alike = truth >= 0.8
    expected = (1 - (1 - truth[alike] ** rows) ** bands).mean()
    yield f"{unit}, {length} to a shingle, {bands} bands of {rows} hashes"
    yield f"{'':36} {'MB/s':>8} {'ours is':>9} {'found of ' + str(alike.sum()):>13} (formula {expected:.1%})"
    for name in works:
        found = share_found(signers[name](pairs), bands, alike)
        yield f"  {name:34} {megabytes / taken[name]:8.2f} {taken[name] / taken['ours']:8.1f}x {found:13.1%}"


def alone(texts: list[str]) -> Iterator[str]:
    array = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    works: dict[str, Callable[[], object]] = {
        "hash64": lambda: hash64(array, "text"),
        "hash128": lambda: hash128(array, "text"),
        "signatures, 5 words, 1 hash": lambda: signatures(array, 1, 5, 1),
        "signatures, 24 characters, 1 hash": lambda: signatures(array, 1, 24, 1, "characters"),
        "signatures, 24 characters, 286 hashes": lambda: signatures(array, 286, 24, 1, "characters"),
        "sets of 5 words": lambda: shingle_sets(array, 5),
        "sets of 24 characters": lambda: shingle_sets(array, 24, "characters"),
    }
    for name, taken in best_seconds(works).items():
        yield f"  {name:34} {megabytes / taken:8.0f} MB/s"


def main(paths: Iterable[Path], megabytes: float) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    texts = texts_of(list(paths), megabytes)
    print(f"{len(texts):,} documents, {sum(len(text.encode()) for text in texts) / 1e6:.2f} MB")
    for line in alone(texts):
        print(line, flush=True)
    for preset in PRESETS:
        for line in compare(texts, *preset):
            print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--megabytes", type=float, default=2)
    given = parser.parse_args()
    main(given.paths, given.megabytes)
