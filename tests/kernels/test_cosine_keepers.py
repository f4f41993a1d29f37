"""The walk keeps what its definition keeps, whatever the input, and a removed vector's keeper stays."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.cosine_keepers import CosineKeepers, cosine_keepers
from tokenmill.kernels.cosine_keepers_reference import cosine, cosine_keepers_reference, paired


def keepers(rows: list[list[int]], cosine_at_least: float, cap: int = 10_000) -> CosineKeepers:
    """All rows in one cluster, the first one most preferred."""
    n = len(rows)
    return cosine_keepers(np.array(rows, np.int8), np.arange(n), np.array([0, n]), cosine_at_least, cap)


@st.composite
def walks(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]], float, int]:
    d, n = draw(st.integers(1, 4)), draw(st.integers(0, 25))
    # Few values, so that directions repeat, and cosines lie at the threshold and on both sides of it.
    largest = draw(st.sampled_from([1, 2, 127]))
    vectors = draw(st.lists(st.lists(st.integers(-largest, largest), min_size=d, max_size=d), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))[: draw(st.integers(0, n))]
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    clusters = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    threshold = draw(st.sampled_from([1.0, 0.5, math.sqrt(0.5), 0.8, 0.95, 1e-9]))
    return vectors, clusters, threshold, draw(st.integers(0, 6))


@settings(deadline=None, max_examples=500)  # the first call compiles
@given(walks())
def test_equals_the_plain_definition(walk: tuple[list[list[int]], list[list[int]], float, int]) -> None:
    vectors, clusters, threshold, cap = walk
    matrix = np.array(vectors, np.int8).reshape(len(vectors), -1) if vectors else np.zeros((0, 3), np.int8)
    order = np.array([row for rows in clusters for row in rows], np.int64)
    starts = np.cumsum([0, *map(len, clusters)])
    found = cosine_keepers(matrix, order, starts, threshold, cap)
    removed, counts = cosine_keepers_reference(vectors, clusters, threshold, cap)
    rows = np.flatnonzero(found.keeper >= 0)
    assert {int(i): (int(found.keeper[i]), float(found.cosine[i])) for i in rows} == removed
    assert {name: getattr(found, name) for name in counts} == counts


def test_equals_the_plain_definition_at_a_width_that_is_no_multiple_of_any_register() -> None:
    """400 vectors of 391 bytes around 20 directions, in 3 clusters."""
    rng = np.random.default_rng(7)
    centres = rng.integers(-90, 90, (20, 391))
    vectors = (centres[rng.integers(0, 20, 400)] + rng.integers(-25, 26, (400, 391))).astype(np.int8)
    clusters = [list(range(150)), list(range(150, 151)), list(range(151, 400))]
    found = cosine_keepers(vectors, np.arange(400), np.array([0, 150, 151, 400]), 0.92, 100)
    removed, counts = cosine_keepers_reference(vectors.tolist(), clusters, 0.92, 100)
    assert 100 < len(removed) < 399
    assert {
        int(i): (int(found.keeper[i]), float(found.cosine[i])) for i in np.flatnonzero(found.keeper >= 0)
    } == removed
    assert {name: getattr(found, name) for name in counts} == counts


@pytest.mark.parametrize("cap", [1, 63, 64, 65, 127, 129, 1000])
@pytest.mark.parametrize("threshold", [0.7, 0.95])
def test_equals_the_plain_definition_across_the_borders_of_blocks(cap: int, threshold: float) -> None:
    """Clusters of 63, 64, 65, 1 and 207: the kernel walks 64 members at a time, over 64 kept ones at a time."""
    vectors = np.random.default_rng(cap).integers(-9, 10, (400, 6)).astype(np.int8)
    starts = np.array([0, 63, 127, 192, 193, 400])
    order = np.random.default_rng(1).permutation(400)
    found = cosine_keepers(vectors, order, starts, threshold, cap)
    clusters = [order[a:b].tolist() for a, b in pairwise(starts)]
    removed, counts = cosine_keepers_reference(vectors.tolist(), clusters, threshold, cap)
    assert {
        int(i): (int(found.keeper[i]), float(found.cosine[i])) for i in np.flatnonzero(found.keeper >= 0)
    } == removed
    assert {name: getattr(found, name) for name in counts} == counts


def test_equals_brute_force_over_all_pairs() -> None:
    """Another way to the same sets: who is paired with whom first, by numpy; then the walk over that table."""
    rng = np.random.default_rng(3)
    centres = rng.integers(-90, 90, (30, 64))
    vectors = (centres[rng.integers(0, 30, 500)] + rng.integers(-30, 31, (500, 64))).astype(np.int8)
    wide = vectors.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1)[:, None]
    table = unit @ unit.T
    assert np.abs(table - 0.9).min() > 1e-9, "no pair so near the threshold that floats could decide otherwise"
    keeper = np.full(500, -1)
    for i in range(500):
        before = [j for j in range(i) if keeper[j] < 0 and table[i, j] >= 0.9]
        if before:
            keeper[i] = before[0]
    found = keepers(vectors.tolist(), 0.9)
    assert found.keeper.tolist() == keeper.tolist()
    assert found.verified == np.count_nonzero(keeper >= 0)
    gone = found.keeper >= 0
    assert found.cosine[gone] == pytest.approx(table[np.flatnonzero(gone), keeper[gone]], abs=1e-12)


def test_identical_vectors_all_go_to_the_first_after_one_comparison_each() -> None:
    found = keepers([[1, 2, 3]] * 1000, 1.0)
    assert found.keeper.tolist() == [-1] + [0] * 999
    assert found.cosine.tolist() == [0.0] + [1.0] * 999
    assert (found.compared, found.verified, found.unverified) == (999, 999, 0)


def test_unique_vectors_all_stay_and_each_is_compared_with_all_before() -> None:
    found = keepers([[127 * (i == j) for j in range(50)] for i in range(50)], 0.01)
    assert (found.keeper == -1).all()
    assert (found.compared, found.verified, found.unverified) == (50 * 49 // 2, 0, 0)


def test_a_chain_falls_into_stars() -> None:
    """Each direction is 30 degrees from the next: cosine .866 to a neighbour, .5 to the one beyond."""
    chain = [
        [round(100 * math.cos(math.radians(30 * i))), round(100 * math.sin(math.radians(30 * i)))] for i in range(5)
    ]
    found = keepers(chain, 0.8)
    assert found.keeper.tolist() == [-1, 0, -1, 2, -1]


def test_the_most_preferred_keeper_is_named_not_the_nearest() -> None:
    assert keepers([[10, 2], [10, -2], [10, -2]], 0.9).keeper.tolist() == [-1, 0, 0]
    assert keepers([[10, 5], [10, -5], [10, -4]], 0.75).keeper.tolist() == [-1, -1, 1]


@pytest.mark.parametrize(
    ("a", "b", "threshold", "similar"),
    [
        pytest.param([1, 0], [1, 1], math.sqrt(0.5), False, id="sqrt(.5) as a float, squared, is above .5"),
        pytest.param([3, 0], [3, 4], 0.6, True, id="3/5 is at least .6"),
        pytest.param([3, 0], [3, 4], 0.6000001, False, id="and not more"),
        pytest.param([2, 4], [3, 6], 1.0, True, id="one direction, two lengths"),
        pytest.param([127, 127], [127, 126], 1.0, False, id="1 means the same direction"),
        pytest.param([1, 1], [-1, -1], 0.5, False, id="opposite"),
        pytest.param([0, 0], [0, 0], 0.5, False, id="nothing points nowhere"),
        pytest.param([1, 0], [0, 1], 1e-9, False, id="a right angle"),
    ],
)
def test_the_threshold_is_closed(a: list[int], b: list[int], threshold: float, similar: bool) -> None:
    assert paired(a, b, threshold) == similar
    assert keepers([a, b], threshold).keeper.tolist() == [-1, 0 if similar else -1]


def test_members_of_different_clusters_never_meet() -> None:
    vectors = np.array([[1, 0]] * 4, np.int8)
    found = cosine_keepers(vectors, np.array([3, 1, 2, 0]), np.array([0, 2, 2, 4]), 0.9, 10)
    assert found.keeper.tolist() == [2, 3, -1, -1]


def test_the_cap_bounds_a_large_cluster_and_counts_what_it_prevents() -> None:
    """50 directions at right angles, then the 5th and the 30th once more: only the first 10 are looked at."""
    rows = [[127 * (i == j) for j in range(50)] for i in [*range(50), 4, 29]]
    found = keepers(rows, 0.9, cap=10)
    assert found.keeper.tolist() == [-1] * 50 + [4, -1]
    assert found.compared == sum(min(i, 10) for i in range(50)) + 5 + 10
    assert found.unverified == sum(max(i - 10, 0) for i in range(50)) + 40


def test_the_similarity_is_the_cosine() -> None:
    found = keepers([[3, 0], [3, 4]], 0.5)
    assert found.cosine.tolist() == [0.0, 0.6] == [0.0, cosine([3, 0], [3, 4])]


@pytest.mark.parametrize(
    ("order", "starts", "threshold", "match"),
    [
        ([0, 2], [0, 2], 0.5, "outside 0..1"),
        ([-1], [0, 1], 0.5, "outside 0..1"),
        ([1, 1], [0, 2], 0.5, "a row twice"),
        ([0, 1], [0, 1], 0.5, "ascend from 0 to 2"),
        ([0, 1], [1, 2], 0.5, "ascend from 0 to 2"),
        ([0, 1], [0, 2, 1, 2], 0.5, "ascend from 0 to 2"),
        ([0, 1], [], 0.5, "ascend from 0 to 2"),
        ([0, 1], [0, 2], 0.0, "cosine_at_least=0.0"),
        ([0, 1], [0, 2], 1.1, "cosine_at_least=1.1"),
    ],
)
def test_what_does_not_fit_is_refused(order: list[int], starts: list[int], threshold: float, match: str) -> None:
    arrays: list[Any] = [np.array(order, np.int64), np.array(starts, np.int64)]
    with pytest.raises(ValueError, match=match):
        cosine_keepers(np.ones((2, 3), np.int8), *arrays, threshold, 1)
