"""A round's rows through Spark's shuffle: those of one emitter go out by range of keys, those of one range come in.

A row of the DataFrame holds up to PACKED_BYTES of emitted rows as one Arrow message, beside the number of their
range. So every type of Arrow's arrives as it left (Spark has no unsigned numbers, no fixed-size binary, no large
lists), and the JVM moves a few large values instead of taking each narrow row apart and putting it together again.
"""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import TokenmillError
from tokenmill.engines.address import Addresses, addresses
from tokenmill.engines.context import Context
from tokenmill.engines.in_task import as_ours
from tokenmill.engines.keyed_file import key_range
from tokenmill.engines.reduce import ReduceTask, emission_schema, verdicts_of
from tokenmill.engines.task import Receipt, Report, Task

PACKED_BYTES = 1 << 20
AT_ONCE = 32  # rows of the DataFrame that Spark hands to Python together

PACKED = pa.schema([("range", pa.int32()), ("rows", pa.binary()), ("failure", pa.binary())])
PACKED_FOR_SPARK = "range int, rows binary, failure binary"


def send(context: Context, tasks: Sequence[ReduceTask], emitter: int) -> Iterator[pa.RecordBatch]:
    """PACKED: what one emitter has for each of `tasks`, which are of one round.

    The first emitter has a message for each, so that none is without. A failure goes to all of them: raised here, it
    would be tried again and again by Spark.
    """
    try:
        yield from _rows_for(context, tasks, emitter)
    except Exception as error:
        name = context.emitters(context.verdict(tasks[0].segment, tasks[0].barrier))[emitter]
        failure = pickle.dumps(as_ours(error, f"{tasks[0].describe(context)}, from {name}"))
        yield from (_packed(number, None, failure) for number in range(len(tasks)))


def _rows_for(context: Context, tasks: Sequence[ReduceTask], emitter: int) -> Iterator[pa.RecordBatch]:
    first = tasks[0]
    barrier = context.verdict(first.segment, first.barrier)
    name = context.emitters(barrier)[emitter]
    removed = _removed_of(context, first, emitter)
    schema = emission_schema(barrier.rounds[first.round])
    for number, task in enumerate(tasks):
        if emitter == 0:
            yield _packed(number, None)
        for batch in task.rows(context, name, key_range(task.partition, task.of), removed):
            rows_each = max(1, PACKED_BYTES * batch.num_rows // max(1, batch.nbytes))
            for start in range(0, batch.num_rows, rows_each):
                some = batch.slice(start, rows_each).select(schema.names)
                yield _packed(number, some.serialize().to_pybytes())


def _removed_of(context: Context, task: ReduceTask, emitter: int) -> Addresses:
    """`task.removed`, as far as it is about documents of this emitter: those of an index are never removed."""
    earlier = context.segments[task.segment].barriers[: task.barrier]
    none = np.zeros(0, np.int64)
    if emitter >= len(context.plan.shards):
        return none
    parts = [addresses(verdicts_of(context, b, emitter)) for b in earlier if isinstance(b, Verdict)]
    return np.sort(np.concatenate([none, *parts]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideTask(Task):
    """A ReduceTask on rows that have come to it, as PACKED."""

    task: ReduceTask
    packed: Sequence[pa.RecordBatch]
    inputs: str

    def describe(self, context: Context) -> str:
        return self.task.describe(context)

    def receipt(self, context: Context) -> str:
        return self.task.receipt(context)

    def run(self, context: Context, report: Report) -> Receipt:
        round_ = context.verdict(self.task.segment, self.task.barrier).rounds[self.task.round]
        schema = emission_schema(round_)
        return self.task.decide(context, list(_unpacked(self.packed, schema)))


def _unpacked(packed: Sequence[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Without a copy: the rows stay where Spark's batches have them. Raises what a sender met."""
    for batch in packed:
        for failure in batch["failure"]:
            if failure.is_valid:
                met: TokenmillError = pickle.loads(failure.as_py())
                raise met
        for rows in batch["rows"]:
            if rows.is_valid:
                yield pa.ipc.read_record_batch(rows.as_buffer(), schema)


def _packed(number: int, rows: bytes | None, failure: bytes | None = None) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array([v], t.type) for v, t in zip((number, rows, failure), PACKED, strict=True)], PACKED
    )
