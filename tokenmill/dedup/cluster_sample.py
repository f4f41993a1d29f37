"""Centroids of what documents mean, from a sample of them: the division of work for semantic deduplication.

The sample is the documents with the smallest hashes of their id, each id once. So it is the same for any cut of the
input and any order of merging, and its last hash tells how many ids there are: n - 1 of them lie below it (Bar-Yossef
et al. 2002; standard error 1 / sqrt(n), .4% by default). The fit is kernels/kmeans.py: the same on every machine.

Source: SemDeDup (Abbas et al. 2023, arXiv:2303.09540), which clusters all embeddings, 440 M of them in 50,000
clusters: 8,800 documents each. FAISS, which it uses, fits on a sample of at most 256 for each centroid.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import Summary
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.embedding import EMBEDDING, embeddings_of, vectors_of
from tokenmill.kernels.hashing import hash64
from tokenmill.kernels.kmeans import kmeans

SAMPLE = pa.schema(
    [pa.field("order", pa.uint64(), nullable=False), pa.field("embedding", EMBEDDING.type, nullable=False)]
)
CENTROIDS = pa.schema([pa.field("centroid", EMBEDDING.type, nullable=False)])

SAMPLED_PER_CLUSTER = 39  # at least: below it FAISS warns that centroids are not worth their name


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSample(Summary):
    """Gives CENTROIDS: as many as make clusters of `documents_per_cluster`, if the sample carries that many.

    By default the sample carries 1,680, so from 17 million documents on clusters grow; raise `sampled` with the number
    of documents. Few large clusters lose fewer pairs at their borders than many small ones (semantic.py), and cost more
    comparisons. Memory: twice the sample, 27 MB of it at 384 dimensions. `finish` takes at most
    (iterations + 1) * sampled * centroids * dimensions multiply-adds, 20 s of one core by default.
    """

    name: ClassVar[str] = "cluster_sample"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), EMBEDDING])

    sampled: int = 65_536  # documents
    documents_per_cluster: int = 10_000  # SemDeDup has 8,800; 5,000 comparisons of 384 dimensions take 50 microseconds
    iterations: int = 20  # FAISS takes 25; on planted topics the last 10 bring .0002 of cosine (benchmarks/semantic.py)
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("sampled", "documents_per_cluster", "iterations"):
            if getattr(self, field) < 1:
                raise RecipeError(f"{self.name}: {field}={getattr(self, field)}, want at least 1")

    def observe(self, batch: pa.RecordBatch) -> pa.Table:
        embedded = batch.filter(pc.is_valid(batch["embedding"]))
        order = hash64(embedded["id"], f"{self.name}:{self.seed}")
        return self.merge(pa.table([order, embedded["embedding"].cast(EMBEDDING.type)], schema=SAMPLE))

    def merge(self, parts: pa.Table) -> pa.Table:
        """The first `sampled` ids by hash. Where one id has several embeddings, the one of least hash."""
        order = parts["order"].to_numpy()
        embedding = parts["embedding"].combine_chunks()
        sorted_ = np.lexsort((hash64(embedding, "embedding").to_numpy(), order))
        order = order[sorted_]
        first = np.ones(len(order), np.bool_)
        first[1:] = order[1:] != order[:-1]
        taken = pa.array(sorted_[first][: self.sampled])
        return parts.take(taken).combine_chunks()

    def nothing(self) -> pa.Table:
        return SAMPLE.empty_table()

    def finish(self, merged: pa.Table) -> pa.Table:
        vectors = vectors_of(merged["embedding"], self.name)
        order = merged["order"].to_pylist()
        if not order:
            return CENTROIDS.empty_table()
        centroids = kmeans(vectors, self._clusters(order), self.iterations, self.seed)
        return pa.table([embeddings_of(centroids, np.ones(len(centroids), np.bool_))], schema=CENTROIDS)

    def _clusters(self, order: list[int]) -> int:
        documents = len(order)
        if documents == self.sampled > 1:
            documents = max(documents, (documents - 1) * (1 << 64) // max(order[-1], 1))
        wanted = -(-documents // self.documents_per_cluster)
        return max(1, min(wanted, len(order) // SAMPLED_PER_CLUSTER))
