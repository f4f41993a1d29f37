"""The sample is the same for any cut and order, and carries as many centroids as it can."""

import numpy as np
import pyarrow as pa
import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.dedup.cluster_sample import CENTROIDS, ClusterSample
from tokenmill.dedup.embedding import embeddings_of, vectors_of
from tokenmill.kernels.int8_vectors import quantised
from tokenmill.kernels.kmeans import kmeans


def embedded(ids: list[int], seed: int = 1, dimensions: int = 16) -> pa.RecordBatch:
    """One document per id; its embedding follows from the id; every tenth has none."""
    vectors = quantised(np.random.default_rng(seed).standard_normal((max(ids, default=0) + 1, dimensions)))
    present = np.array([n % 10 != 9 for n in ids], np.bool_)
    mine = vectors[np.array(ids, np.int64)[present]] if ids else vectors[:0]
    return pa.record_batch(
        [pa.array([f"{n:032x}" for n in ids], pa.string()), embeddings_of(mine, present)], names=["id", "embedding"]
    )


@pytest.mark.parametrize("sampled", [1, 50, 899, 5000])
def test_does_not_depend_on_cuts_order_or_merging(sampled: int) -> None:
    step = ClusterSample(sampled=sampled)
    ids = [*range(1000), *range(0, 1000, 3)]  # some documents come twice
    batch = embedded(ids)
    whole = step.merge(step.observe(batch))
    assert whole.num_rows == min(sampled, 900)
    parts = [step.observe(batch.slice(start, 37)) for start in range(0, len(ids), 37)]
    assert step.merge(pa.concat_tables(parts)).equals(whole)
    assert step.merge(pa.concat_tables(parts[::-1])).equals(whole)
    merged = parts[0]
    for part in parts[1:]:
        merged = step.merge(pa.concat_tables([part, merged]))
    assert merged.equals(whole)
    assert step.finish(merged).equals(step.finish(whole))


def test_one_id_with_two_embeddings_is_sampled_once_whichever_comes_first() -> None:
    step = ClusterSample()
    a, b = step.observe(embedded([1, 2, 3])), step.observe(embedded([1, 2, 3], seed=2))
    merged = step.merge(pa.concat_tables([a, b]))
    assert merged.num_rows == 3
    assert merged.equals(step.merge(pa.concat_tables([b, a])))


def test_a_sample_is_what_a_hash_of_the_id_chooses() -> None:
    ids = list(range(0, 1000, 2))
    one, other = (ClusterSample(sampled=100, seed=seed).observe(embedded(ids)) for seed in (0, 1))
    assert one.num_rows == other.num_rows == 100
    chosen = [set(t["embedding"].to_pylist()) for t in (one, other)]
    assert 5 < len(chosen[0] & chosen[1]) < 40, "100 of 500, twice by chance: 20 in common"


def test_centroids_are_those_of_the_sample_in_the_order_of_its_hashes() -> None:
    step = ClusterSample(documents_per_cluster=100, seed=3)
    sample = step.merge(step.observe(embedded(list(range(1000)))))
    table = step.finish(sample)
    assert table.schema == CENTROIDS
    assert table.num_rows == 9, "900 documents with an embedding"
    want = kmeans(vectors_of(sample["embedding"], "test"), 9, step.iterations, 3)
    assert vectors_of(table["centroid"], "test").tolist() == want.tolist()


@pytest.mark.parametrize(
    ("documents", "sampled", "per_cluster", "clusters"),
    [
        pytest.param(900, 5000, 1000, 1, id="fewer than one cluster"),
        pytest.param(900, 5000, 300, 3, id="three clusters"),
        pytest.param(900, 5000, 2, 23, id="never more than one for 39 sampled"),
        pytest.param(9000, 390, 3000, 3, id="the sample tells how many documents there are"),
        pytest.param(9000, 390, 10, 10, id="and is too small for more"),
    ],
)
def test_how_many_clusters(documents: int, sampled: int, per_cluster: int, clusters: int) -> None:
    step = ClusterSample(sampled=sampled, documents_per_cluster=per_cluster, iterations=1)
    ids = [n for n in range(documents * 10 // 9 + 10) if n % 10 != 9][:documents]
    assert step.finish(step.observe(embedded(ids))).num_rows == clusters


def test_nothing_embedded_gives_no_centroid() -> None:
    step = ClusterSample()
    assert step.finish(step.observe(embedded([9, 19]))).equals(CENTROIDS.empty_table())
    assert step.observe(embedded([])).num_rows == 0
    assert step.merge(step.observe(embedded([]))).num_rows == 0


@pytest.mark.parametrize("field", ["sampled", "documents_per_cluster", "iterations"])
def test_numbers_below_one_are_refused_by_name(field: str) -> None:
    with pytest.raises(RecipeError, match=f"cluster_sample: {field}=0"):
        ClusterSample(**{field: 0})
