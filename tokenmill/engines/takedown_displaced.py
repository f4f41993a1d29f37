"""The documents that a source had displaced, taken out of dropped/ and read as sources of a run of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.core.document import BATCH_BYTES, DOCUMENT, RECORD
from tokenmill.core.errors import DataError
from tokenmill.core.source import Chunk, Open, Source, Split
from tokenmill.engines.address import read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.takedown_rows import Places, read_rows
from tokenmill.engines.takedown_tail import AGAIN, is_of
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.parquet_file import conform
from tokenmill.manifests.store import WORK, Store

# Of each displaced document: its row in the shard that read it, and which file of dropped/ has it at which place.
FOUND_AT = pa.schema([("row", pa.int64()), ("file", pa.string()), ("place", pa.int64())])


def displaced_file(shard: str) -> str:
    return f"{WORK}/displaced/{shard}.arrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplacedDocuments(Source):
    """A file is one original shard, and one split; row k of it is the k-th displaced document of that shard."""

    counts: tuple[int, ...]  # of documents, by file

    def splits(self, open: Open) -> list[Split]:
        return [Split(file=f, start=0, stop=n, bytes=0) for f, n in zip(self.files, self.counts, strict=True)]

    def read(self, split: Split, open: Open, batch_bytes: int) -> Iterator[Chunk]:
        """Batches as they were written, of about BATCH_BYTES. A null text is no error: it was none before."""
        with open(split.file.uri) as stream:
            reader = pa.ipc.open_file(stream)
            for number in range(reader.num_record_batches):
                yield Chunk(records=conform(reader.get_batch(number), RECORD))


@dataclass(frozen=True, slots=True, kw_only=True)
class FindTask(Task):
    """Find the displaced documents of one shard, in order of rows. Memory: their text, 100 bytes for each dropped."""

    run_directory: Path
    shard: str
    source: str  # the one that is taken down
    composed: bool = False  # whether the run is itself what a takedown left: its dropped/ is not in order of rows
    inputs: str = ""

    def describe(self, context: Context) -> str:
        return f"displaced documents of {self.shard}"

    def receipt(self, context: Context) -> str:
        return context.receipt("displaced", self.shard)

    def run(self, context: Context, report: Report) -> Receipt:
        books = pq.read_table(self.run_directory / f"ledger/{self.shard}.parquet")
        theirs = pc.and_(pc.equal(books["fate"], ledger.DUPLICATE), is_of(books["keeper_shard"], self.source))
        books = books.append_column("theirs", theirs)
        found = [pa.schema([*DOCUMENT, *FOUND_AT]).empty_table()]
        for path, stages in left_in(context, self.shard).items():
            here = books.filter(pc.and_(pc.not_equal(books["fate"], ledger.KEPT), pc.is_in(books["stage"], stages)))
            if pc.any(here["theirs"]).as_py():
                found.append(_taken(self.run_directory, path, here, self.composed))
        documents = pa.concat_tables(found).sort_by("row").combine_chunks()
        with Attempt(context.out) as attempt:
            with pa.ipc.new_file(attempt.file(displaced_file(self.shard)), documents.schema) as writer:
                for batch in _sized(documents):
                    writer.write_batch(batch)
            body = {"inputs": self.fingerprint(context), "documents": documents.num_rows}
            return attempt.commit(self.receipt(context), body)


def left_in(context: Context, shard: str) -> dict[str, pa.StringArray]:
    """Path in dropped/ -> the steps whose leaving documents of `shard` are there."""
    files: dict[str, pa.StringArray] = {}
    for n, segment in enumerate(context.segments):
        before = [b.name for b in context.segments[n - 1].barriers] if n else ["read"]
        files[context.dropped(n, shard)] = pa.array([*before, *(s.name for s in segment.stages)], pa.string())
    return files


def displaced_rows(out: Store, shard: str) -> Places:
    """For each displaced document of a shard, the row it was read at; ascending."""
    rows: Places = read_whole(out.path(displaced_file(shard)))["row"].to_numpy()
    return rows


def _taken(run: Path, path: str, books: pa.Table, composed: bool) -> pa.Table:
    """The displaced documents in one file of dropped/; `books` are the ledger rows of all that are in it.

    The file has no rows' numbers. Documents of one id that left at one step lie in order of rows, where no takedown has
    `composed` the file; of others, which is which can only be told if they are equal in all that is kept of them.
    """
    try:
        ids = pq.read_table(run / path, columns=["id"]).append_column("place", pa.array(np.arange(books.num_rows)))
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{run / path}: not the {books.num_rows:,} documents that the ledger says ({error})") from error
    lying = ids.sort_by([("id", "ascending"), ("place", "ascending")])
    booked = books.sort_by([("id", "ascending"), ("row", "ascending")])
    if not lying["id"].equals(booked["id"]):
        raise DataError(f"{run / path}: not the documents that the ledger says left; verify {run}, then {AGAIN}")
    wanted = booked.append_column("place", lying["place"]).filter(booked["theirs"])
    place = wanted["place"].to_numpy()
    _check_told_apart(run / path, books, wanted["id"], composed)
    documents = [pa.schema([*DOCUMENT, FOUND_AT.field("place")]).empty_table()]
    start = 0
    for batch in read_rows(run / path, DOCUMENT.names):
        here = np.sort(place[(place >= start) & (place < start + batch.num_rows)])
        some = pa.Table.from_batches([batch.take(pa.array(here - start))])
        documents.append(some.cast(DOCUMENT).append_column("place", pa.array(here)))
        start += batch.num_rows
    in_file = pa.concat_tables(documents)
    rows = wanted["row"].take(pc.sort_indices(wanted["place"]))
    return (
        in_file.append_column("row", rows)
        .append_column("file", pa.repeat(path, len(rows)))
        .select([*DOCUMENT.names, *FOUND_AT.names])
    )


def _check_told_apart(path: Path, books: pa.Table, wanted: pa.ChunkedArray, composed: bool) -> None:
    """Raises DataError if one of the ids `wanted` is of different documents whose places do not tell their rows."""
    left = books.group_by("id").aggregate([("stage", "count_distinct"), ("stage", "count")])
    several = left.filter(pc.greater(left["stage_count" if composed else "stage_count_distinct"], 1))["id"]
    several = several.filter(pc.is_in(several, pc.unique(wanted)))
    if not len(several):
        return
    documents = pq.read_table(path, columns=DOCUMENT.names, filters=pc.field("id").isin(several))
    if len({tuple(row.values()) for row in documents.to_pylist()}) > len(several):
        raise DataError(f"{path}: different documents have one id, {several[0]} or others; {AGAIN}")


def _sized(documents: pa.Table) -> Iterator[pa.RecordBatch]:
    """Batches of about BATCH_BYTES of text."""
    ends = np.cumsum(pc.fill_null(pc.binary_length(documents["text"]), 0).to_numpy())
    cuts = np.flatnonzero(np.diff(ends // BATCH_BYTES)) + 1
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), documents.num_rows], strict=True):
        yield from documents.slice(first, last - first).combine_chunks().to_batches()
