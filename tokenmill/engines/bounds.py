"""The circuit breaker: a verdict that takes more than its recipe allows stops the run and shows what it took."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import SpanVerdict, Verdict
from tokenmill.core.errors import DataError
from tokenmill.engines.address import ROW_BITS, Addresses, addresses, read_whole
from tokenmill.engines.context import Context
from tokenmill.engines.reduce import files_of, removed_by
from tokenmill.engines.task import Receipt, Report, Task
from tokenmill.manifests import checked_json
from tokenmill.manifests.attempt import Attempt

DOCUMENTS_AT_LEAST = 100  # a source smaller than this may lose any share: a handful of copies proves nothing
_SHOWN = 3  # removed documents in the evidence
_EXCERPT = 160  # characters of each


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundsTask(Task):
    """Count what a verdict took, by source and by keeper; raise DataError beyond its bounds. 32 bytes a verdict."""

    segment: int
    barrier: int
    inputs: str

    def describe(self, context: Context) -> str:
        return f"bounds of {context.verdict(self.segment, self.barrier).name}"

    def receipt(self, context: Context) -> str:
        return context.receipt("bounds", context.verdict(self.segment, self.barrier).name)

    def run(self, context: Context, report: Report) -> Receipt:
        barrier = context.verdict(self.segment, self.barrier)
        tables = [read_whole(path) for path in files_of(context, "verdicts", barrier)]
        removed = np.concatenate([np.zeros(0, np.int64), *(addresses(t) for t in tables)])
        keepers = np.concatenate([np.zeros(0, np.int64), *(addresses(t, "keeper_") for t in tables)])
        if isinstance(barrier, SpanVerdict):
            cut = np.concatenate(
                [np.zeros(0, np.int64), *(pc.subtract(t["stop"], t["start"]).to_numpy() for t in tables)]
            )
            self._check_sources(context, barrier, removed, keepers, cut, _bytes_of_text)
            counts = {"spans": len(removed), "bytes": int(cut.sum())}
        else:
            self._check_sources(context, barrier, removed, keepers, np.ones(len(removed), np.int64), _documents)
            counts = {
                "removed": len(removed),
                "largest_cluster": self._check_clusters(context, barrier, removed, keepers),
            }
        with Attempt(context.out) as attempt:
            return attempt.commit(self.receipt(context), {"inputs": self.fingerprint(context), "counts": counts})

    def _check_clusters(self, context: Context, barrier: Verdict, removed: Addresses, keepers: Addresses) -> int:
        """Documents removed for the keeper of most."""
        largest, at = _largest_cluster(keepers)
        bound = barrier.bounds.cluster_at_most
        if bound is not None and largest > bound:
            evidence = _evidence(context, self.segment, at, removed[keepers == at])
            raise DataError(
                f"one document would stand for {largest:,} others, the bound is {bound:,}. {evidence}. If that is "
                f"right, raise it: --set {barrier.name}.cluster_at_most=N (or none), with a new --out"
            )
        return largest

    def _check_sources(
        self,
        context: Context,
        barrier: Verdict,
        removed: Addresses,
        keepers: Addresses,
        weights: Addresses,
        had_by: Callable[[Context, int, str], tuple[int, int]],
    ) -> None:
        """`weights`: what each verdict takes. `had_by` tells (what, documents) a shard had, in the same unit."""
        bound = barrier.bounds.lost_share_at_most
        if bound is None:
            return
        unit = "bytes of text" if isinstance(barrier, SpanVerdict) else "documents"
        shards_at_least = len(context.plan.shards)
        lost = np.bincount(removed >> ROW_BITS, weights, minlength=shards_at_least)
        earlier = context.segments[self.segment].barriers[: self.barrier]
        before = removed_by(context, [b for b in earlier if isinstance(b, Verdict)])
        gone_before = np.bincount(before >> ROW_BITS, minlength=shards_at_least)
        for source in context.plan.sources:
            shards = [s for s in context.plan.shards if s.source.name == source.name]
            each = [had_by(context, self.segment, s.name) for s in shards]
            had, documents = sum(h for h, _ in each), sum(d for _, d in each)
            if documents:  # of what earlier verdicts of the pass have left; of text, in proportion
                left = documents - int(sum(gone_before[s.index] for s in shards))
                had, documents = had * left // documents, left
            gone = int(sum(lost[s.index] for s in shards))
            if documents >= DOCUMENTS_AT_LEAST and gone > bound * had:
                mine = np.isin(removed >> ROW_BITS, [s.index for s in shards])
                largest, at = _largest_cluster(keepers[mine])
                evidence = _evidence(context, self.segment, at, np.unique(removed[mine & (keepers == at)]))
                raise DataError(
                    f"source {source.name} would lose {gone:,} of {had:,} {unit} ({gone / had:.1%}), the bound is "
                    f"{bound:.1%}; {largest:,} times to one document. {evidence}. If that is right, raise it: "
                    f"--set {barrier.name}.lost_share_at_most=SHARE (or none), with a new --out"
                )


def _largest_cluster(keepers: Addresses) -> tuple[int, int]:
    """(documents removed for it, address) of the keeper of most; the smaller address of two."""
    if not len(keepers):
        return 0, 0
    distinct, counts = np.unique(keepers, return_counts=True)
    place = int(np.argmax(counts))
    return int(counts[place]), int(distinct[place])


def _documents(context: Context, segment: int, shard: str) -> tuple[int, int]:
    kept = int(_receipt(context, segment, shard)["kept"])
    return kept, kept


def _bytes_of_text(context: Context, segment: int, shard: str) -> tuple[int, int]:
    receipt = _receipt(context, segment, shard)
    return int(receipt["text_bytes"]), int(receipt["kept"])


def _receipt(context: Context, segment: int, shard: str) -> dict[str, Any]:
    """What the shard's task said of the documents that came to the barrier."""
    return checked_json.load_from(context.out, context.receipt(f"segment-{segment}", shard))


def _evidence(context: Context, segment: int, keeper: int, removed: Addresses) -> str:
    """The kept document and some of those that would go, by address and by how they begin."""
    lines = [f"It would keep {_shown(context, segment, keeper)}"]
    lines += [f"and take {_shown(context, segment, int(address))}" for address in np.sort(removed)[:_SHOWN]]
    return "; ".join(lines)


def _shown(context: Context, segment: int, address: int) -> str:
    shard, row = address >> ROW_BITS, address & ((1 << ROW_BITS) - 1)
    name = context.plan.shard_name(shard)
    if shard < 0:
        return f"row {row} of {name}, of the index"
    with pa.memory_map(str(context.out.path(context.survivors(segment, name)))) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            found = np.flatnonzero(batch["row"].to_numpy() == row)
            if len(found):
                text = batch["text"][int(found[0])].as_py() or ""
                id_ = batch["id"][int(found[0])].as_py()
                return f"{id_} (row {row} of {name}: {' '.join(text[:_EXCERPT].split())!r})"
    return f"row {row} of {name}"
