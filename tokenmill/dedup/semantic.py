"""Keep one of each set of documents that mean the same, as far as a model tells.

A document belongs to the centroid that it points at most nearly (cluster_sample.py). Within a cluster, over the pairs
whose cosine is at least `threshold`, walk the documents in order of preference (preference.py); a document is kept
unless a kept one is paired with it, and the most preferred such is its keeper (kernels/cosine_keepers.py).

Source: SemDeDup (Abbas et al. 2023, arXiv:2303.09540), as in NeMo Curator. Departures: who stays is a policy, not
the place relative to the centroid; they also remove what is near a document that was itself removed, we only what
was measured against the one that stays. The default threshold is NeMo Curator's eps of .01. What a cosine means is
the model's affair: look at pairs before believing one, and see `lost_share_at_most`.

Exact: bytes have exact dot products (kernels/int8_vectors.py), so the verdicts follow from the column `embedding` on
every machine. Missed: pairs that a border between clusters divides. Measured 2026-11-24 (benchmarks/semantic.py).
No index: another run has other centroids, and who once met would not meet again. Deduplicate both together.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import ADDRESS, Bounds, Reduced, Round, Verdict
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.dedup.embedding import EMBEDDING, vectors_of
from tokenmill.dedup.narrow_rows import column, verdicts
from tokenmill.dedup.preference import POLICY, check_policy, columns_of, preference, who, who_is
from tokenmill.kernels.cosine_keepers import cosine_keepers
from tokenmill.kernels.kmeans import nearest_centroids


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticDedup(Verdict):
    """Emits 76 bytes and the embedding per document; a task holds those of its clusters, twice while it decides.

    Cost: assigning takes centroids * dimensions multiply-adds a document, deciding at most comparisons_at_most *
    dimensions; 50 of them a ns on one core. Documents without an embedding meet nobody and stay.
    """

    name: ClassVar[str] = "semantic_dedup"
    revision: ClassVar[int] = 1
    wants: ClassVar[str | None] = "cluster_sample"

    threshold: float = 0.99  # cosine, above 0 and at most 1
    prefer: tuple[str, ...] = POLICY
    comparisons_at_most: int = 50_000  # per document: .5 ms at 384 dimensions; what it prevents counts as `unverified`
    lost_share_at_most: float | None = 0.5  # of a source: more says rather that the model cannot tell its texts apart
    cluster_at_most: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise RecipeError(f"{self.name}: threshold={self.threshold}, want more than 0 and at most 1")
        if self.comparisons_at_most < 1:
            raise RecipeError(f"{self.name}: comparisons_at_most={self.comparisons_at_most}, want at least 1")
        check_policy(self.prefer, self.name)

    @property
    def reads(self) -> pa.Schema:  # the policy's columns are among them
        return pa.schema([*columns_of(self.prefer), EMBEDDING])

    @property
    def keeps(self) -> pa.Schema:
        return pa.schema([pa.field("key", pa.uint64(), nullable=False), EMBEDDING, *who(self.prefer)])

    @property
    def rounds(self) -> tuple[Round, ...]:
        return (_MeetInCluster(self),)

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most, cluster_at_most=self.cluster_at_most)

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        if summary is None:
            raise DataError(f"{self.name}: no centroids; put {self.wants} before it")
        embedding = batch["embedding"].cast(EMBEDDING.type)
        vectors = vectors_of(embedding, self.name)
        key = np.zeros(batch.num_rows, np.uint64)
        if len(vectors):
            try:
                nearest = nearest_centroids(vectors, vectors_of(summary["centroid"], self.name))
            except ValueError as error:
                raise DataError(f"{self.name}: {error}; embed all documents with one model") from error
            key[embedding.is_valid().to_numpy(zero_copy_only=False)] = _spread(nearest)
        return pa.record_batch([pa.array(key), embedding, *who_is(batch, self.prefer, self.name)], schema=self.keeps)

    def decide(self, rows: pa.Table) -> Reduced:
        """Counts: `clusters`; `compared` pairs, `verified` ones, and comparisons that the cap prevented."""
        key = column(rows, "key")
        everyone = np.arange(rows.num_rows)
        order = np.lexsort([*preference(rows, everyone), key])
        starts = np.flatnonzero(np.diff(key[order], prepend=~key[order[:1]])) if len(order) else order
        found = cosine_keepers(
            vectors_of(rows["embedding"], self.name),
            order,
            np.append(starts, len(order)),
            self.threshold,
            self.comparisons_at_most,
        )
        removed = np.flatnonzero(found.keeper >= 0)
        table = verdicts(rows, removed, found.keeper[removed], found.cosine[removed].astype(np.float32))
        counts = {
            "clusters": len(starts),
            "compared": found.compared,
            "verified": found.verified,
            "unverified": found.unverified,
        }
        return Reduced(verdicts=table, counts=counts)


class _MeetInCluster(Round):
    """The one exchange: documents of a cluster meet."""

    name = "meet"

    def __init__(self, step: SemanticDedup) -> None:
        self._step = step
        self.emits = step.keeps

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        return kept.select([*self.emits.names, *ADDRESS.names]).filter(pc.is_valid(kept["embedding"]))

    def reduce(self, rows: pa.Table) -> Reduced:
        return self._step.decide(rows)


def _spread(clusters: np.ndarray[tuple[int], np.dtype[np.int32]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A key for each cluster, no two alike, spread over all keys (SplitMix64's finish is a permutation)."""
    z = (clusters.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
