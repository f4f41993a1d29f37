"""One shard of a run without a source: what it was, with new fates for the documents that the source had displaced."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.engines.address import is_among, read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.takedown_displaced import Places, displaced_file, displaced_rows
from tokenmill.engines.takedown_tail import is_of
from tokenmill.engines.task import Report
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.manifest import Shard
from tokenmill.manifests.parquet_file import conform
from tokenmill.manifests.takedown_link import link
from tokenmill.manifests.totals import Totals

READ_ROWS = 8192  # of a file at a time
# What a new fate leaves as it was: who the document is, and how long it was when it was read.
_REMAINS = ("id", "shard", "row", "parent", "chars_in")
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the inner run made of the displaced documents of one shard."""

    directory: Path
    shard: str  # what it calls the shard
    against: str  # what it calls the run that it was decided against, before the names of its shards
    files: tuple[Shard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeTask:
    """Write one shard; what does not change is linked. Memory: its ledger and measures, and a batch of the rest."""

    run_directory: Path
    shard: str
    files: tuple[Shard, ...]  # of the run
    source: str  # the one that is taken down
    decided: Decided | None  # None: it had displaced nothing here
    inputs: str = ""

    def describe(self, context: Context) -> str:
        return f"{self.shard} without {self.source}"

    def receipt(self, context: Context) -> Path:
        return context.receipt("composed", self.shard)

    def run(self, context: Context, report: Report) -> dict[str, Any]:
        """The receipt has `linked` (paths), `totals`, and `spans`: how many were cut for the sake of the source."""
        old = {f.path: f for f in self.files}
        spans = {path: _of_source(self.run_directory / path, self.source) for path in old if old[path].kind == "spans"}
        linked: list[str] = []
        with Attempt(context.out) as attempt:
            new = _Composed(self, context, attempt, self.decided) if self.decided else None
            for path in sorted({*old, *(new.inner if new else ())}):
                if new is not None and new.changes(path):
                    new.write(path)
                elif spans.get(path):
                    file = attempt.parquet(path, "spans", ledger.SPAN_EVIDENCE)
                    for batch in _nameless(_read(self.run_directory / path), self.source):
                        file.write(batch)
                else:
                    linked.append(link(self.run_directory, context.out, old[path]).path)
            books = new.books if new else pq.read_table(self.run_directory / f"ledger/{self.shard}.parquet")
            body = {"linked": linked, "spans": sum(spans.values()), "totals": Totals.of(books).as_json()}
            return attempt.commit(self.receipt(context), {"inputs": self.inputs, **body})


class _Composed:
    """The files of a shard of which some documents have a new fate."""

    def __init__(self, task: ComposeTask, context: Context, attempt: Attempt, decided: Decided) -> None:
        self._task, self._context, self._attempt, self._decided = task, context, attempt, decided
        self._old = {f.path: f for f in task.files}
        self.inner = {f.path.replace(f"/{decided.shard}", f"/{task.shard}", 1): f for f in decided.files}
        self._rows = displaced_rows(context.out, task.shard)  # of the k-th document of the inner run
        self._origin = {s.name: s.split.file.name for s in context.plan.shards}
        was = pq.read_table(self._path(f"ledger/{task.shard}.parquet"))
        now = _batch(pq.read_table(decided.directory / f"ledger/{decided.shard}.parquet"))
        self._kept_before = np.flatnonzero(pc.equal(was["fate"], ledger.KEPT).to_numpy())
        self._kept_now = self._rows[pc.equal(now["fate"], ledger.KEPT).to_numpy(zero_copy_only=False)]
        self.books = self._replaced(was, self._keepers_named(now), _REMAINS)

    def changes(self, path: str) -> bool:
        kind = (self._old.get(path) or self.inner[path]).kind
        return (
            path in self.inner or kind in ("ledger", "measures") or (kind == "dropped" and len(self._taken(path)) > 0)
        )

    def write(self, path: str) -> None:
        like = self._path(path) if path in self._old else self._inner_path(path)
        schema, kind = pq.read_schema(like), (self._old.get(path) or self.inner[path]).kind
        batches = self._batches(path, kind, schema)
        first = next(batches, None)
        if first is None and kind == "dropped":
            return  # all came back: where nothing was dropped there is no file
        file = self._attempt.parquet(path, kind, schema)
        for batch in [first, *batches] if first is not None else []:
            file.write(batch)

    def _batches(self, path: str, kind: str, schema: pa.Schema) -> Batches:
        numbered = schema if "row" in schema.names else schema.append(pa.field("row", pa.int64()))
        before = _read(self._path(path)) if path in self._old else iter(())
        now = _read(self._inner_path(path)) if path in self.inner else iter(())
        match kind:
            case "ledger":
                yield from self.books.to_batches(max_chunksize=1 << 16)
            case "measures":
                table = pa.Table.from_batches(before, schema)
                new = _batch(pa.Table.from_batches(now))
                yield from self._replaced(table, new, ("id", "row")).to_batches(max_chunksize=1 << 16)
            case "dropped":
                yield from _without(before, self._taken(path))
                yield from (conform(b, schema) for b in now if b.num_rows)
            case "documents":
                yield from _merged(
                    _numbered(before, self._kept_before, numbered), _numbered(now, self._kept_now, numbered)
                )
            case "index":
                yield from _merged(before, (self._moved(b, numbered) for b in now))
            case _:  # spans
                moved = (self._moved(self._keepers_named(b), numbered) for b in now)
                yield from _merged(_nameless(before, self._task.source), moved)

    def _path(self, path: str) -> Path:
        return self._task.run_directory / path

    def _inner_path(self, path: str) -> Path:
        return self._decided.directory / self.inner[path].path

    def _taken(self, path: str) -> Places:
        """Where in a file of dropped/ the displaced documents are; ascending."""
        found = read_whole(self._context.out / displaced_file(self._task.shard)).select(["file", "place"])
        places: Places = np.sort(found.filter(pc.equal(found["file"], path))["place"].to_numpy())
        return places

    def _moved(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        """`batch` with the rows of the shard instead of those of the inner run."""
        rows = pa.array(self._rows[batch["row"].to_numpy()])
        return conform(batch.set_column(batch.schema.get_field_index("row"), schema.field("row"), rows), schema)

    def _replaced(self, table: pa.Table, new: pa.RecordBatch, remains: tuple[str, ...]) -> pa.Table:
        """`table`, whose rows are 0, 1, ..., with the columns of `new` but those that remain, at the displaced rows."""
        displaced = np.zeros(table.num_rows, np.bool_)
        displaced[self._rows] = True
        for place, field in enumerate(table.schema):
            if field.name in new.schema.names and field.name not in remains:
                column = table[field.name].combine_chunks()
                values = pc.replace_with_mask(column, pa.array(displaced), new[field.name].cast(field.type))
                table = table.set_column(place, field, values)
        return table.combine_chunks()

    def _keepers_named(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Keepers of the inner run as documents of this one: displaced ones, and those of the run's own index."""
        named = batch["keeper_shard"].dictionary_encode()
        codes, rows = named.indices.fill_null(-1).to_numpy(), batch["keeper_row"].fill_null(-1).to_numpy().copy()
        names: list[str] = named.dictionary.to_pylist()
        for code, name in enumerate(names):
            if name in self._origin:
                names[code] = self._origin[name]
                here = codes == code
                rows[here] = displaced_rows(self._context.out, names[code])[rows[here]]
            else:
                names[code] = name.removeprefix(f"{self._decided.against}/")
        shards = pa.array(names, pa.string()).take(named.indices)
        for name, values in {"keeper_shard": shards, "keeper_row": pa.array(rows, mask=codes < 0)}.items():
            place = batch.schema.get_field_index(name)
            batch = batch.set_column(place, batch.schema.field(place), values)
        return batch


def _read(path: Path) -> Batches:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(READ_ROWS)


def _batch(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([c.combine_chunks() for c in table.columns], schema=table.schema)


def _of_source(path: Path, source: str) -> int:
    spans: int = pc.sum(is_of(pq.read_table(path, columns=["keeper_shard"])["keeper_shard"], source)).as_py() or 0
    return spans


def _nameless(spans: Batches, source: str) -> Batches:
    """`spans` without the keepers that are of `source`. Their rows stay: they say what is missing of a text."""
    for batch in spans:
        theirs = is_of(batch["keeper_shard"], source)
        for name, nobody in {"keeper": "", "keeper_shard": "", "keeper_row": -1}.items():
            place = batch.schema.get_field_index(name)
            batch = batch.set_column(place, batch.schema.field(place), pc.if_else(theirs, nobody, batch[name]))
        yield batch


def _without(batches: Batches, places: Places) -> Batches:
    start = 0
    for batch in batches:
        rest = batch.filter(pa.array(~is_among(np.arange(start, start + batch.num_rows), places)))
        start += batch.num_rows
        if rest.num_rows:
            yield rest


def _numbered(batches: Batches, rows: Places, schema: pa.Schema) -> Batches:
    """Each with its part of `rows` as the column `row`."""
    start = 0
    for batch in batches:
        mine = pa.array(rows[start : start + batch.num_rows])
        start += batch.num_rows
        yield conform(batch.append_column("row", mine), schema)


def _merged(one: Batches, other: Batches) -> Batches:
    """Both, each ascending by `row`, as one. Rows of the same number keep their order."""
    a, b = next(one, None), next(other, None)
    while a is not None and b is not None:
        if not a.num_rows or not b.num_rows:
            a, b = (a if a.num_rows else next(one, None)), (b if b.num_rows else next(other, None))
            continue
        rows, others = a["row"].to_numpy(), b["row"].to_numpy()
        settled = min(rows[-1], others[-1])
        n, m = int(np.searchsorted(rows, settled, "right")), int(np.searchsorted(others, settled, "right"))
        both = pa.Table.from_batches([a.slice(0, n), b.slice(0, m)])
        order = np.argsort(both["row"].to_numpy(), kind="stable")
        yield _batch(both.take(pa.array(order)))
        a, b = a.slice(n), b.slice(m)
    yield from (batch for batch in (a, b) if batch is not None and batch.num_rows)
    yield from one
    yield from other
