"""A round's rows through an engine's own shuffle: out by range of keys from some emitters, in for one range from all.

A row of the engine's table holds some emitted rows as one Arrow message, beside the number of their range. So every
type of Arrow's arrives as it left (Spark has no unsigned numbers, pandas no fixed-size binary), and a few large values
travel instead of many narrow ones. The messages of many emitters are gathered before they go: else each would be a
few rows and a schema.
"""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import Verdict
from tokenmill.core.errors import TokenmillError
from tokenmill.engines.context import Context
from tokenmill.engines.in_task import as_ours
from tokenmill.engines.keyed_file import KeyedReader, key_range
from tokenmill.engines.reduce import ReduceTask, emission_schema, removed_by, without
from tokenmill.engines.task import Receipt, Report, Task

EMITTERS = 512  # gathered at a time: each is a mapped file
HELD_BYTES = 64 << 20  # of rows that wait for others of their range
PACKED_BYTES = 1 << 20

PACKED = pa.schema([("range", pa.int32()), ("rows", pa.binary()), ("failure", pa.binary())])


def send(context: Context, tasks: Sequence[ReduceTask], emitters: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """PACKED: what some emitters (by number, ascending) have for each of `tasks`, which are of one round.

    The first emitter of all has a message for each, so that none is without. A failure goes to all of them: raised
    here, it would be tried again and again by the engine.
    """
    try:
        if 0 in emitters:
            yield from (_packed(number, None) for number in range(len(tasks)))
        for start in range(0, len(emitters), EMITTERS):
            yield from _gathered(context, tasks, emitters[start : start + EMITTERS])
    except Exception as error:
        names = context.emitters(context.verdict(tasks[0].segment, tasks[0].barrier))
        failure = pickle.dumps(as_ours(error, f"{tasks[0].describe(context)}, from {names[emitters[0]]} and others"))
        yield from (_packed(number, None, failure) for number in range(len(tasks)))


def _gathered(context: Context, tasks: Sequence[ReduceTask], emitters: Sequence[int]) -> Iterator[pa.RecordBatch]:
    first = tasks[0]
    barrier = context.verdict(first.segment, first.barrier)
    round_ = barrier.rounds[first.round]
    names = context.emitters(barrier)
    earlier = [b for b in context.segments[first.segment].barriers[: first.barrier] if isinstance(b, Verdict)]
    shards = [number for number in emitters if number < len(context.plan.shards)]  # those of an index are not removed
    removed = removed_by(context, earlier, (shards[0], shards[-1])) if shards else np.zeros(0, np.int64)
    columns = emission_schema(round_).names
    ranges = [key_range(task.partition, task.of) for task in tasks]
    lows = np.array([low for low, _ in ranges], np.uint64)
    lasts = np.array([high - 1 for _, high in ranges], np.uint64)  # 2^64 is no uint64
    held: list[list[pa.RecordBatch]] = [[] for _ in tasks]
    waiting = 0
    for emitter in emitters:
        with KeyedReader(context.out.path(context.emitted(barrier.name, round_, names[emitter]))) as reader:
            for run in reader.between(0, 1 << 64):
                rows = without(run, removed).select(columns)
                keys = rows["key"].to_numpy()
                starts, stops = np.searchsorted(keys, lows, "left"), np.searchsorted(keys, lasts, "right")
                for number in np.flatnonzero(stops > starts).tolist():
                    held[number].append(rows.slice(int(starts[number]), int(stops[number] - starts[number])))
                waiting += rows.nbytes
                if waiting >= HELD_BYTES:
                    yield from _messages(held)
                    held, waiting = [[] for _ in tasks], 0
    yield from _messages(held)


def _messages(held: Sequence[Sequence[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    for number, batches in enumerate(held):
        if batches:
            rows = pa.concat_batches(batches)
            each = max(1, PACKED_BYTES * rows.num_rows // max(1, rows.nbytes))
            for start in range(0, rows.num_rows, each):
                yield _packed(number, rows.slice(start, each).serialize().to_pybytes())


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
    """Without a copy: the rows stay where the engine's batches have them. Raises what a sender met."""
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
