"""Barriers that need no document to move: verdicts about documents, and summaries of all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.barrier import ADDRESS, VERDICTS, Summary, Verdict
from tokenmill.core.errors import DataError
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import key_range, read_keys
from tokenmill.engines.task import Report
from tokenmill.manifests.attempt import Attempt

PARTITION_BYTES = 256 << 20  # of emitted rows: what one task sorts in memory


def emission_schema(barrier: Verdict) -> pa.Schema:
    """The columns that `barrier` emits, and the address of the document each row is about."""
    return pa.schema([*barrier.emits, *(f for f in ADDRESS if f.name not in barrier.emits.names)])


def partitions(context: Context, barrier: Verdict) -> int:
    """How many ranges of keys `barrier` is decided in: by the size of what was emitted, never by the workers."""
    if barrier.whole:
        return 1
    emitted = sum((context.out / context.emitted(barrier.name, s.name)).stat().st_size for s in context.plan.shards)
    return max(1, -(-emitted // PARTITION_BYTES))


def partition_name(number: int, of: int) -> str:
    return f"{number:05d}-of-{of:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictTask:
    """Decide one range of keys of a Verdict barrier."""

    segment: int
    barrier: int  # its place among the segment's barriers
    partition: int
    of: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"{self._barrier(context).name}, keys {partition_name(self.partition, self.of)}"

    def receipt(self, context: Context) -> Path:
        return context.receipt(f"verdicts-{self._barrier(context).name}", partition_name(self.partition, self.of))

    def _barrier(self, context: Context) -> Verdict:
        barrier = context.segments[self.segment].barriers[self.barrier]
        assert isinstance(barrier, Verdict)
        return barrier

    def run(self, context: Context, report: Report) -> dict[str, Any]:
        barrier = self._barrier(context)
        low, high = key_range(self.partition, self.of)
        removed = _removed_by(context, context.segments[self.segment].barriers[: self.barrier])
        batches = [
            _without(batch, removed)
            for shard in context.plan.shards
            for batch in read_keys(context.out / context.emitted(barrier.name, shard.name), low, high)
        ]
        rows = pa.Table.from_batches(batches, emission_schema(barrier))
        verdicts, counts = barrier.decide(rows)
        verdicts = (
            verdicts.select(VERDICTS.names)
            .cast(VERDICTS)
            .combine_chunks()
            .sort_by([("shard", "ascending"), ("row", "ascending")])
        )
        address = _addresses(verdicts)
        if len(address) > 1 and (np.diff(address) == 0).any():
            raise DataError(f"{barrier.name}: two verdicts about one document; mend the barrier's decide()")
        with Attempt(context.out) as attempt:
            file = attempt.file(context.verdicts(barrier.name, partition_name(self.partition, self.of)))
            with pa.ipc.new_file(file, VERDICTS) as writer:
                writer.write_table(verdicts)
            body = {"inputs": self.inputs, "counts": dict(sorted(counts.items())), "rows": rows.num_rows}
            return attempt.commit(self.receipt(context), body)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryTask:
    """Merge what the shards observed into one asset."""

    segment: int
    barrier: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"summary {context.segments[self.segment].barriers[self.barrier].name}"

    def receipt(self, context: Context) -> Path:
        return context.receipt("summaries", context.segments[self.segment].barriers[self.barrier].name)

    def run(self, context: Context, report: Report) -> dict[str, Any]:
        barrier = context.segments[self.segment].barriers[self.barrier]
        assert isinstance(barrier, Summary)
        parts = []
        for shard in context.plan.shards:
            path = context.out / context.emitted(barrier.name, shard.name)
            if path.exists():
                parts.append(_read_all(path))
        if not parts:
            raise DataError(
                f"{barrier.name}: no document is left to summarise; look at the ledger for what dropped them"
            )
        merged = barrier.merge(pa.concat_tables(parts)).combine_chunks()
        with Attempt(context.out) as attempt:
            file = attempt.parquet(context.summary(barrier), "assets", merged.schema)
            for batch in merged.to_batches():
                file.write(batch)
            return attempt.commit(self.receipt(context), {"inputs": self.inputs})


def read_summary(context: Context, name: str | None) -> pa.Table | None:
    return None if name is None else pq.read_table(context.out / context.summary(name))


def verdicts_of(context: Context, barrier: Verdict, shard: int) -> pa.RecordBatch:
    """The verdicts about documents that shard `shard` read, ordered by row."""
    found = []
    for path in sorted((context.out / context.verdicts(barrier.name, "x")).parent.glob("*.arrow")):
        table = _read_all(path)
        shards = table["shard"].to_numpy()
        first, last = np.searchsorted(shards, shard, "left"), np.searchsorted(shards, shard, "right")
        found.append(table.slice(int(first), int(last - first)))
    merged = pa.concat_tables([VERDICTS.empty_table(), *found]).sort_by("row").combine_chunks()
    return merged.to_batches()[0] if merged.num_rows else pa.RecordBatch.from_pylist([], VERDICTS)


def _read_all(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _addresses(rows: pa.Table | pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Shard and row as one number: 2^23 shards of up to 2^40 rows."""
    addresses: np.ndarray[Any, np.dtype[np.int64]] = (rows["shard"].to_numpy().astype(np.int64) << 40) | rows[
        "row"
    ].to_numpy()
    return addresses


def _removed_by(context: Context, barriers: Iterable[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Sorted addresses of what earlier verdicts of the same pass removed: 8 bytes each."""
    parts = [
        _addresses(_read_all(path))
        for barrier in barriers
        if isinstance(barrier, Verdict)
        for path in sorted((context.out / context.verdicts(barrier.name, "x")).parent.glob("*.arrow"))
    ]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


def _without(batch: pa.RecordBatch, removed: np.ndarray[Any, np.dtype[np.int64]]) -> pa.RecordBatch:
    if not len(removed):
        return batch
    return batch.filter(pa.array(~np.isin(_addresses(batch), removed, kind="sort")))
