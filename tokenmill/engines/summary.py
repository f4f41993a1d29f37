"""Summaries: what the shards observed, merged into one asset of the run."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.barrier import Summary
from tokenmill.core.errors import DataError
from tokenmill.engines.address import read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests import checked_json
from tokenmill.manifests.attempt import Attempt

AHEAD = 32  # shards looked at together


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryTask(Task):
    """Merge what the shards observed, and finish it."""

    segment: int
    barrier: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"summary {context.segments[self.segment].barriers[self.barrier].name}"

    def receipt(self, context: Context) -> str:
        return context.receipt("summaries", context.segments[self.segment].barriers[self.barrier].name)

    def run(self, context: Context, report: Report) -> Receipt:
        barrier = context.segments[self.segment].barriers[self.barrier]
        assert isinstance(barrier, Summary)
        merged: pa.Table | None = None
        shards = iter(context.plan.shards)
        with ThreadPoolExecutor(AHEAD) as readers:  # in an object store each is two waits
            while some := list(islice(shards, AHEAD)):
                for path in readers.map(lambda shard: self._observed(context, barrier.name, shard.name), some):
                    if path is not None:
                        # One after the other: memory is two of them, however many shards there are.
                        part = read_whole(path)
                        merged = part if merged is None else barrier.merge(pa.concat_tables([merged, part]))
        merged = barrier.nothing() if merged is None else merged
        if merged is None:
            raise DataError(
                f"{barrier.name}: no document is left to summarise; look at the ledger for what dropped them"
            )
        done = barrier.finish(barrier.merge(merged)).combine_chunks()
        with Attempt(context.out) as attempt:
            file = attempt.parquet(context.summary(barrier), "assets", done.schema)
            for batch in done.to_batches():
                file.write(batch)
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context)})

    def _observed(self, context: Context, summary: str, shard: str) -> Path | None:
        """What a shard observed; None if that is nothing: what lies there then is of an earlier input."""
        name = context.observed(summary, shard)
        receipt = checked_json.load_from(context.out, context.receipt(f"segment-{self.segment}", shard))
        return context.out.path(name) if name in receipt["work"] else None


def read_summary(context: Context, name: str | None) -> pa.Table | None:
    return None if name is None else pq.read_table(context.out.path(context.summary(name)))
