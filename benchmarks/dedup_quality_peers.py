"""What other tools make of a file of documents: run by dedup_quality.py, each in an interpreter that has it.

    python benchmarks/dedup_quality_peers.py datatrove IN.parquet OUT.json

IN has `id` (the number of the row) and `text`. OUT is told the seconds, and for each removed document the one that
stays for it by what the tool itself says. All with shingles of 5 words, 14 bands of 8 hashes, threshold .75 where one
can be said; one process. Every tool shingles and hashes in its own way; datasketch and rensa do not shingle, so for
them a shingle is 5 parts of the lower-cased text between what is neither letter, digit nor underscore.
"""

import argparse
import json
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

LENGTH, BANDS, ROWS, THRESHOLD = 5, 14, 8, 0.75
_NO_WORD = re.compile(r"\W+")


def shingles(text: str) -> list[bytes]:
    words = [word for word in _NO_WORD.split(text.lower()) if word]
    return list({" ".join(words[i : i + LENGTH]).encode() for i in range(len(words) - LENGTH + 1)})


def documents(path: Path) -> Iterator[tuple[int, str]]:
    table = import_module("pyarrow.parquet").read_table(path)
    yield from zip(map(int, table["id"].to_pylist()), table["text"].to_pylist(), strict=True)


def datatrove(path: Path, folder: Path) -> dict[int, int]:
    """Its four stages as its example has them; the one of a cluster that it forwards stays for all the others."""
    executor = import_module("datatrove.executor.local").LocalPipelineExecutor
    minhash = import_module("datatrove.pipeline.dedup.minhash")
    reader = import_module("datatrove.pipeline.readers").ParquetReader
    writer = import_module("datatrove.pipeline.writers.parquet").ParquetWriter
    config = minhash.MinhashConfig(n_grams=LENGTH, num_buckets=BANDS, hashes_per_bucket=ROWS)
    signatures, buckets, clusters, kept, gone = (str(folder / name) for name in ("1", "2", "3", "kept", "gone"))

    def read() -> object:
        return reader(str(path.parent), glob_pattern=path.name)

    stages: list[tuple[int, list[object]]] = [
        (1, [read(), minhash.MinhashDedupSignature(output_folder=signatures, config=config)]),
        (BANDS, [minhash.MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config)]),
        (
            1,
            [
                minhash.MinhashDedupCluster(
                    input_folder=buckets, output_folder=clusters, config=config, save_cluster_id=True
                )
            ],
        ),
        (
            1,
            [
                read(),
                minhash.MinhashDedupFilter(
                    input_folder=clusters,
                    load_cluster_ids=True,
                    exclusion_writer=writer(gone),
                ),
                writer(kept),
            ],
        ),
    ]
    for number, (tasks, pipeline) in enumerate(stages):
        executor(pipeline, tasks=tasks, workers=1, logging_dir=str(folder / f"log{number}")).run()

    def rows(where: str) -> list[tuple[int, int]]:
        found = import_module("pyarrow.parquet").read_table(where).to_pylist()
        return [(int(row["id"]), row["metadata"]["minhash_cluster_id"]) for row in found]

    keeper = {cluster: row for row, cluster in rows(kept)}
    return {row: keeper[cluster] for row, cluster in rows(gone)}


def text_dedup(path: Path, folder: Path) -> dict[int, int]:
    """Its command line. The root of its union-find is the one of a cluster that stays."""
    out = folder / "out"
    given = {"path": "parquet", "data_files": path, "split": "train", "cache_dir": folder / "cache", "output": out}
    given |= {"column": "text", "ngram": LENGTH, "num_perm": BANDS * ROWS, "b": BANDS, "r": ROWS, "num_proc": 1}
    given |= {"threshold": THRESHOLD, "min_length": LENGTH}
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    subprocess.run([sys.executable, "-m", "text_dedup.minhash", "--debug", *words], check=True)
    parents = pickle.loads((out / "uf.pkl").read_bytes())  # written a moment ago by the tool itself
    parents = getattr(parents, "parent", parents)

    def root(row: int) -> int:
        while parents[row] != row:
            row = parents[row]
        return row

    kept = {int(row) for row in import_module("datasets").load_from_disk(str(out))["id"]}
    everyone = {row for row, _ in documents(path)}
    return {row: root(row) for row in everyone - kept}


def datasketch(path: Path, folder: Path) -> dict[int, int]:
    """Its LSH index, one document after another: a new one that finds another in the index is removed for it."""
    module = import_module("datasketch")
    index = module.MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    removed: dict[int, int] = {}
    for row, text in documents(path):
        one = module.MinHash(num_perm=BANDS * ROWS, seed=1)
        one.update_batch(shingles(text))
        if found := index.query(one):
            removed[row] = min(found)
        else:
            index.insert(row, one)
    return removed


def rensa(path: Path, folder: Path) -> dict[int, int]:
    """Its deduplicator, which compares what its LSH finds by the share of equal hashes with the threshold."""
    module = import_module("rensa")
    seen = module.RMinHashDeduplicator(threshold=THRESHOLD, num_perm=BANDS * ROWS, use_lsh=True, num_bands=BANDS)
    removed: dict[int, int] = {}
    for row, text in documents(path):
        one = module.RMinHash(num_perm=BANDS * ROWS, seed=42)
        one.update(shingles(text))
        if not seen.add(str(row), one):
            removed[row] = min(int(other) for other in seen.get_duplicates(one))
    return removed


PEERS = {"datatrove": datatrove, "text-dedup": text_dedup, "datasketch": datasketch, "rensa": rensa}


def main(name: str, path: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        removed = PEERS[name](path, Path(folder))
        seconds = time.perf_counter() - begin
    told = {"version": version(name), "seconds": seconds, "removed": sorted(removed.items())}
    out.write_text(json.dumps(told))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("documents", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    main(given.peer, given.documents, given.out)
