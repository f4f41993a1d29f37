"""The keys' side of a round: rows with equal keys meet, and answers go back by address."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, LINKS, SPANS, VERDICTS, Reduced, Round, SpanVerdict, Verdict
from tokenmill.core.errors import DataError
from tokenmill.engines.address import Addresses, addresses, by_address, is_among, of_shard, read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.keyed_file import key_range
from tokenmill.engines.merge import rows_between
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests.attempt import Attempt

PARTITION_BYTES = 256 << 20  # of emitted rows: what one task sorts in memory


def emission_schema(round_: Round) -> pa.Schema:
    """The columns that a round emits, and the address of the document each row is about."""
    return pa.schema([*round_.emits, *(f for f in ADDRESS if f.name not in round_.emits.names)])


def answer_schema(round_: Round) -> pa.Schema:
    return pa.schema([*ADDRESS, *(f for f in round_.answers if f.name not in ADDRESS.names)])


def verdict_schema(barrier: Verdict) -> pa.Schema:
    return SPANS if isinstance(barrier, SpanVerdict) else VERDICTS


def partitions(emitted_bytes: int) -> int:
    """How many ranges of keys a round is decided in: by the size of what was emitted, never by the workers."""
    return max(1, -(-emitted_bytes // PARTITION_BYTES))


def partition_name(number: int, of: int) -> str:
    return f"{number:05d}-of-{of:05d}"


def names_of(context: Context, what: str, barrier: Verdict, round_: Round | None = None) -> list[str]:
    """The files of `what` (verdicts, answers or links) of one round, or of all of them, in order of their names."""
    folder = context.reduced(what, barrier.name, round_ or barrier.rounds[0], "x").rpartition("/")[0]
    begins = f"{folder}/{round_.name}." if round_ else ""
    return [name for name in context.out.names(folder) if name.startswith(begins)]


def files_of(context: Context, what: str, barrier: Verdict, round_: Round | None = None) -> list[Path]:
    """The same, as files on this machine."""
    return [context.out.path(name) for name in names_of(context, what, barrier, round_)]


def verdicts_of(context: Context, barrier: Verdict, shard: int) -> pa.RecordBatch:
    """What was decided about documents that shard `shard` read, ordered by row (and start)."""
    then = ("start", "stop") if isinstance(barrier, SpanVerdict) else ()
    return of_shard(files_of(context, "verdicts", barrier), verdict_schema(barrier), shard, *then)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceTask(Task):
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

    def receipt(self, context: Context) -> str:
        barrier, round_ = (
            context.verdict(self.segment, self.barrier),
            context.verdict(self.segment, self.barrier).rounds[self.round],
        )
        return context.receipt(f"reduced-{barrier.name}.{round_.name}", partition_name(self.partition, self.of))

    def run(self, context: Context, report: Report) -> Receipt:
        # What earlier verdicts of the same pass took is out of the game.
        earlier = context.segments[self.segment].barriers[: self.barrier]
        removed = removed_by(context, [b for b in earlier if isinstance(b, Verdict)])
        keys = key_range(self.partition, self.of)
        rows = rows_between(context, self.segment, self.barrier, self.round, *keys)
        batches = [without(batch, removed) for batch in rows]
        return self.decide(context, batches)

    def decide(self, context: Context, batches: Sequence[pa.RecordBatch]) -> Receipt:
        """Decide on all rows of this task's keys, in whatever order they come, and commit."""
        barrier = context.verdict(self.segment, self.barrier)
        round_ = barrier.rounds[self.round]
        rows = pa.Table.from_batches(batches, emission_schema(round_))
        reduced = round_.reduce(rows)
        with Attempt(context.out) as attempt:
            for what, table in _tables(barrier, round_, reduced).items():
                path = context.reduced(what, barrier.name, round_, partition_name(self.partition, self.of))
                with pa.ipc.new_file(attempt.file(path), table.schema) as writer:
                    writer.write_table(table)
            body = {
                "inputs": self.fingerprint(context),
                "counts": dict(sorted(reduced.counts.items())),
                "rows": rows.num_rows,
                "links": 0 if reduced.links is None else reduced.links.num_rows,
            }
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


def removed_by(context: Context, barriers: list[Verdict], shards: tuple[int, int] | None = None) -> Addresses:
    """Sorted addresses of what verdicts removed, of all shards or of a first to a last one: 8 bytes each."""
    parts = [addresses(_of_shards(read_whole(p), shards)) for b in barriers for p in files_of(context, "verdicts", b)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


def _of_shards(verdicts: pa.Table, shards: tuple[int, int] | None) -> pa.Table:
    """Verdicts lie in order of address."""
    if shards is None:
        return verdicts
    numbers = verdicts["shard"].to_numpy()
    first, last = np.searchsorted(numbers, shards[0], "left"), np.searchsorted(numbers, shards[1], "right")
    return verdicts.slice(int(first), int(last - first))


def without(batch: pa.RecordBatch, removed: Addresses) -> pa.RecordBatch:
    if not len(removed):
        return batch
    return batch.filter(pa.array(~is_among(addresses(batch), removed)))
