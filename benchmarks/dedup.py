"""How fast duplicates are found, on one core: hashing, shingling, signatures, the walk; beside other libraries.

    python benchmarks/dedup.py [FILE ...]       one text per line, or a Parquet file with a column `text`

Without files: 2,000 Python sources of the standard library. The process pins itself to one core where the system
lets it, and counts its own CPU seconds, so that a busy neighbour shows less. Each figure is the best of three, after
a first call that compiles. Libraries get 1 MB of the same text, with their usual Python shingling
(`text.lower().split()`, joined 5 by 5), which is part of what their users wait for.
"""

import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from tokenmill.kernels.greedy_keepers import greedy_keepers
from tokenmill.kernels.hashing import data_and_offsets, hash64, hash128
from tokenmill.kernels.minhash import signatures
from tokenmill.kernels.minhash_shingles import new_state, next_shingles
from tokenmill.kernels.unicode_classes import CLASSES, LOWER

HASHES, WORDS = 112, 5


def texts_of(paths: list[str]) -> list[str]:
    if not paths:
        return [p.read_text(errors="replace") for p in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))[:2000]]
    texts: list[str] = []
    for path in paths:
        if path.endswith(".parquet"):
            texts += (text for text in pq.read_table(path, columns=["text"])["text"].to_pylist() if text)
        else:
            texts += Path(path).read_text(errors="replace").splitlines()
    return texts


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best


@njit(cache=True, nogil=True)
def _shingling_alone(data: Any, offsets: Any, classes: Any, lower: Any, state: Any, out: Any) -> Any:
    total = 0
    for i in range(len(offsets) - 1):
        at, stop = offsets[i], offsets[i + 1]
        state[1] = 0
        while at < stop:
            n, at = next_shingles(data, at, stop, classes, lower, state, out)
            total += n
    return total


def shingling_alone(array: pa.LargeStringArray) -> None:
    data, offsets = data_and_offsets(array)
    _shingling_alone(data, offsets, CLASSES, LOWER, new_state(WORDS), np.empty(2048, np.uint64))


def ours(texts: list[str]) -> Iterable[tuple[str, str]]:
    array = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    works: dict[str, Callable[[], object]] = {
        "exact: hash64": lambda: hash64(array, "text"),
        "exact: hash128": lambda: hash128(array, "text"),
        "shingling alone, the limit": lambda: shingling_alone(array),
        f"signatures, {HASHES} hashes": lambda: signatures(array, HASHES, WORDS, 1),
    }
    for name, work in works.items():
        work()
        yield name, f"{megabytes / seconds(work):,.0f} MB/s"


def python_shingles(text: str) -> set[bytes]:
    words = text.lower().split()
    return {" ".join(words[i : i + WORDS]).encode() for i in range(len(words) - WORDS + 1)}


def datasketch(texts: list[str]) -> None:
    minhash = import_module("datasketch").MinHash
    for text in texts:
        minhash(num_perm=HASHES, seed=1).update_batch(python_shingles(text))


def rensa(texts: list[str]) -> None:
    minhash = import_module("rensa").RMinHash
    for text in texts:
        one = minhash(num_perm=HASHES, seed=1)
        one.update([shingle.decode() for shingle in python_shingles(text)])
        one.digest()


def others(texts: list[str]) -> Iterable[tuple[str, str]]:
    some, size = [], 0
    for text in texts:
        if size < 1_000_000:
            some.append(text)
            size += len(text.encode())
    for name, work in (("datasketch", datasketch), ("rensa", rensa)):
        try:
            import_module(name)
        except ImportError:
            yield name, f"not installed; pip install {name}"
            continue
        yield f"{name}, with Python shingling", f"{size / 1e6 / seconds(partial(work, some)):,.1f} MB/s"


def walk(documents: int) -> tuple[str, str]:
    """Random signatures, a tenth of them copies of another with each place changed with odds of 10%."""
    rng = np.random.default_rng(1)
    places = rng.integers(0, 1 << 32, (documents, HASHES), np.uint32)
    copies = rng.choice(documents, documents // 10, replace=False)
    for part in np.array_split(copies, 100):
        keep = rng.random((len(part), HASHES)) < 0.9
        places[part] = np.where(keep, places[rng.integers(0, documents, len(part))], places[part])
    order = rng.permutation(documents)
    greedy_keepers(places[:100], np.arange(100), 14, 84, 10_000)
    begin = time.process_time()
    found = greedy_keepers(places, order, 14, 84, 10_000)
    taken = time.process_time() - begin
    removed = int((found.keeper >= 0).sum())
    return f"walk over {documents:,}, {removed:,} removed", f"{documents / taken:,.0f} documents/s"


def main(paths: list[str]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    texts = texts_of(paths)
    print(f"{len(texts):,} texts, {sum(len(text.encode()) for text in texts) / 1e6:,.1f} MB")
    for rows in (ours(texts), others(texts), [walk(1_000_000)]):
        for name, figure in rows:
            print(f"{name:45} {figure}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
