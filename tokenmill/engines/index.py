"""What a run knows of its kept documents, for later runs: written at its end, read by those as shards below zero."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenmill.core.barrier import ADDRESS, Verdict
from tokenmill.core.errors import DataError
from tokenmill.engines.context import Context
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt

READ_ROWS = 8192  # of an index at a time: 4 MB of signatures, and the shingles of as many documents


def index_schema(barrier: Verdict) -> pa.Schema:
    """The columns of index/<barrier>/<shard>.parquet: the row in the run that wrote it, and what the barrier wants."""
    assert barrier.index is not None
    return pa.schema([ADDRESS.field("row"), *barrier.index])


def read_index(context: Context, barrier: Verdict, shard: int) -> Iterator[pa.RecordBatch]:
    """The rows of `barrier.index` with ADDRESS, of one shard (negative) of the index."""
    of = context.plan.index_shard(shard)
    with pq.ParquetFile(of.run.path(of.file(barrier.name))) as file:
        for batch in file.iter_batches(READ_ROWS):
            number = pa.array(np.full(batch.num_rows, shard, np.int32))
            yield barrier.recalled(batch, of.priority).append_column(ADDRESS.field("shard"), number)


def check_index(context: Context, barrier: Verdict, shard: int) -> None:
    """Raises DataError for a file of the index that is gone or not as its run has written it."""
    of = context.plan.index_shard(shard)
    where = f"{of.run.uri}/{of.file(barrier.name)}"
    try:
        with of.run.path(of.file(barrier.name)).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DataError(f"{where}: missing; restore it, or make that run again with --index") from error
    if found != of.sha256[barrier.name]:
        raise DataError(f"{where}: changed since it was written (sha256 differs); make that run again with --index")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexTask(Task):
    """Write the index of one shard: the rows of those documents that the ledger says were kept."""

    shard: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"index of {context.plan.shards[self.shard].name}"

    def receipt(self, context: Context) -> str:
        return context.receipt("index", context.plan.shards[self.shard].name)

    def run(self, context: Context, report: Report) -> Receipt:
        name = context.plan.shards[self.shard].name
        books = pq.read_table(context.out.path(f"ledger/{name}.parquet"), columns=["row", "fate"])
        kept = pc.equal(books["fate"], ledger.KEPT).to_numpy()  # rows are 0, 1, ...: a place for each
        with Attempt(context.out) as attempt:
            for barrier in context.indexed_barriers:
                schema = index_schema(barrier)
                file = attempt.parquet(context.index(barrier.name, name), "index", schema)
                with pa.memory_map(str(context.out.path(context.left_for_index(barrier.name, name)))) as left:
                    reader = pa.ipc.open_file(left)
                    for number in range(reader.num_record_batches):
                        batch = reader.get_batch(number)
                        file.write(batch.filter(pa.array(kept[batch["row"].to_numpy()])))
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context)})
