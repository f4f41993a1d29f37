"""How fast repeated stretches are found and cut out, on one core, in how much memory, and what travels for it.

    python benchmarks/substring.py [--megabytes 100] [--unit tokens|bytes] [--length 50]
                                   [--bloom CELLS [--one-in N]] [FILE ...]

FILE is a Parquet file with a column `text`; without any, the Python sources of the standard library and of the
packages beside it. They are taken as they are, and then again and again, each time with one word in a hundred
replaced by another, until there are so many megabytes: so a window of 50 words in a copy is unchanged with odds of
60%. The texts go to a temporary file first; what is measured is a process of its own that reads it in batches of 8 MB,
pinned to one core where the system lets it, and goes through the rounds with everything that is emitted in memory, in
one key range. Seconds are its own CPU seconds after a first pass over one batch, which compiles; the peak is VmHWM,
and beside it what the process had before the first batch (Python, Arrow, numba and the compiled code).
"""

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.barrier import ADDRESS, SPANS, Round
from tokenmill.core.document import BATCH_BYTES
from tokenmill.dedup.ngram_bloom import NgramBloom
from tokenmill.dedup.ngram_filter import NgramFilter
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.substring_units import KINDS, read_units

COLUMNS = pa.schema(
    [("id", pa.string()), ("text", pa.large_string()), ("priority", pa.int32()), *((f.name, f.type) for f in ADDRESS)]
)


def texts_of(paths: list[str]) -> list[str]:
    if paths:
        columns = [pq.read_table(path, columns=["text"])["text"] for path in paths]
        return [text for column in columns for text in column.to_pylist() if text]
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    return [file.read_text(errors="replace") for file in files]


def edited(text: str, rng: np.random.Generator) -> str:
    """One word in a hundred replaced."""
    words = re.split(r"(\s+)", text)
    for place in np.flatnonzero(rng.random(len(words)) < 0.01):
        if not words[place].isspace():
            words[place] = f"w{rng.integers(1 << 30)}"
    return "".join(words)


def write(texts: list[str], size: int, path: Path) -> int:
    """Batches of 8 MB, `size` bytes in all. How many of them were there before the first copy."""
    rng = np.random.default_rng(1)
    original, done, row = 0, 0, 0
    batch: list[str] = []
    with pa.ipc.new_file(str(path), COLUMNS) as writer:

        def flush() -> None:
            nonlocal row
            rows = range(row, row + len(batch))
            ids, zeros = [f"{n * 0x9E3779B97F4A7C15 % (1 << 64):032x}" for n in rows], [0] * len(batch)
            writer.write_batch(pa.record_batch([ids, batch, zeros, zeros, rows], schema=COLUMNS))
            row += len(batch)
            batch.clear()

        pending = 0
        for copy in range(1_000):
            for text in texts:
                text = edited(text, rng) if copy else text
                batch.append(text)
                pending += len(text.encode())
                if pending >= BATCH_BYTES:
                    done, pending = done + pending, 0
                    flush()
                if done + pending >= size:
                    flush()
                    return original or done + pending
            original = original or done + pending
    raise ValueError("no texts")


def batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def peak_megabytes() -> float:
    """VmHWM of this process: resident at most, so far."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class Clock:
    """CPU seconds of this process by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def spent_on(self, what: str) -> None:
        now = time.process_time()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now


def emit(step: SubstringDedup, path: Path, kept: list[Any], told: pa.Table | None, number: int, clock: Clock) -> Any:
    """Rows of one round, of all batches."""
    round_: Round = step.rounds[number]
    rows = []
    for place, batch in enumerate(batches_of(path) if number < 2 else [None] * len(kept)):
        clock.spent_on("reading")
        if batch is not None and number == 0:
            remembered = step.observe(batch, None)
            for name in ADDRESS.names:
                remembered = remembered.append_column(ADDRESS.field(name), batch[name])
            kept.append(remembered)
            clock.spent_on("observe")
        if told is None:
            rows.append(round_.emit(kept[place], batch, None))
        else:
            asked = told["row"].to_numpy()
            first, last = np.searchsorted(asked, [kept[place]["row"][0].as_py(), kept[place]["row"][-1].as_py() + 1])
            mine = told.slice(first, last - first).combine_chunks()
            which = pa.array(np.isin(kept[place]["row"].to_numpy(), mine["row"].to_numpy()))
            if mine.num_rows:
                one = pa.RecordBatch.from_arrays([c.chunk(0) for c in mine.columns], schema=mine.schema)
                rows.append(round_.emit(kept[place].filter(which), None if batch is None else batch.filter(which), one))
        clock.spent_on(f"{round_.name}: emit")
    return pa.Table.from_batches(rows)


def measure(step: SubstringDedup, path: Path) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    run(step, path, only_one=True)
    before = peak_megabytes()
    run(step, path, before=before)


def run(step: SubstringDedup, path: Path, before: float = 0.0, only_one: bool = False) -> None:
    if only_one:
        first = next(batches_of(path)).slice(0, 50)
        path = path.with_suffix(".first")
        with pa.ipc.new_file(str(path), COLUMNS) as writer:
            writer.write_batch(first)
            again = first.set_column(4, COLUMNS.field("row"), pa.array(np.arange(50) + 50))
            writer.write_batch(again)
    size = sum(batch["text"].nbytes for batch in batches_of(path))
    clock = Clock()
    kept: list[Any] = []
    told: pa.Table | None = None
    sent: dict[str, int] = {}
    counts: dict[str, int] = {}
    for number, round_ in enumerate(step.rounds):
        rows = emit(step, path, kept, told, number, clock)
        sent[round_.name] = rows.nbytes
        reduced = round_.reduce(rows)
        del rows
        clock.spent_on(f"{round_.name}: reduce")
        counts |= reduced.counts
        told = reduced.verdicts if reduced.answers is None else reduced.answers
        assert told is not None
        order = ["row", "start"] if "start" in told.column_names else ["row"]
        told = told.sort_by([(name, "ascending") for name in order])
        clock.spent_on("sorting answers")
    spans = told.select(SPANS.names).combine_chunks()
    rows_of, dropped, chars = spans["row"].to_numpy(), 0, 0
    for batch in batches_of(path):
        clock.spent_on("reading")
        first, last = np.searchsorted(rows_of, [batch["row"][0].as_py(), batch["row"][-1].as_py() + 1])
        some = spans.slice(first, last - first).combine_chunks()
        columns = [c.chunk(0) if c.num_chunks else pa.array([], c.type) for c in some.columns]
        cut, decision = step.cut(batch, pa.RecordBatch.from_arrays(columns, schema=SPANS))
        clock.spent_on("cut")
        dropped += len(decision.rule) - decision.rule.null_count
        chars += int(np.sum(cut["substring_dedup_chars_removed"].to_numpy()))
    if not only_one:
        peak, megabytes, total = peak_megabytes(), size / 1e6, sum(clock.seconds.values())
        tokens = units_in(path, step.unit == "bytes")
        for what, spent in clock.seconds.items():
            print(f"{what:20} {spent:6.2f} s  {megabytes / max(spent, 1e-9):8.0f} MB/s")
        print(f"{'all':20} {total:6.2f} s  {megabytes / total:8.1f} MB/s of {megabytes:.1f} MB, {tokens:,} {step.unit}")
        print(f"peak {peak:.0f} MB, {before:.0f} MB before")
        removed = counts["windows_removed"] + 1e-9
        print(
            f"sent: {sent}: {sent['propose'] / tokens:.2f} bytes a unit, {sent['match'] / removed:.1f} a removed window"
        )
        print(f"{counts}; {chars:,} characters cut, {dropped:,} documents dropped")


def bloom(path: Path, cells: int, one_in: int) -> None:
    """The same texts through a filter of so many cells, merged whenever 64 MB have come together, as engines do."""
    filter_, step, clock = NgramFilter(cells=cells, one_in=one_in), NgramBloom(error_at_most=1.0), Clock()
    for _ in range(2):  # the first pass compiles
        clock = Clock()
        parts: list[pa.Table] = []
        kept = []
        for batch in batches_of(path):
            clock.spent_on("reading")
            parts.append(filter_.observe(batch))
            clock.spent_on("n-grams: observe")
            if sum(part.nbytes for part in parts) > 64 << 20:
                parts = [filter_.merge(pa.concat_tables(parts))]
                clock.spent_on("n-grams: merge")
        done = filter_.finish(filter_.merge(pa.concat_tables(parts)))
        clock.spent_on("n-grams: merge")
        for batch in batches_of(path):
            clock.spent_on("reading")
            kept.append(step.observe(batch, done))
            clock.spent_on("paragraphs")
    size = sum(batch["text"].nbytes for batch in batches_of(path)) / 1e6
    filled = done["share_filled"][0].as_py()
    claims = sum(rows["claims"].nbytes - rows["claims"].offset - 8 * rows.num_rows for rows in kept) // 24
    for what, spent in clock.seconds.items():
        print(f"{what:20} {spent:6.2f} s  {size / max(spent, 1e-9):8.0f} MB/s")
    print(f"filter of {8 * cells >> 20} MiB, {filled:.0%} filled: error {filled**filter_.hashes:.2g}")
    print(f"{claims:,} paragraphs; peak {peak_megabytes():.0f} MB")


def units_in(path: Path, bytewise: bool) -> int:
    hashes, starts, stops = np.empty(1 << 16, np.uint64), np.empty(1 << 16, np.int64), np.empty(1 << 16, np.int64)
    total = 0
    for batch in batches_of(path):
        data, offsets = data_and_offsets(batch["text"])
        for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            at = begin
            while at < end:
                n, at = read_units(data, at, end, KINDS, bytewise, 0, hashes, starts, stops)
                total += n
    return total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--unit", choices=["tokens", "bytes"], default="tokens")
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--bloom", type=int, default=0, help="cells: ngram_filter and ngram_bloom instead")
    parser.add_argument("--one-in", type=int, default=1, help="of the n-grams of --bloom")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    step = SubstringDedup(unit=given.unit, length=given.length)
    if given.measure and given.bloom:
        bloom(given.measure, given.bloom, given.one_in)
        return
    if given.measure:
        measure(step, given.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.arrow"
        original = write(texts_of(given.files), given.megabytes * 1_000_000, path)
        print(f"{given.megabytes} MB, of which {original / 1e6:.1f} MB are no copies", flush=True)
        arguments = ["--unit", given.unit, "--length", str(given.length), "--measure", str(path)]
        arguments += ["--bloom", str(given.bloom), "--one-in", str(given.one_in)]
        subprocess.run([sys.executable, __file__, *arguments], check=True)


if __name__ == "__main__":
    main()
