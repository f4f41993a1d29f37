"""Run one segment on one shard: read, every stage in turn, write what is left. The same function on every engine."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.document import BATCH_BYTES, RECORD, TRAVELLING
from tokenmill.engines.context import Context
from tokenmill.engines.digest import digest
from tokenmill.engines.ends import Ends
from tokenmill.engines.loop import Leave, count_chars_in, run_stages, take_errors
from tokenmill.engines.outcome import Outcome
from tokenmill.engines.plan import InputShard
from tokenmill.engines.survivors import Survivors
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests.attempt import Attempt
from tokenmill.manifests.remote_stream import open_uri


@dataclass(slots=True)
class Reading:
    """What reading a shard told besides its documents."""

    passed_over: Counter[str]
    began: int | None = None
    ended: int | None = None
    documents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask(Task):
    """Segment `segment` on shard `shard` (of the plan). `start` moves the beginning of a searched range."""

    segment: int
    shard: int
    inputs: str
    start: int | None = None

    def fingerprint(self, context: Context) -> str:
        """Of the shard's own input too, while that is what is read: one changed file costs its own shards alone."""
        if self.segment:
            return self.inputs
        shard = context.plan.shards[self.shard].fingerprint()
        return digest([self.inputs, shard if self.start is None else f"{shard}@{self.start}"])

    def accepts(self, context: Context, receipt: Receipt) -> bool:
        """Of a range that was moved too: whether it had to be, its neighbour's receipt says."""
        moved = replace(self, start=receipt["start"]) if self.start is None else self
        return bool(receipt["inputs"] == moved.fingerprint(context))

    def describe(self, context: Context) -> str:
        shard = context.plan.shards[self.shard]
        return f"{shard.name} ({shard.split.file.uri}), segment {self.segment}"

    def receipt(self, context: Context) -> str:
        return context.receipt(f"segment-{self.segment}", context.plan.shards[self.shard].name)

    def run(self, context: Context, report: Report) -> Receipt:
        """Returns the receipt: files, counts, totals (of a closing segment), `began` and `ended` of a range."""
        shard = context.plan.shards[self.shard]
        reading = Reading(Counter())
        with Attempt(context.out) as attempt:
            outcome = Outcome(context, attempt, self.segment, shard.name)
            ends = Ends(context, attempt, self.segment, shard.name)
            kept, text_bytes = 0, 0
            for batch in self._batches(context, attempt, shard, reading, outcome.leave, report):
                batch = run_stages(context.segments[self.segment].stages, batch, outcome.leave)
                if batch.num_rows:
                    ends.take(batch)
                    if self.segment == context.closing:
                        outcome.keep(batch)
                kept += batch.num_rows
                text_bytes += _text_bytes(batch)
                report({"kept": batch.num_rows})
            ends.close()
            totals = outcome.close()
            body = {
                "inputs": self.fingerprint(context),
                "start": self.start,
                "documents": reading.documents,
                "kept": kept,
                "text_bytes": text_bytes,
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
        self,
        context: Context,
        attempt: Attempt,
        shard: InputShard,
        reading: Reading,
        leave: Leave,
        report: Report,
    ) -> Iterator[pa.RecordBatch]:
        if self.segment:

            def arrived(documents: int) -> None:
                reading.documents += documents
                report({"documents": 0, "bytes": 0})

            yield from Survivors(context, attempt, self.segment, shard, leave).batches(arrived)
            return
        split = shard.split if self.start is None else replace(shard.split, start=self.start, searched=False)
        position = 0
        file = split.file
        opened = partial(open_uri, size=file.size or None, modified_ns=file.modified_ns)
        for chunk in shard.source.read(split, opened, BATCH_BYTES):
            reading.passed_over.update(chunk.passed_over)
            reading.began = chunk.began if chunk.began is not None else reading.began
            reading.ended = chunk.ended if chunk.ended is not None else reading.ended
            batch = _addressed(chunk.records, shard, reading.documents)
            reading.documents += batch.num_rows
            report({"documents": batch.num_rows, "bytes": chunk.position - position})
            position = chunk.position
            if batch.num_rows:
                yield take_errors(count_chars_in(batch), "read", leave)


def _text_bytes(batch: pa.RecordBatch) -> int:
    return pc.sum(pc.binary_length(batch["text"])).as_py() or 0 if "text" in batch.schema.names else 0


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
