"""One shard of a run without a source: what it was, with new fates for the documents that the source had displaced."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.engines.address import read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.takedown_displaced import displaced_file, displaced_rows
from tokenmill.engines.takedown_rows import Batches, Places, merged, numbered, one_batch, read_rows, without
from tokenmill.engines.takedown_tail import is_of
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.manifest import Shard
from tokenmill.manifests.parquet_file import conform
from tokenmill.manifests.takedown_link import link
from tokenmill.manifests.totals import Totals

# What a new fate leaves as it was: who the document is, and how long it was when it was read.
_REMAINS = ("id", "shard", "row", "parent", "chars_in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the inner run made of the displaced documents of one shard."""

    directory: Path
    shard: str  # what it calls the shard
    against: str  # what it calls the run that it was decided against, before the names of its shards
    files: tuple[Shard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeTask(Task):
    """Write one shard; what does not change is linked. Memory: its ledger and measures, and a batch of the rest."""

    run_directory: Path
    shard: str
    files: tuple[Shard, ...]  # of the run
    source: str  # the one that is taken down
    decided: Decided | None  # None: it had displaced nothing here
    inputs: str = ""

    def describe(self, context: Context) -> str:
        return f"{self.shard} without {self.source}"

    def receipt(self, context: Context) -> str:
        return context.receipt("composed", self.shard)

    def run(self, context: Context, report: Report) -> Receipt:
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
                    for batch in _nameless(read_rows(self.run_directory / path), self.source):
                        file.write(batch)
                else:
                    linked.append(link(self.run_directory, context.out, old[path]).path)
            books = new.books if new else pq.read_table(self.run_directory / f"ledger/{self.shard}.parquet")
            body = {"linked": linked, "spans": sum(spans.values()), "totals": Totals.of(books).as_json()}
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context), **body})


class _Composed:
    """The files of a shard of which some documents have a new fate."""

    def __init__(self, task: ComposeTask, context: Context, attempt: Attempt, decided: Decided) -> None:
        self._task, self._context, self._attempt, self._decided = task, context, attempt, decided
        self._old = {f.path: f for f in task.files}
        self.inner = {f.path.replace(f"/{decided.shard}", f"/{task.shard}", 1): f for f in decided.files}
        self._rows = displaced_rows(context.out, task.shard)  # of the k-th document of the inner run
        self._origin = {s.name: s.split.file.name for s in context.plan.shards}
        was = pq.read_table(self._path(f"ledger/{task.shard}.parquet"))
        now = one_batch(pq.read_table(decided.directory / f"ledger/{decided.shard}.parquet"))
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
        with_row = schema if "row" in schema.names else schema.append(pa.field("row", pa.int64()))
        before = read_rows(self._path(path)) if path in self._old else iter(())
        now = read_rows(self._inner_path(path)) if path in self.inner else iter(())
        match kind:
            case "ledger":
                yield from self.books.to_batches(max_chunksize=1 << 16)
            case "measures":
                table = pa.Table.from_batches(before, schema)
                new = one_batch(pa.Table.from_batches(now))
                yield from self._replaced(table, new, ("id", "row")).to_batches(max_chunksize=1 << 16)
            case "dropped":
                yield from without(before, self._taken(path))
                yield from (conform(b, schema) for b in now if b.num_rows)
            case "documents":
                yield from merged(
                    numbered(before, self._kept_before, with_row), numbered(now, self._kept_now, with_row)
                )
            case "index":
                yield from merged(before, (self._moved(b, with_row) for b in now))
            case _:  # spans
                moved = (self._moved(self._keepers_named(b), with_row) for b in now)
                yield from merged(_nameless(before, self._task.source), moved)

    def _path(self, path: str) -> Path:
        return self._task.run_directory / path

    def _inner_path(self, path: str) -> Path:
        return self._decided.directory / self.inner[path].path

    def _taken(self, path: str) -> Places:
        """Where in a file of dropped/ the displaced documents are; ascending."""
        found = read_whole(self._context.out.path(displaced_file(self._task.shard))).select(["file", "place"])
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
