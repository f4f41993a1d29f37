"""What every task of a run knows: the plan, and where the run's files lie."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import Regroup, Round, Summary, Verdict
from tokenmill.core.document import DOCUMENT, INTERNAL, TRAVELLING
from tokenmill.core.recipe import Segment
from tokenmill.engines.plan import Plan
from tokenmill.kernels.device import Device
from tokenmill.manifests.store import WORK, Store

MERGED_FROM = 1_000  # shards; the rows of fewer are read where they lie: merging writes all of them once more


@dataclass(frozen=True, kw_only=True)
class Context:
    """Sent to each worker once. Paths are methods here, so that no two places spell one differently."""

    plan: Plan
    out: Store
    device: Device = "cpu"  # of kernels that give the same on each
    merged_from: int = MERGED_FROM
    assets: str | None = None  # path or URL of a cache of assets by content, which all machines reach
    scratch: Path | None = None  # on each machine, for assets that are fetched; None: they are where their uris say

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        return self.plan.recipe.segments()

    @cached_property
    def closing(self) -> int:
        """The segment behind which no document can leave: it writes the ledger."""
        regroups = [n for n, s in enumerate(self.segments) if any(isinstance(b, Regroup) for b in s.barriers)]
        return regroups[0] if regroups else len(self.segments) - 1

    @cached_property
    def measures(self) -> pa.Schema:
        """id, row, and every measure the recipe records."""
        return pa.schema(
            [DOCUMENT.field("id"), pa.field("row", pa.int64(), nullable=False), *self.plan.recipe.measures()]
        )

    @cached_property
    def documents(self) -> pa.Schema:
        """The columns of documents/ and dropped/: DOCUMENT, and what stages added beside measures."""
        columns = self.plan.recipe.check()
        hidden = {*INTERNAL, *self.plan.recipe.measures().names, *DOCUMENT.names}
        return pa.schema([*DOCUMENT, *(f for f in columns if f.name not in hidden)])

    def shard_names(self, shards: pa.Int32Array) -> pa.StringArray:
        """The names of shards by their numbers; negative ones are of the index that the run is deduplicated against."""
        numbers = shards.to_numpy()
        return self._names.take(pa.array(np.where(numbers < 0, len(self.plan.shards) - 1 - numbers, numbers)))

    @cached_property
    def _names(self) -> pa.StringArray:
        """Of the plan's shards, then of the index's."""
        return pa.array([*(s.name for s in self.plan.shards), *(s.name for s in self.plan.index)], pa.string())

    def carried(self, segment: int, columns: pa.Schema) -> list[str]:
        """Which of `columns` must travel from `segment` on: all, or what a format and the steps before it read."""
        recipe = self.plan.recipe
        if recipe.format is None or self.regroup_of(segment) is None:
            return list(columns.names)
        later = [s for seg in self.segments[segment + 1 :] for s in (*seg.stages, *seg.barriers)]
        readers = [self.regroup_of(segment), *later, recipe.format]
        needed = {"id", "source", *TRAVELLING.names} | {
            f.name for step in readers if step is not None for f in step.reads
        }
        return [name for name in columns.names if name in needed]

    @cached_property
    def indexed_barriers(self) -> list[Verdict]:
        """The barriers whose knowledge of the kept documents becomes an index."""
        if not self.plan.recipe.indexes:
            return []
        return [b for b in self.plan.recipe.steps if isinstance(b, Verdict) and b.index is not None]

    def verdict(self, segment: int, place: int) -> Verdict:
        """The barrier at `place` among those that end `segment`, which a task is about."""
        barrier = self.segments[segment].barriers[place]
        assert isinstance(barrier, Verdict)
        return barrier

    def emitters(self, barrier: Verdict) -> list[str]:
        """The names of all shards that emit rows for `barrier`, those of an index last."""
        index = self.plan.index if barrier.index is not None else ()
        return [*(s.name for s in self.plan.shards), *(s.name for s in index)]

    def verdicts_before(self, segment: int) -> list[Verdict]:
        return [b for b in self.segments[segment - 1].barriers if isinstance(b, Verdict)] if segment else []

    def regroup_of(self, segment: int) -> Regroup | None:
        """The Regroup that ends `segment`, if any."""
        if segment < 0:
            return None
        return next((b for b in self.segments[segment].barriers if isinstance(b, Regroup)), None)

    # Paths. Receipts and work files have one layout on every engine.

    def receipts(self, phase: str) -> str:
        """The folder of a phase's receipts."""
        return f"{WORK}/receipts/{phase}"

    def receipt(self, phase: str, name: str) -> str:
        return f"{self.receipts(phase)}/{name}.json"

    def survivors(self, segment: int, shard: str) -> str:
        return f"{WORK}/segment-{segment}/{shard}.arrow"

    def left(self, segment: int, shard: str, what: str) -> str:
        return f"{WORK}/segment-{segment}/{shard}.{what}.arrow"

    def observed(self, summary: str, shard: str) -> str:
        return f"{WORK}/observed/{summary}/{shard}.arrow"

    def kept(self, barrier: str, shard: str) -> str:
        return f"{WORK}/kept/{barrier}/{shard}.arrow"

    def emitted(self, barrier: str, round_: Round, shard: str) -> str:
        return f"{WORK}/emitted/{barrier}.{round_.name}/{shard}.arrow"

    def merged_folder(self, barrier: str, round_: int) -> str:
        return f"{WORK}/merged/{barrier}/{round_}"

    def merged(self, barrier: str, round_: int, group: int) -> str:
        return f"{self.merged_folder(barrier, round_)}/{group:05d}.arrow"

    def reduced(self, what: str, barrier: str, round_: Round, partition: str) -> str:
        """`what` is verdicts, answers or links."""
        return f"{WORK}/{what}/{barrier}/{round_.name}.{partition}.arrow"

    def left_for_index(self, barrier: str, shard: str) -> str:
        return f"{WORK}/index/{barrier}/{shard}.arrow"

    def index(self, barrier: str, shard: str) -> str:
        return f"index/{barrier}/{shard}.parquet"

    def spans(self, barrier: str, shard: str) -> str:
        return f"spans/{shard}.{barrier}.parquet"

    def pieces(self, barrier: str, shard: str) -> str:
        return f"{WORK}/pieces/{barrier}/{shard}.arrow"

    def summary(self, barrier: Summary | str) -> str:
        return f"assets/{barrier if isinstance(barrier, str) else barrier.name}.parquet"

    def dropped(self, segment: int, shard: str) -> str:
        behind = "" if segment == 0 else f".after-{self.segments[segment - 1].barriers[-1].name}"
        return f"dropped/{shard}{behind}.parquet"
