"""Small real steps for tests of engines: importable by name, so that worker processes can have them too."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import VERDICTS, Meeting, Regroup, Summary
from tokenmill.core.document import RECORD
from tokenmill.core.format import Format
from tokenmill.core.source import Chunk, File, Open, Source, Split
from tokenmill.core.stage import Filter, Measure, Rule, Stage
from tokenmill.engines.driver import Progress
from tokenmill.engines.local import LocalEngine
from tokenmill.engines.plan import Plan
from tokenmill.engines.run import run
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest

TEXT = pa.schema([("text", pa.large_string())])


def lines_source(folder: Path, name: str = "lines", **kwargs: object) -> "Lines":
    """Every file of `folder`, a document a line."""
    paths = sorted(p for p in folder.iterdir() if p.is_file())
    files = tuple(File(name=p.name, uri=str(p), size=p.stat().st_size, modified_ns=p.stat().st_mtime_ns) for p in paths)
    return Lines(name=name, files=files, **kwargs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Source):
    """A document a line, a split a file; a line that begins with `!` cannot be read, `#` is no document."""

    def splits(self, open: Open) -> list[Split]:
        return [Split(file=f, start=0, stop=f.size, bytes=f.size) for f in self.files]

    def read(self, split: Split, open: Open, batch_bytes: int) -> Iterator[Chunk]:
        with open(split.file.uri) as file:
            lines = file.read().decode().splitlines()
        documents = [line for line in lines if not line.startswith("#")]
        for first in range(0, max(1, len(documents)), 3):
            some = documents[first : first + 3]
            passed = {"comment": len(lines) - len(documents)} if first == 0 and len(lines) > len(documents) else {}
            yield Chunk(records=self._records(some), passed_over=passed, position=split.bytes)

    def _records(self, lines: list[str]) -> pa.RecordBatch:
        rows = [
            {
                "id": hashlib.md5(f"{self.name}\0{line}".encode()).hexdigest(),
                "text": None if line.startswith("!") else line,
                "source": self.name,
                "error": "unreadable line" if line.startswith("!") else None,
            }
            for line in lines
        ]
        return pa.RecordBatch.from_pylist(rows, RECORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Measure):
    """Characters and words."""

    name: ClassVar[str] = "count"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = TEXT
    adds: ClassVar[pa.Schema] = pa.schema([("chars", pa.int64()), ("words", pa.float64())])

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        chars = pc.cast(pc.utf8_length(batch["text"]), pa.int64())
        words = pc.cast(pc.list_value_length(pc.utf8_split_whitespace(batch["text"])), pa.float64())
        return batch.append_column("chars", chars).append_column("words", words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Length(Filter):
    name: ClassVar[str] = "length"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("words", pa.float64())])

    words_at_least: float = 2

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule(name="words_at_least", measure="words", op="at_least", bound=self.words_at_least, source="a test"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragile(Stage):
    """Raises on a text that holds `bomb`, kills its process on `kill` while `fuse` exists or always without one."""

    name: ClassVar[str] = "fragile"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = TEXT

    fuse: str = ""

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = [t for t in batch["text"].to_pylist() if t]
        if any("kill" in t for t in texts):
            if self.fuse and Path(self.fuse).exists():
                Path(self.fuse).unlink()
                os.kill(os.getpid(), signal.SIGSEGV)
            elif not self.fuse:
                os.kill(os.getpid(), signal.SIGSEGV)
        if any("bomb" in t for t in texts):
            raise ZeroDivisionError("a bomb")
        return batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Loses(Stage):
    """A broken stage: it forgets a row."""

    name: ClassVar[str] = "loses"
    revision: ClassVar[int] = 1

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.slice(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SameFirstWord(Meeting):
    """Documents whose first word is the same are duplicates; the longest is kept, then the smallest id."""

    name: ClassVar[str] = "same_first_word"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = TEXT
    emits: ClassVar[pa.Schema] = pa.schema([("key", pa.uint64()), ("chars", pa.int64()), ("id", pa.string())])

    word: int = 0

    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        words = [(t.split() or [""])[self.word if len(t.split()) > self.word else 0] for t in batch["text"].to_pylist()]
        keys = [int.from_bytes(hashlib.md5(w.encode()).digest()[:8], "little") for w in words]
        chars = pc.cast(pc.utf8_length(batch["text"]), pa.int64())
        return pa.RecordBatch.from_arrays([pa.array(keys, pa.uint64()), chars, batch["id"]], schema=self.emits)

    def decide(self, rows: pa.Table) -> tuple[pa.Table, Mapping[str, int]]:
        best: dict[int, dict[str, object]] = {}
        ordered = sorted(rows.to_pylist(), key=lambda r: (-r["chars"], r["id"], r["shard"], r["row"]))
        verdicts = []
        for row in ordered:
            keeper = best.setdefault(row["key"], row)
            if keeper is not row:
                verdicts.append(
                    {
                        "shard": row["shard"],
                        "row": row["row"],
                        "keeper": keeper["id"],
                        "keeper_shard": keeper["shard"],
                        "keeper_row": keeper["row"],
                        "similarity": 1.0,
                        "band": None,
                    }
                )
        return pa.Table.from_pylist(verdicts, VERDICTS), {"compared": rows.num_rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class SameLastWord(SameFirstWord):
    name: ClassVar[str] = "same_last_word"
    word: int = -1

    def emit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        words = [(t.split() or [""])[-1] for t in batch["text"].to_pylist()]
        keys = [int.from_bytes(hashlib.md5(w.encode()).digest()[:8], "little") for w in words]
        chars = pc.cast(pc.utf8_length(batch["text"]), pa.int64())
        return pa.RecordBatch.from_arrays([pa.array(keys, pa.uint64()), chars, batch["id"]], schema=self.emits)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDocuments(Summary):
    name: ClassVar[str] = "count_documents"
    revision: ClassVar[int] = 1

    def observe(self, batch: pa.RecordBatch) -> pa.Table:
        return pa.table({"documents": pa.array([batch.num_rows], pa.int64())})

    def merge(self, parts: pa.Table) -> pa.Table:
        return pa.table({"documents": pa.array([pc.sum(parts["documents"]).as_py()], pa.int64())})


@dataclass(frozen=True, slots=True, kw_only=True)
class ByIdInGroupsOfAbout(Regroup):
    """One group for every `size` documents, chosen by id."""

    name: ClassVar[str] = "by_id"
    revision: ClassVar[int] = 1
    wants: ClassVar[str | None] = "count_documents"

    size: int = 4

    def groups(self, summary: pa.Table | None) -> list[str]:
        assert summary is not None
        return [f"group-{n}" for n in range(max(1, summary["documents"][0].as_py() // self.size))]

    def assign(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.Int32Array:
        n = len(self.groups(summary))
        return pa.array([int(i, 16) % n for i in batch["id"].to_pylist()], pa.int32())

    def arrange(self, rows: pa.Table) -> pa.Int64Array:
        keys = list(zip(rows["id"].to_pylist(), rows["shard"].to_pylist(), rows["row"].to_pylist(), strict=True))
        return pa.array(np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText(Format):
    name: ClassVar[str] = "plain_text"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = TEXT
    folder: ClassVar[str] = "plain"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def write(self, batches: Iterable[pa.RecordBatch], create: Callable[[str], BinaryIO]) -> None:
        file = create(".txt")
        for batch in batches:
            for text in batch["text"].to_pylist():
                file.write(text.encode() + b"\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Stage):
    """Takes its time, so that a test can strike in the middle."""

    name: ClassVar[str] = "slow"
    revision: ClassVar[int] = 1

    seconds_per_batch: float = 0.03

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        time.sleep(self.seconds_per_batch)
        return batch


def run_here(plan: Plan, out: Path, *, workers: int = 1, progress: Progress | None = None) -> Manifest:
    """On this machine, into a folder."""
    return run(plan, LocalStore(out), LocalEngine(workers=workers), progress=progress or Silence())


class Silence:
    """A Progress that nobody watches."""

    def phase(self, name: str, tasks: int, already: int, total_bytes: int) -> None: ...

    def news(self, counts: dict[str, int]) -> None: ...

    def task_done(self) -> None: ...
