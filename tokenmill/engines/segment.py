"""Run one segment on one shard: read, every stage in turn, write what is left. The same function on every engine."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, Summary, Verdict
from tokenmill.core.document import BATCH_BYTES, RECORD, TRAVELLING
from tokenmill.core.recipe import SOURCE_COLUMNS
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import KeyedFile
from tokenmill.engines.loop import Leave, Leaving, count_chars_in, run_stages, take_errors
from tokenmill.engines.outcome import Outcome
from tokenmill.engines.plan import InputShard, open_local
from tokenmill.engines.task import Report
from tokenmill.engines.verdict import emission_schema, verdicts_of
from tokenmill.manifests import ledger
from tokenmill.manifests.attempt import Attempt


@dataclass(slots=True)
class Reading:
    """What reading a shard told besides its documents."""

    passed_over: Counter[str]
    began: int | None = None
    ended: int | None = None
    documents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """Segment `segment` on shard `shard` (of the plan). `start` moves the beginning of a searched range."""

    segment: int
    shard: int
    inputs: str  # fingerprint of all that this task depends on: a receipt counts only for the same
    start: int | None = None

    def describe(self, context: Context) -> str:
        shard = context.plan.shards[self.shard]
        return f"{shard.name} ({shard.split.file.uri}), segment {self.segment}"

    def receipt(self, context: Context) -> Path:
        return context.receipt(f"segment-{self.segment}", context.plan.shards[self.shard].name)

    def run(self, context: Context, report: Report) -> dict[str, Any]:
        """Returns the receipt: files, counts, totals (of a closing segment), `began` and `ended` of a range."""
        shard = context.plan.shards[self.shard]
        reading = Reading(Counter())
        with Attempt(context.out) as attempt:
            outcome = Outcome(context, attempt, self.segment, shard.name)
            ends = _Ends(context, attempt, self.segment, shard.name)
            kept = 0
            for batch in self._batches(context, shard, reading, outcome.leave, report):
                batch = run_stages(context.segments[self.segment].stages, batch, outcome.leave)
                if batch.num_rows:
                    ends.take(batch)
                    if self.segment == context.closing:
                        outcome.keep(batch)
                kept += batch.num_rows
                report({"kept": batch.num_rows})
            ends.close()
            totals = outcome.close()
            body = {
                "inputs": self.inputs,
                "documents": reading.documents,
                "kept": kept,
                "records": dict(sorted(reading.passed_over.items())),
                "began": reading.began,
                "ended": reading.ended,
                "totals": totals.as_json(),
            }
            if kept + outcome.left != reading.documents:
                raise AssertionError(
                    f"{self.describe(context)}: {reading.documents} read, {kept} + {outcome.left} accounted for"
                )
            return attempt.commit(self.receipt(context), body)

    def _batches(
        self, context: Context, shard: InputShard, reading: Reading, leave: Leave, report: Report
    ) -> Iterator[pa.RecordBatch]:
        if self.segment:
            yield from _survivors(context, self.segment, shard, reading, leave, report)
            return
        split = shard.split if self.start is None else replace(shard.split, start=self.start, searched=False)
        position = 0
        for chunk in shard.source.read(split, open_local, BATCH_BYTES):
            reading.passed_over.update(chunk.passed_over)
            reading.began = chunk.began if chunk.began is not None else reading.began
            reading.ended = chunk.ended if chunk.ended is not None else reading.ended
            batch = _addressed(chunk.records, shard, reading.documents)
            reading.documents += batch.num_rows
            report({"documents": batch.num_rows, "bytes": chunk.position - position})
            position = chunk.position
            if batch.num_rows:
                yield take_errors(count_chars_in(batch), "read", leave)


class _Ends:
    """Where a segment's documents go: to the next segment with what its barriers want to know, or to documents/."""

    def __init__(self, context: Context, attempt: Attempt, segment: int, shard: str) -> None:
        self._context, self._attempt, self._segment, self._shard = context, attempt, segment, shard
        barriers = context.segments[segment].barriers
        self._verdicts = [
            (b, KeyedFile(attempt.file(context.emitted(b.name, shard)), emission_schema(b)))
            for b in barriers
            if isinstance(b, Verdict)
        ]
        self._summaries: list[tuple[Summary, list[pa.Table]]] = [(b, []) for b in barriers if isinstance(b, Summary)]
        self._last = not barriers
        self._documents = (
            attempt.parquet(f"documents/{shard}.parquet", "documents", context.documents) if self._last else None
        )
        self._survivors: pa.ipc.RecordBatchFileWriter | None = None

    def take(self, batch: pa.RecordBatch) -> None:
        if self._documents is not None:
            self._documents.write(batch)
            return
        for barrier, file in self._verdicts:
            file.write(_with_shard(barrier.emit(batch), batch))
        for summary, parts in self._summaries:
            parts.append(summary.observe(batch))
        batch = batch.select(self._context.carried(self._segment, batch.schema))
        self._open(batch.schema).write_batch(batch)

    def close(self) -> None:
        if self._documents is not None:
            return
        for _, file in self._verdicts:
            file.close()
        for summary, parts in self._summaries:
            if parts:
                table = summary.merge(pa.concat_tables(parts))
                with pa.ipc.new_file(
                    self._attempt.file(self._context.emitted(summary.name, self._shard)), table.schema
                ) as writer:
                    writer.write_table(table)
        self._open(SOURCE_COLUMNS).close()

    def _open(self, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
        if self._survivors is None:
            file = self._attempt.file(self._context.survivors(self._segment, self._shard))
            self._survivors = pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        return self._survivors


def _addressed(records: pa.RecordBatch, shard: InputShard, first_row: int) -> pa.RecordBatch:
    """A reader's batch with the columns of TRAVELLING."""
    n = records.num_rows
    columns = [
        pa.array(np.full(n, shard.index, np.int32)),
        pa.array(np.arange(first_row, first_row + n, dtype=np.int64)),
        pa.array(np.full(n, shard.source.priority, np.int32)),
        pa.nulls(n, pa.int64()),
    ]
    records = records.cast(RECORD) if records.schema != RECORD else records
    return pa.RecordBatch.from_arrays([*records.columns, *columns], schema=pa.schema([*RECORD, *TRAVELLING]))


def _survivors(
    context: Context, segment: int, shard: InputShard, reading: Reading, leave: Leave, report: Report
) -> Iterator[pa.RecordBatch]:
    """What the previous segment left of `shard`, less what the barriers between took."""
    verdicts = [(b, verdicts_of(context, b, shard.index)) for b in context.verdicts_before(segment)]
    with pa.memory_map(str(context.out / context.survivors(segment - 1, shard.name))) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            reading.documents += batch.num_rows
            report({"documents": 0, "bytes": 0})
            for barrier, verdict in verdicts:
                batch = _judge(batch, barrier, verdict, leave)
            yield batch


def _judge(batch: pa.RecordBatch, barrier: Verdict, verdicts: pa.RecordBatch, leave: Leave) -> pa.RecordBatch:
    """Let the documents leave that `verdicts` (of this shard, by row) are about."""
    rows = batch["row"].to_numpy()
    removed = verdicts["row"].to_numpy()
    place = np.searchsorted(removed, rows)
    leaves = np.zeros(len(rows), bool)
    inside = place < len(removed)
    leaves[inside] = removed[place[inside]] == rows[inside]
    if not leaves.any():
        return batch
    evidence = verdicts.take(pa.array(place[leaves]))
    gone = batch.filter(pa.array(leaves))
    leave(
        Leaving(
            batch=gone,
            fate=ledger.DUPLICATE,
            stage=barrier.name,
            rule=pa.repeat(barrier.name, gone.num_rows),
            keeper=evidence,
        )
    )
    return batch.filter(pa.array(~leaves))


def _with_shard(rows: pa.RecordBatch, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Emitted rows with the address of the document each is about."""
    for name in ADDRESS.names:
        if name not in rows.schema.names:
            rows = rows.append_column(ADDRESS.field(name), batch[name])
    return rows
