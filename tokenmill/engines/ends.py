"""Where a segment's documents go: to the next segment, with what its barriers want to know, or to documents/."""

import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, Summary, Verdict
from tokenmill.core.recipe import SOURCE_COLUMNS
from tokenmill.engines.address import with_address
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import KeyedFile
from tokenmill.engines.reduce import emission_schema
from tokenmill.engines.summary import read_summary
from tokenmill.manifests.attempt import Attempt

MERGE_BYTES = 64 << 20  # of what a summary has observed: merged whenever there is more


class Ends:
    """For one shard of one segment. Memory: a batch, and RUN_BYTES for each verdict."""

    def __init__(self, context: Context, attempt: Attempt, segment: int, shard: str) -> None:
        self._context, self._attempt, self._segment, self._shard = context, attempt, segment, shard
        barriers = context.segments[segment].barriers
        self._verdicts = [_FirstRound(context, attempt, b, shard) for b in barriers if isinstance(b, Verdict)]
        self._summaries = [_Observed(b) for b in barriers if isinstance(b, Summary)]
        self._documents = (
            None if barriers else attempt.parquet(f"documents/{shard}.parquet", "documents", context.documents)
        )
        self._survivors: pa.ipc.RecordBatchFileWriter | None = None

    def take(self, batch: pa.RecordBatch) -> None:
        if self._documents is not None:
            self._documents.write(batch)
            return
        for verdict in self._verdicts:
            verdict.take(batch)
        for summary in self._summaries:
            summary.take(batch)
        batch = batch.select(self._context.carried(self._segment, batch.schema))
        self._open(batch.schema).write_batch(batch)

    def close(self) -> None:
        if self._documents is not None:
            return
        for verdict in self._verdicts:
            verdict.close()
        for summary in self._summaries:
            if (table := summary.table()) is not None:
                path = self._context.observed(summary.barrier.name, self._shard)
                with pa.ipc.new_file(self._attempt.file(path), table.schema) as writer:
                    writer.write_table(table)
        self._open(SOURCE_COLUMNS).close()

    def _open(self, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
        if self._survivors is None:
            file = self._attempt.file(self._context.survivors(self._segment, self._shard))
            self._survivors = pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        return self._survivors


class _FirstRound:
    """What one verdict remembers of each document, batch for batch beside the survivors, and what it emits first."""

    def __init__(self, context: Context, attempt: Attempt, barrier: Verdict, shard: str) -> None:
        self._barrier = barrier
        self._round = barrier.rounds[0]
        self._summary = read_summary(context, barrier.wants)
        schema = pa.schema([*barrier.keeps, *(f for f in ADDRESS if f.name not in barrier.keeps.names)])
        self._kept = pa.ipc.new_file(attempt.file(context.kept(barrier.name, shard)), schema)
        file = attempt.file(context.emitted(barrier.name, self._round, shard))
        self._emitted = KeyedFile(file, emission_schema(self._round))

    def take(self, batch: pa.RecordBatch) -> None:
        kept = with_address(self._barrier.observe(batch, self._summary), batch)
        self._kept.write_batch(kept)
        self._emitted.write(self._round.emit(kept, batch, None))

    def close(self) -> None:
        self._kept.close()
        self._emitted.close()


class _Observed:
    """What one summary has seen so far: parts, merged whenever they are worth it."""

    def __init__(self, barrier: Summary) -> None:
        self.barrier = barrier
        self._parts: list[pa.Table] = []
        self._bytes = 0

    def take(self, batch: pa.RecordBatch) -> None:
        self._parts.append(self.barrier.observe(batch))
        self._bytes += self._parts[-1].nbytes
        if self._bytes > MERGE_BYTES:
            merged = self.barrier.merge(pa.concat_tables(self._parts))
            self._parts, self._bytes = [merged], 0

    def table(self) -> pa.Table | None:
        return self.barrier.merge(pa.concat_tables(self._parts)) if self._parts else None
