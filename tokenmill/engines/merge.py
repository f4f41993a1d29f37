"""Many small keyed files as a few: where shards times ranges of keys would be more reads than any storage answers.

A range of keys of 1,000,000 shards is 1,000,000 reads of some 200 bytes, and Linux maps 65,530 files a process at most.
Merged 512 at a time, and ordered over the whole file, it is one read of each of 2,000 files: of a store of objects too,
where nothing else of them is fetched. The rows are the same, and no order of theirs matters.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import Regroup, Verdict
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import RUN_BYTES, KeyedReader, OrderedFile, key_range, read_keys
from tokenmill.engines.summary import read_summary
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests.attempt import Attempt

FILES = 512  # in one, at most
BYTES = 4 << 30  # in one, about: it is written on one machine's scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeTask(Task):
    """One file of those numbered first..stop-1 that the shards have written for one barrier.

    Memory: RUN_BYTES of rows, twice. Every run of the inputs is read front to back as the ranges go by.
    """

    segment: int
    barrier: int
    round: int  # of a verdict's
    group: int
    first: int
    stop: int
    bytes: int
    inputs: str

    def describe(self, context: Context) -> str:
        name = context.segments[self.segment].barriers[self.barrier].name
        return f"rows of {name}, files {self.first:,} to {self.stop - 1:,}"

    def receipt(self, context: Context) -> str:
        name = context.segments[self.segment].barriers[self.barrier].name
        return context.receipt(f"merged-{name}.{self.round}", f"{self.group:05d}")

    def run(self, context: Context, report: Report) -> Receipt:
        barrier = context.segments[self.segment].barriers[self.barrier]
        names = written_names(context, self.segment, self.barrier, self.round)[self.first : self.stop]
        merged: OrderedFile | None = None
        with Attempt(context.out) as attempt, ExitStack() as stack:
            readers = [stack.enter_context(KeyedReader(context.out.path(name))) for name in names]
            file = attempt.file(context.merged(barrier.name, self.round, self.group))
            for low, high in _ranges(context, barrier, max(1, -(-self.bytes // RUN_BYTES))):
                batches = [batch for reader in readers for batch in reader.between(low, high)]
                if batches:
                    # The first one's columns: those of shards without documents are not to be relied on.
                    merged = merged or OrderedFile(file, batches[0].schema)
                    merged.write(batches)
            if merged is None:
                merged = OrderedFile(file, pa.schema([("key", pa.uint64())]))
            merged.close()
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context)})


def _ranges(context: Context, barrier: object, of: int) -> Iterator[tuple[int, int]]:
    """`of` ranges of keys in ascending order: of a verdict's hashes, or of a regroup's groups."""
    if isinstance(barrier, Regroup):
        groups = len(barrier.groups(read_summary(context, barrier.wants)))
        of = min(of, groups)
        bounds = np.linspace(0, groups, of + 1).astype(int).tolist()
        yield from zip(bounds, bounds[1:], strict=False)
    else:
        yield from (key_range(number, of) for number in range(of))


def written_names(context: Context, segment: int, barrier: int, round_: int) -> list[str]:
    """What the shards have written for one round of a verdict, or for a regroup, in order of the shards."""
    found = context.segments[segment].barriers[barrier]
    if isinstance(found, Verdict):
        return [context.emitted(found.name, found.rounds[round_], name) for name in context.emitters(found)]
    return [context.pieces(found.name, shard.name) for shard in context.plan.shards]


def is_merged(context: Context, segment: int, barrier: int) -> bool:
    """Whether the rows of a barrier are merged before they are read."""
    found = context.segments[segment].barriers[barrier]
    index = len(context.plan.index) if isinstance(found, Verdict) and found.index is not None else 0
    return len(context.plan.shards) + index >= context.merged_from


def merge_tasks(first: MergeTask, sizes: Sequence[int]) -> list[MergeTask]:
    """Files in order, FILES of them or BYTES at a time; `sizes` are theirs, in bytes."""
    tasks: list[MergeTask] = []
    start = total = 0
    for number, size in enumerate([*sizes, 0]):
        if number > start and (number == len(sizes) or number - start == FILES or total + size > BYTES):
            where = {"group": len(tasks), "first": start, "stop": number, "bytes": total}
            tasks.append(
                MergeTask(segment=first.segment, barrier=first.barrier, round=first.round, inputs=first.inputs, **where)
            )
            start, total = number, 0
        total += size
    return tasks


def rows_between(
    context: Context, segment: int, barrier: int, round_: int, low: int, high: int
) -> Iterator[pa.RecordBatch]:
    """All rows with low <= key < high: of what the shards have written, or of what was merged of that."""
    if is_merged(context, segment, barrier):
        name = context.segments[segment].barriers[barrier].name
        for merged in context.out.names(context.merged_folder(name, round_)):
            yield from read_keys(context.out.opened(merged), low, high)
    else:
        for name in written_names(context, segment, barrier, round_):
            yield from read_keys(context.out.path(name), low, high)
