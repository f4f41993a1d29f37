"""Documents that mean the same leave the preferred one, with the cosine that was measured to it."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_documents import documents, names_of
from tiny_text_model import tiny_text_model
from verdict_runs import run_verdict

from tokenmill.core.barrier import ADDRESS, VERDICTS
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.dedup.cluster_sample import CENTROIDS, ClusterSample
from tokenmill.dedup.embed_directory import embed_from
from tokenmill.dedup.embedding import EMBEDDING, embeddings_of
from tokenmill.dedup.semantic import SemanticDedup
from tokenmill.kernels.cosine_keepers_reference import cosine_keepers_reference
from tokenmill.kernels.int8_vectors import Int8, quantised
from tokenmill.kernels.kmeans_reference import nearest_reference

STEP = SemanticDedup(threshold=0.9)
Vector = list[int]


def summary(*centroids: Vector) -> pa.Table:
    vectors = np.array(centroids, np.int8)
    return pa.table([embeddings_of(vectors, np.ones(len(vectors), np.bool_))], schema=CENTROIDS)


def batch(
    vectors: list[Vector | None],
    *,
    priority: list[int] | None = None,
    texts: list[str] | None = None,
    ids: list[int] | None = None,
) -> pa.RecordBatch:
    """Document i is row i of shard 0, has id i, and (unless said) a text and a priority like all others."""
    n = len(vectors)
    present = np.array([v is not None for v in vectors], np.bool_)
    there = [v for v in vectors if v is not None]
    matrix = np.array(there, np.int8) if there else np.zeros((0, 2), np.int8)
    return pa.record_batch(
        {
            "id": pa.array([f"{i:032x}" for i in (ids or range(n))], pa.string()),
            "text": pa.array(texts or ["text"] * n, pa.large_string()),
            "priority": pa.array(priority or [0] * n, pa.int32()),
            "embedding": embeddings_of(matrix, present),
            "shard": pa.array(np.zeros(n), ADDRESS.field("shard").type),
            "row": pa.array(np.arange(n), ADDRESS.field("row").type),
        }
    )


def removed(rows: pa.RecordBatch, centroids: pa.Table | None = None, step: SemanticDedup = STEP) -> dict[int, int]:
    """Removed document -> the one kept for it, by their rows."""
    table, _ = run_verdict(step, rows, summary=summary([1, 0]) if centroids is None else centroids)
    return dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))


def planted(topics: int, each: int, dimensions: int, noise: float, seed: int) -> tuple[Int8, np.ndarray]:
    """Paraphrases, as a model would see them: directions at random, and small departures from each."""
    rng = np.random.default_rng(seed)
    topic = rng.permutation(np.repeat(np.arange(topics), each))
    centres = rng.standard_normal((topics, dimensions))
    return quantised(centres[topic] + noise * rng.standard_normal((len(topic), dimensions))), topic


@pytest.mark.parametrize(
    ("other", "similar"),
    [
        pytest.param([100, 0], True, id="the same direction"),
        pytest.param([100, 48], True, id="cosine .9015"),
        pytest.param([100, 49], False, id="cosine .898"),
        pytest.param([-100, 0], False, id="the opposite"),
        pytest.param(None, False, id="nothing to embed"),
    ],
)
def test_what_is_near(other: Vector | None, similar: bool) -> None:
    assert removed(batch([[127, 0], other])) == ({1: 0} if similar else {})


def test_documents_without_an_embedding_stay_however_many() -> None:
    assert removed(batch([None] * 5)) == {}
    assert removed(batch([None] * 5), CENTROIDS.empty_table()) == {}


@pytest.mark.parametrize(
    ("rows", "stays"),
    [
        pytest.param(batch([[9, 0]] * 2, priority=[1, 0], texts=["longer", "text"]), 1, id="the preferred source"),
        pytest.param(batch([[9, 0]] * 2, texts=["text", "longer"]), 1, id="then the longer text"),
        pytest.param(batch([[9, 0]] * 2, ids=[8, 7]), 1, id="then the smaller id"),
        pytest.param(batch([[9, 0]] * 2, ids=[7, 7]), 0, id="then the address"),
    ],
)
def test_who_stays(rows: pa.RecordBatch, stays: int) -> None:
    assert removed(rows) == {1 - stays: stays}


def test_who_stays_by_another_policy() -> None:
    quality = pa.array([0.1, 0.9, None], pa.float64())
    rows = batch([[9, 0]] * 3).append_column("quality", quality)
    assert removed(rows, step=SemanticDedup(threshold=0.9, prefer=("-quality",))) == {0: 1, 2: 1}


def test_planted_paraphrases_leave_one_each() -> None:
    """40 topics of 25 at cosine near .98 within (.1 of noise), near 0 between."""
    vectors, topic = planted(topics=40, each=25, dimensions=64, noise=0.1, seed=1)
    sample = ClusterSample(documents_per_cluster=100)
    rows = batch(vectors.tolist())
    centroids = sample.finish(sample.merge(sample.observe(rows)))
    assert centroids.num_rows == 10
    found, counts = run_verdict(STEP, rows, summary=centroids)
    assert found.schema == VERDICTS
    assert found.num_rows == 40 * 24
    assert all(topic[v["row"]] == topic[v["keeper_row"]] for v in found.to_pylist())
    assert set(found["keeper_row"].to_pylist()) == {int(np.flatnonzero(topic == t)[0]) for t in range(40)}
    assert min(found["similarity"].to_pylist()) > 0.9
    assert counts["verified"] == 960 and counts["unverified"] == 0


def test_all_identical_and_all_unique() -> None:
    assert removed(batch([[3, 4]] * 300)) == dict.fromkeys(range(1, 300), 0)
    apart = np.eye(100, dtype=np.int8) * 100
    assert removed(batch(apart.tolist()), summary([1] * 100)) == {}


def test_a_border_between_clusters_hides_a_pair_and_nothing_else() -> None:
    """Two documents 2 degrees apart, one on each side of the middle between two centroids; a third far away."""
    pair, borders = batch([[72, 70], [70, 72]]), summary([1, 0], [0, 1], [-9, -9])
    one = SemanticDedup(threshold=0.9, clusters_each=1)
    assert removed(pair, summary([1, 1]), one) == {1: 0}
    assert removed(pair, borders, one) == {}
    assert removed(pair, borders) == {1: 0}, "with two clusters each they meet"


def test_a_keeper_that_leaves_in_another_cluster_does_not_take_its_own_with_it() -> None:
    """0, 1 and 2 lie 20 degrees apart in a row: 1 is near both, 0 and 2 are not near each other (.9 is 25.8 degrees).

    In the cluster that only 1 and 2 share, 1 is kept and 2 linked to it; in that of 0 and 1, 1 is linked to 0. They
    are one component, and there 1 leaves for 0, so 2 stays.
    """
    row = batch([[100, 0], [94, 34], [77, 64]])
    assert removed(row, summary([50, -1], [50, 60]), SemanticDedup(threshold=0.9, clusters_each=2)) == {1: 0}


def test_the_cap_is_counted() -> None:
    apart = np.eye(20, dtype=np.int8) * 100
    rows = batch([*apart.tolist(), apart[15].tolist()])
    step = SemanticDedup(threshold=0.9, comparisons_at_most=10, clusters_each=1)
    table, counts = run_verdict(step, rows, summary=summary([1] * 20))
    assert table.num_rows == 0
    assert counts["unverified"] == sum(i - 10 for i in range(10, 21))
    assert counts["compared"] == sum(min(i, 10) for i in range(21))


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(st.data(), st.randoms(use_true_random=False))
def test_equals_brute_force_within_clusters_in_any_order_and_cut(data: st.DataObject, rng: random.Random) -> None:
    vector = st.none() | st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any)
    found = data.draw(st.lists(st.tuples(vector, st.integers(0, 1), st.integers(0, 3)), max_size=20))
    centroids = data.draw(st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=4))
    step = SemanticDedup(threshold=0.8, clusters_each=data.draw(st.integers(1, 3)))
    vectors = [v for v, _, _ in found]
    bytes_ = [v or [] for v in vectors]
    rows = batch(vectors, priority=[p for _, p, _ in found], ids=[i for _, _, i in found])
    there = [i for i, v in enumerate(vectors) if v is not None]
    few = nearest_reference([v for v in vectors if v is not None], centroids, step.clusters_each)
    mine = dict(zip(there, few, strict=True))
    preferred = sorted(there, key=lambda i: (found[i][1], found[i][2], i))  # texts are all alike
    clusters = [[i for i in preferred if c in mine[i]] for c in range(len(centroids))]
    component = {i: {i} for i in there}
    compared = 0
    for cluster in clusters:
        links, counts = cosine_keepers_reference(bytes_, [cluster], 0.8, step.comparisons_at_most)
        compared += counts["compared"]
        for row, (keeper, _) in links.items():
            both = component[row] | component[keeper]
            component |= dict.fromkeys(both, both)
    groups = {frozenset(group) for group in component.values() if len(group) > 1}
    ordered = [[i for i in preferred if i in group] for group in groups]
    walk, _ = cosine_keepers_reference(bytes_, ordered, 0.8, step.comparisons_at_most)
    want = [
        (0, row, f"{found[keeper][2]:032x}", 0, keeper, float(np.float32(cosine)), None)
        for row, (keeper, cosine) in sorted(walk.items())
    ]
    cuts = sorted(rng.sample(range(len(found) + 1), min(2, len(found) + 1)))
    parts = [rows.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(found)], strict=True)]
    table, found_counts = run_verdict(
        step, parts, summary=summary(*centroids), parts=rng.randint(1, 4), seed=rng.randint(0, 99)
    )
    assert [tuple(row.values()) for row in table.to_pylist()] == want
    assert found_counts.get("compared", 0) == compared
    assert found_counts.get("verified", 0) == len(walk)
    if step.clusters_each == 1:
        alone, _ = cosine_keepers_reference(bytes_, clusters, 0.8, step.comparisons_at_most)
        assert alone == walk, "with one cluster each, it is the walk within clusters"


def test_a_border_between_clusters_costs_few_of_near_pairs() -> None:
    """5,000 pairs without topics (nothing for a centroid to hold on to: the worst case) in 25 clusters.

    The nearer a pair, the rarer a border between: see benchmarks/semantic.py for figures.
    """
    rng = np.random.default_rng(5)
    a = rng.standard_normal((5000, 64))
    for each, noise, found_at_least in ((1, 0.05, 0.9), (1, 0.15, 0.75), (2, 0.05, 0.995), (2, 0.15, 0.97)):
        b = a + noise * rng.standard_normal(a.shape)
        rows = batch(quantised(np.concatenate([a, b])).tolist())
        sample = ClusterSample(documents_per_cluster=400)
        found = removed(rows, sample.finish(sample.observe(rows)), SemanticDedup(threshold=0.95, clusters_each=each))
        assert set(found.items()) <= {(i + 5000, i) for i in range(5000)}
        assert found_at_least < len(found) / 5000 <= 1


def test_from_text_to_verdicts() -> None:
    """The machinery from end to end. A model that has learnt nothing sees letters: its likeness proves little."""
    rows = embed_from(tiny_text_model(32)).apply(documents())
    sample = ClusterSample(documents_per_cluster=20)
    centroids = sample.finish(sample.merge(sample.observe(rows)))
    step = SemanticDedup(threshold=0.999)
    table, _ = run_verdict(step, rows, summary=centroids)
    gone = dict(zip(table["row"].to_pylist(), table["similarity"].to_pylist(), strict=True))
    names = {name: row for row, name in enumerate(names_of(rows))}
    # Capitals and line ends are nothing to its tokenizer, and the rest of the text is beyond 128 tokens.
    for name in ("harbour again", "harbour in capitals", "harbour with other line ends"):
        assert gone[names[name]] == 1
    assert names["emoji"] not in gone and names["russian"] not in gone
    one_by_one = [rows.slice(i, 1) for i in range(rows.num_rows)]
    assert run_verdict(step, one_by_one, summary=centroids, parts=3, seed=1)[0].equals(table)


def test_what_is_remembered_is_narrow() -> None:
    kept = STEP.observe(batch([[1, 2], None]), summary([1, 0]))
    assert kept.schema == STEP.keeps
    assert "text" not in kept.schema.names
    assert kept["embedding"].to_pylist() == [b"\x01\x02", None]
    none = (-1).to_bytes(4, "little", signed=True)
    assert kept["clusters"].to_pylist() == [bytes(4) + none, none + none], "there is one centroid"
    assert STEP.observe(batch([]), summary([1, 0])).num_rows == 0


def test_keys_spread_over_the_whole_range_one_for_each_cluster() -> None:
    eye = np.eye(64, dtype=np.int8)
    rows = batch(eye.tolist())
    kept = STEP.observe(rows, summary(*eye.tolist()))
    for name in ADDRESS.names:
        kept = kept.append_column(ADDRESS.field(name), rows[name])
    emitted = STEP.rounds[0].emit(kept, None, None)
    assert emitted.num_rows == 2 * 64, "each in two clusters"
    assert emitted.slice(9).num_rows and STEP.rounds[0].emit(kept.slice(9, 5), None, None).equals(emitted.slice(18, 10))
    keys = np.unique(emitted["key"].to_numpy())
    assert len(keys) == 64
    assert 16 < np.count_nonzero(keys < 2**63) < 48


def test_there_is_no_index_for_other_centroids_would_divide_otherwise() -> None:
    assert STEP.index is None


def test_centroids_of_another_model_or_none_are_refused() -> None:
    with pytest.raises(DataError, match="embed all documents with one model"):
        run_verdict(STEP, batch([[1, 2]]), summary=summary([1, 2, 3]))
    with pytest.raises(DataError, match="no centroids; put cluster_sample before it"):
        run_verdict(STEP, batch([[1, 2]]))


def test_the_bounds_are_fields() -> None:
    bounds = SemanticDedup(lost_share_at_most=0.2, cluster_at_most=9).bounds
    assert (bounds.lost_share_at_most, bounds.cluster_at_most) == (0.2, 9)
    assert STEP.reads.field("embedding") == EMBEDDING


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.5),
        ("comparisons_at_most", 0),
        ("clusters_each", 0),
        ("prefer", ()),
        ("prefer", ("-priority",)),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RecipeError, match="semantic_dedup: "):
        SemanticDedup(**{field: value})
