"""Near-duplicates of millions of documents on this machine: time, memory and disk by rows, and what they fit to.

    python benchmarks/fuzzy_scale.py [--rows 1000000,3000000,10000000] [--workers 2] [--out FOLDER]

Runs the real engine with the real rounds of fuzzy_dedup. What is made up are the documents: instead of a text each has
64 shingles, drawn from its number, so that nothing but bands, components and verification is measured. One document
in ten is a copy of another with 0 to 40% of its shingles replaced. Because everything is known, it is also checked:
every verdict against the exact similarity to its keeper, and how many of the planted pairs were found.
"""

import argparse
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from tokenmill.core.barrier import ADDRESS, Round
from tokenmill.core.document import RECORD
from tokenmill.core.recipe import Recipe
from tokenmill.core.source import Chunk, File, Open, Source, Split
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.fuzzy_bands import Bands
from tokenmill.dedup.fuzzy_shingles import Shingles
from tokenmill.dedup.fuzzy_signatures import Signatures
from tokenmill.dedup.preference import who_is
from tokenmill.engines import local
from tokenmill.engines.plan import make_plan
from tokenmill.kernels.minhash import coefficients
from tokenmill.manifests.remote_stream import open_uri

SHINGLES = 64
SHARD_ROWS = 500_000
BATCH_ROWS = 20_000
REPLACED = (0.0, 0.05, 0.1, 0.2, 0.4)  # share of a copy's shingles
Numbers = npt.NDArray[np.uint64]


@njit(cache=True)
def _mixed(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True)
def _documents(rows: Any, share_by_kind: Any, shingles: Any) -> None:
    """The shingles of each document by its number."""
    for i in range(len(rows)):
        row = np.int64(rows[i])
        base, share = row, 0.0
        if row % 10 == 9:  # a copy of an earlier or later document that is none
            base = np.int64(_mixed(np.uint64(row)) % np.uint64(row + 1))
            base -= np.int64(base % 10 == 9)
            share = share_by_kind[(row // 10) % len(share_by_kind)]
        for j in range(shingles.shape[1]):
            own = _mixed(np.uint64(row * 1000 + 500 + j))
            taken = float(own >> np.uint64(11)) * 2.0**-53 < share
            shingles[i, j] = own if taken else _mixed(np.uint64(base * 1000 + j) ^ np.uint64(0x5555555555555555))


@njit(cache=True)
def _signatures(shingles: Any, a: Any, b: Any, signatures: Any) -> None:
    for i in range(len(shingles)):
        for k in range(len(a)):
            smallest = np.uint32(0xFFFFFFFF)
            for j in range(shingles.shape[1]):
                smallest = min(smallest, np.uint32(a[k] * np.uint32(shingles[i, j]) + b[k]))
            signatures[i, k] = smallest


def shingles_of(rows: npt.NDArray[np.int64]) -> Numbers:
    """uint64[n, SHINGLES], unsorted."""
    shingles = np.empty((len(rows), SHINGLES), np.uint64)
    _documents(rows, np.array(REPLACED), shingles)
    return shingles


def base_of(row: int) -> int:
    """The document that `row`, a copy, was made from."""
    x = row
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % (1 << 64)
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % (1 << 64)
    base = (x ^ (x >> 31)) % (row + 1)
    return base - (base % 10 == 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUp(Source):
    """`rows` documents whose text is their number."""

    rows: int

    def splits(self, open: Open) -> list[Split]:
        file = File(name="made-up", uri="made-up", size=self.rows)
        starts = range(0, self.rows, SHARD_ROWS)
        return [
            Split(file=file, start=start, stop=min(start + SHARD_ROWS, self.rows), bytes=SHARD_ROWS) for start in starts
        ]

    def read(self, split: Split, open: Open, batch_bytes: int) -> Iterator[Chunk]:
        for start in range(split.start, split.stop, BATCH_ROWS):
            numbers = np.arange(start, min(start + BATCH_ROWS, split.stop))
            texts = pa.array(numbers).cast(pa.string())
            columns = {
                "id": pc_padded(texts),
                "text": texts.cast(pa.large_string()),
                "source": pa.repeat(self.name, len(numbers)),
            }
            given = [columns.get(f.name, pa.nulls(len(numbers), f.type)) for f in RECORD]
            yield Chunk(records=pa.RecordBatch.from_arrays(given, schema=RECORD), position=int(numbers[-1]))


def pc_padded(texts: pa.StringArray) -> pa.StringArray:
    return pa.compute.utf8_lpad(texts, 32, "0")


class MadeUpShingles(Shingles):
    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        assert told is not None and documents is not None
        rows = documents["text"].cast(pa.int64()).to_numpy()
        halves = np.sort((shingles_of(rows) >> np.uint64(32)).astype(np.uint32), axis=1)
        offsets = pa.array(np.arange(0, halves.size + 1, SHINGLES))
        shingles = pa.LargeListArray.from_arrays(offsets, pa.array(halves.ravel()))
        given = {"key": told["key"], "stays": told["stays"], "unverified": told["unverified"], "shingles": shingles}
        schema = pa.schema([*self.emits, *ADDRESS])
        return pa.record_batch([given[n] if n in given else kept[n] for n in schema.names], schema=schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpFuzzy(FuzzyDedup):
    name: ClassVar[str] = "fuzzy_dedup"

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        signatures = np.empty((batch.num_rows, self.hashes), np.uint32)
        shingles = shingles_of(batch["text"].cast(pa.int64()).to_numpy())
        _signatures(shingles, *coefficients(self.hashes, self.seed), signatures)
        packed = pa.Array.from_buffers(pa.binary(4 * self.hashes), batch.num_rows, [None, pa.py_buffer(signatures)])
        return pa.record_batch([*who_is(batch, self.prefer, self.name), packed], schema=self.keeps)

    @property
    def rounds(self) -> tuple[Round, ...]:
        rule, keeps = self.rule, self.keeps
        return (Bands(self.bands, self.hashes), Signatures(rule, keeps), MadeUpShingles(rule, keeps, self))


class Quiet:
    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None: ...

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None: ...


class Peaks(threading.Thread):
    """The most that a folder held, and that this process and its workers held together, looked at ten times a second.

    `anonymous` is what they allocated; `resident` has pages of mapped files too, which the system takes back at will.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.done = folder, threading.Event()
        self.disk_bytes = self.anonymous_bytes = self.resident_bytes = 0

    def run(self) -> None:
        ticks = 0
        while not self.done.wait(0.1):
            held = [_memory(pid) for pid in (os.getpid(), *_children(os.getpid()))]
            self.anonymous_bytes = max(self.anonymous_bytes, sum(anonymous for anonymous, _ in held))
            self.resident_bytes = max(self.resident_bytes, sum(resident for _, resident in held))
            ticks += 1
            if ticks % 10 == 0:
                self.disk_bytes = max(self.disk_bytes, _bytes_in(self.folder))


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(f"{place}/{name}").st_size
            except OSError:  # renamed meanwhile
                continue
    return total


def _children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def _memory(pid: int) -> tuple[int, int]:
    """(anonymous, resident) bytes; zeros of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {
        line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "VmRSS"))
    }
    return values.get("RssAnon", 0), values.get("VmRSS", 0)


def jaccard(a: int, b: int) -> float:
    one, two = (set(row.tolist()) for row in shingles_of(np.array([a, b])))
    return len(one & two) / len(one | two)


def checked(out: Path, rows: int, step: FuzzyDedup) -> str:
    """Every thousandth verdict against the exact similarity; planted pairs found, by their similarity."""
    removed: dict[int, tuple[int, float]] = {}
    for path in sorted((out / "ledger").iterdir()):
        table = pq.read_table(path, columns=["fate", "id", "keeper", "similarity"])
        table = table.filter(pa.compute.equal(table["fate"], "duplicate"))
        ids, keepers = (table[c].cast(pa.int64()).to_pylist() for c in ("id", "keeper"))
        removed |= dict(zip(ids, zip(keepers, table["similarity"].to_pylist(), strict=True), strict=True))
    false = sum(jaccard(row, removed[row][0]) < step.threshold for row in sorted(removed)[::1000])
    found, planted = 0, 0
    for row in range(9, rows, rows // 20_000 // 10 * 10 + 10):  # never a multiple of 50: all kinds of copies
        base = base_of(row)
        if jaccard(row, base) >= step.threshold:
            planted += 1
            found += row in removed or base in removed
    return f"{len(removed):,} removed; of every 1000th {false} wrongly; {found:,} of {planted:,} planted pairs found"


def measure(rows: int, workers: int, folder: Path) -> dict[str, Any]:
    out = folder / f"scale-{rows}"
    shutil.rmtree(out, ignore_errors=True)
    step = MadeUpFuzzy()
    recipe = Recipe("fuzzy_scale", (step,), keeps_dropped=False)
    plan = make_plan(recipe, [MadeUp(name="made-up", rows=rows)], open_uri)
    peaks = Peaks(out)
    peaks.start()
    begin = time.monotonic()
    manifest = local.run(plan, out, workers=workers, progress=Quiet())
    seconds = time.monotonic() - begin
    peaks.done.set()
    peaks.join()
    provenance = json.loads((out / "provenance.json").read_text())
    said = checked(out, rows, step)
    shutil.rmtree(out)
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "peak_mb_per_worker": provenance["peak_bytes_per_worker"] // 1_000_000,
        "anonymous_mb_of_all_processes": peaks.anonymous_bytes // 1_000_000,
        "resident_mb_of_all_processes": peaks.resident_bytes // 1_000_000,
        "disk_peak_bytes_per_row": peaks.disk_bytes // rows,
        "phases_s": {name: s for name, s in provenance["phases_s"].items() if s >= 0.5},
        "facts": manifest.facts,
        "checked": said,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000000,3000000,10000000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="tokenmill-scale-"))
    measured = []
    for rows in map(int, arguments.rows.split(",")):
        measured.append(measure(rows, arguments.workers, folder))
        print(json.dumps(measured[-1], indent=1), flush=True)
    if len(measured) > 2:
        x = np.log([m["rows"] for m in measured])
        power, _ = np.polyfit(x, np.log([m["seconds"] for m in measured]), 1)
        print(f"seconds grow with rows to the power of {power:.2f}")


if __name__ == "__main__":
    main()
