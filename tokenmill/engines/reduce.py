"""The keys' side of a round: rows with equal keys meet, and answers go back by address."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, LINKS, SPANS, VERDICTS, Reduced, Round, SpanVerdict, Verdict
from tokenmill.core.errors import DataError
from tokenmill.engines.address import Addresses, addresses, by_address, is_among, of_shard, read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import key_range, read_keys
from tokenmill.engines.task import Report
from tokenmill.manifests.attempt import Attempt

PARTITION_BYTES = 256 << 20  # of emitted rows: what one task sorts in memory


def emission_schema(round_: Round) -> pa.Schema:
    """The columns that a round emits, and the address of the document each row is about."""
    return pa.schema([*round_.emits, *(f for f in ADDRESS if f.name not in round_.emits.names)])


def answer_schema(round_: Round) -> pa.Schema:
    return pa.schema([*ADDRESS, *(f for f in round_.answers if f.name not in ADDRESS.names)])


def verdict_schema(barrier: Verdict) -> pa.Schema:
    return SPANS if isinstance(barrier, SpanVerdict) else VERDICTS


def emitters(context: Context, barrier: Verdict) -> list[str]:
    """The names of all shards that emit rows for `barrier`, those of an index last."""
    index = context.plan.index if barrier.index is not None else ()
    return [*(s.name for s in context.plan.shards), *(s.name for s in index)]


def partitions(context: Context, barrier: Verdict, round_: Round) -> int:
    """How many ranges of keys a round is decided in: by the size of what was emitted, never by the workers."""
    names = emitters(context, barrier)
    emitted = sum((context.out / context.emitted(barrier.name, round_, name)).stat().st_size for name in names)
    return max(1, -(-emitted // PARTITION_BYTES))


def partition_name(number: int, of: int) -> str:
    return f"{number:05d}-of-{of:05d}"


def files_of(context: Context, what: str, barrier: Verdict, round_: Round | None = None) -> list[Path]:
    """The files of `what` (verdicts, answers or links) of one round, or of all of them, in order of their names."""
    folder = (context.out / context.reduced(what, barrier.name, round_ or barrier.rounds[0], "x")).parent
    return sorted(folder.glob(f"{round_.name}.*.arrow" if round_ else "*.arrow"))


def verdicts_of(context: Context, barrier: Verdict, shard: int) -> pa.RecordBatch:
    """What was decided about documents that shard `shard` read, ordered by row (and start)."""
    then = ("start", "stop") if isinstance(barrier, SpanVerdict) else ()
    return of_shard(files_of(context, "verdicts", barrier), verdict_schema(barrier), shard, *then)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceTask:
    """Decide one range of keys of one round of a Verdict."""

    segment: int
    barrier: int  # its place among the segment's barriers
    round: int
    partition: int
    of: int
    inputs: str

    def describe(self, context: Context) -> str:
        barrier, round_ = (
            context.verdict(self.segment, self.barrier),
            context.verdict(self.segment, self.barrier).rounds[self.round],
        )
        return f"{barrier.name}.{round_.name}, keys {partition_name(self.partition, self.of)}"

    def receipt(self, context: Context) -> Path:
        barrier, round_ = (
            context.verdict(self.segment, self.barrier),
            context.verdict(self.segment, self.barrier).rounds[self.round],
        )
        return context.receipt(f"reduced-{barrier.name}.{round_.name}", partition_name(self.partition, self.of))

    def run(self, context: Context, report: Report) -> dict[str, Any]:
        barrier = context.verdict(self.segment, self.barrier)
        round_ = barrier.rounds[self.round]
        low, high = key_range(self.partition, self.of)
        earlier = context.segments[self.segment].barriers[: self.barrier]
        removed = removed_by(context, [b for b in earlier if isinstance(b, Verdict)])
        batches = [
            _without(batch, removed)
            for name in emitters(context, barrier)
            for batch in read_keys(context.out / context.emitted(barrier.name, round_, name), low, high)
        ]
        rows = pa.Table.from_batches(batches, emission_schema(round_))
        reduced = round_.reduce(rows)
        with Attempt(context.out) as attempt:
            for what, table in _tables(barrier, round_, reduced).items():
                path = context.reduced(what, barrier.name, round_, partition_name(self.partition, self.of))
                with pa.ipc.new_file(attempt.file(path), table.schema) as writer:
                    writer.write_table(table)
            body = {"inputs": self.inputs, "counts": dict(sorted(reduced.counts.items())), "rows": rows.num_rows}
            return attempt.commit(self.receipt(context), body)


def _tables(barrier: Verdict, round_: Round, reduced: Reduced) -> dict[str, pa.Table]:
    """What a range of keys came to, checked and in order of address."""
    tables: dict[str, pa.Table] = {}
    if reduced.verdicts is not None:
        schema = verdict_schema(barrier)
        verdicts = by_address(reduced.verdicts.select(schema.names).cast(schema))
        about = addresses(verdicts)
        if schema is VERDICTS and len(about) > 1 and (np.diff(about) == 0).any():
            raise DataError(f"{barrier.name}: two verdicts about one document; mend the round {round_.name}")
        tables["verdicts"] = verdicts
    if reduced.answers is not None:
        schema = answer_schema(round_)
        tables["answers"] = by_address(reduced.answers.select(schema.names).cast(schema))
    if reduced.links is not None:
        tables["links"] = reduced.links.select(LINKS.names).cast(LINKS).combine_chunks()
    return tables


def removed_by(context: Context, barriers: list[Verdict]) -> Addresses:
    """Sorted addresses of what earlier verdicts of the same pass removed: 8 bytes each."""
    parts = [addresses(read_whole(path)) for b in barriers for path in files_of(context, "verdicts", b)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


def _without(batch: pa.RecordBatch, removed: Addresses) -> pa.RecordBatch:
    if not len(removed):
        return batch
    return batch.filter(pa.array(~is_among(addresses(batch), removed)))
