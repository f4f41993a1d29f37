"""Keep one of each set of documents that mean the same, as far as a model tells.

Centroids divide the work (cluster_sample.py): a document meets those that share one of its `clusters_each` nearest
centroids. Over pairs whose cosine is at least `threshold`, walk the documents in order of preference (preference.py);
a document is kept unless a kept one is paired with it, and the most preferred such is its keeper
(kernels/cosine_keepers.py). That is done twice: in each cluster, which proposes who may belong together, and in each
component of those links, which decides. So whoever leaves was measured against one that stays, in whatever cluster.

Source: SemDeDup (Abbas et al. 2023, arXiv:2303.09540), as in NeMo Curator. Departures: who stays is a policy, not the
place relative to the centroid; two clusters each; and they also remove what is near a document that was itself
removed, we only what was measured against the one that stays. The default threshold is NeMo Curator's eps of .01.
What a cosine means is the model's affair: look at pairs before believing one, and see `lost_share_at_most`.

Exact: bytes have exact dot products (kernels/int8_vectors.py), so the verdicts follow from the column `embedding` on
every machine. Missed are pairs that a border between clusters divides, and those that only a document links which
left in each of its own clusters. Pairs at cosine .99 / .95 that meet, measured 2026-11-24 with 200 clusters, 384
dimensions (benchmarks/semantic.py; planted, not of a trained model):

    around 200 topics          99.8 / 99.5% with one cluster each    100 / 100% with two
    without any structure      79   / 58%                            99  / 90%

More clusters than topics come near the second line: 90 / 80% and 100 / 99.7% with 1,000. NeMo Curator takes one.
No index: another run has other centroids, and who once met would not meet again. Deduplicate both together.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from tokenmill.core.barrier import ADDRESS, LINKS, Bounds, Reduced, Round, Verdict
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.dedup.embedding import EMBEDDING, vectors_of
from tokenmill.dedup.narrow_rows import column, verdicts
from tokenmill.dedup.preference import POLICY, check_policy, columns_of, preference, who, who_is
from tokenmill.kernels.cosine_keepers import CosineKeepers, cosine_keepers
from tokenmill.kernels.kmeans import nearest_centroids


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticDedup(Verdict):
    """Emits 76 bytes and the embedding per document and cluster, then once more for those that are linked.

    A task holds the rows of its keys, twice while it decides. Cost: assigning takes centroids * dimensions
    multiply-adds a document, deciding at most clusters_each * comparisons_at_most * dimensions; some 45 a ns on one
    core. Documents without an embedding meet nobody and stay.
    """

    name: ClassVar[str] = "semantic_dedup"
    revision: ClassVar[int] = 1
    wants: ClassVar[str | None] = "cluster_sample"

    threshold: float = 0.99  # cosine, above 0 and at most 1
    clusters_each: int = 2
    prefer: tuple[str, ...] = POLICY
    comparisons_at_most: int = 50_000  # per document and cluster: .5 ms at 384 dimensions; prevented: `unverified`
    lost_share_at_most: float | None = 0.5  # of a source: more says rather that the model cannot tell its texts apart
    cluster_at_most: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise RecipeError(f"{self.name}: threshold={self.threshold}, want more than 0 and at most 1")
        for field in ("comparisons_at_most", "clusters_each"):
            if getattr(self, field) < 1:
                raise RecipeError(f"{self.name}: {field}={getattr(self, field)}, want at least 1")
        check_policy(self.prefer, self.name)
        self.bounds.check(self.name)

    @property
    def reads(self) -> pa.Schema:  # the policy's columns are among them
        return pa.schema([*columns_of(self.prefer), EMBEDDING])

    @property
    def keeps(self) -> pa.Schema:
        return pa.schema(
            [pa.field("clusters", pa.binary(4 * self.clusters_each), nullable=False), *self.compared]  # int32, -1: none
        )

    @property
    def compared(self) -> pa.Schema:
        """What both rounds need of a document."""
        return pa.schema([EMBEDDING, *who(self.prefer)])

    @property
    def rounds(self) -> tuple[Round, ...]:
        return (_MeetInClusters(self), _MeetInComponent(self))

    @property
    def bounds(self) -> Bounds:
        return Bounds(lost_share_at_most=self.lost_share_at_most, cluster_at_most=self.cluster_at_most)

    def observe(self, batch: pa.RecordBatch, summary: pa.Table | None) -> pa.RecordBatch:
        if summary is None:
            raise DataError(f"{self.name}: no centroids; put {self.wants} before it")
        embedding = batch["embedding"].cast(EMBEDDING.type)
        vectors = vectors_of(embedding, self.name)
        clusters = np.zeros((batch.num_rows, self.clusters_each), "<i4") - 1  # -1: none
        if len(vectors):
            try:
                nearest = nearest_centroids(vectors, vectors_of(summary["centroid"], self.name), self.clusters_each)
            except ValueError as error:
                raise DataError(f"{self.name}: {error}; embed all documents with one model") from error
            clusters[embedding.is_valid().to_numpy(zero_copy_only=False), : nearest.shape[1]] = nearest
        packed = pa.Array.from_buffers(
            pa.binary(4 * self.clusters_each), batch.num_rows, [None, pa.py_buffer(np.ascontiguousarray(clusters))]
        )
        return pa.record_batch([packed, embedding, *who_is(batch, self.prefer, self.name)], schema=self.keeps)

    def walk(self, rows: pa.Table) -> CosineKeepers:
        """The documents of each key, in order of preference."""
        key = column(rows, "key")
        order = np.lexsort([*preference(rows, np.arange(rows.num_rows)), key])
        changes = np.flatnonzero(np.diff(key[order])) + 1
        starts = np.concatenate(([0], changes, [len(order)])) if len(order) else np.zeros(1, np.int64)
        vectors = vectors_of(rows["embedding"], self.name)
        return cosine_keepers(vectors, order, starts, self.threshold, self.comparisons_at_most)


class _MeetInClusters(Round):
    """Documents of a cluster meet, and are linked with their keepers there. A key is a hash of a cluster's number."""

    name = "clusters"
    links = True

    def __init__(self, step: SemanticDedup) -> None:
        self._step = step
        self.emits = pa.schema([_KEY, *step.compared])

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        packed, bytes_each = kept["clusters"], 4 * self._step.clusters_each
        start = packed.offset * bytes_each
        data = memoryview(packed.buffers()[1])[start : start + len(packed) * bytes_each] if len(packed) else b""
        clusters = np.frombuffer(data, "<i4").reshape(-1, self._step.clusters_each)
        row, place = np.nonzero(clusters >= 0)
        key = _spread(clusters[row, place])
        return _keyed(key, kept.take(pa.array(row)), self.emits)

    def reduce(self, rows: pa.Table) -> Reduced:
        """Counts: `compared` pairs, and comparisons that the cap prevented; a pair counts in each of its clusters."""
        found = self._step.walk(rows)
        linked = np.flatnonzero(found.keeper >= 0)
        addresses = [column(rows, name, at) for at in (linked, found.keeper[linked]) for name in ADDRESS.names]
        counts = {"compared": found.compared, "unverified": found.unverified}
        return Reduced(links=pa.table(addresses, schema=LINKS), counts=counts)


class _MeetInComponent(Round):
    """Documents that are linked meet once more, wherever they were: here it is decided who stays."""

    name = "components"

    def __init__(self, step: SemanticDedup) -> None:
        self._step = step
        self.emits = pa.schema([_KEY, *step.compared])

    def emit(
        self, kept: pa.RecordBatch, documents: pa.RecordBatch | None, told: pa.RecordBatch | None
    ) -> pa.RecordBatch:
        order = np.argsort(kept["row"].to_numpy(), kind="stable")
        component = np.empty(kept.num_rows, np.uint64)
        if told is not None:
            component[order] = told["component"].to_numpy()
        return _keyed(component, kept, self.emits)

    def reduce(self, rows: pa.Table) -> Reduced:
        """Counts: `verified` pairs, of one that leaves and its keeper."""
        found = self._step.walk(rows)
        removed = np.flatnonzero(found.keeper >= 0)
        table = verdicts(rows, removed, found.keeper[removed], found.cosine[removed].astype(np.float32))
        return Reduced(verdicts=table, counts={"verified": found.verified, "unverified": found.unverified})


_KEY = pa.field("key", pa.uint64(), nullable=False)


def _keyed(key: np.ndarray[Any, np.dtype[np.uint64]], rows: pa.RecordBatch, emits: pa.Schema) -> pa.RecordBatch:
    names = [*emits.names[1:], *ADDRESS.names]
    return pa.record_batch([pa.array(key), *(rows[name] for name in names)], schema=pa.schema([*emits, *ADDRESS]))


def _spread(clusters: np.ndarray[Any, np.dtype[np.int32]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A key for each cluster, no two alike, spread over all keys (SplitMix64's finish is a permutation)."""
    z = (clusters.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray[Any, np.dtype[np.uint64]] = z ^ (z >> np.uint64(31))
    return found
