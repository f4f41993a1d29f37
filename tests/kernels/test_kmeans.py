"""k-means finds what is planted, equals its plain definition to the last bit, and is the same each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.int8_vectors import Int8, quantised
from tokenmill.kernels.kmeans import kmeans, nearest_centroids
from tokenmill.kernels.kmeans_reference import kmeans_reference, nearest_reference


def planted(clusters: int, each: int, dimensions: int, noise: float, seed: int) -> tuple[Int8, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimensions))
    whose = rng.permutation(np.repeat(np.arange(clusters), each))
    return quantised(centres[whose] + noise * rng.standard_normal((len(whose), dimensions))), whose


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(st.data())
def test_equals_the_plain_definition_to_the_last_bit(data: st.DataObject) -> None:
    d, n = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 20))
    largest = data.draw(st.sampled_from([1, 3, 127]))  # few values: vectors of zeros, equal ones, ties
    vectors = data.draw(
        st.lists(st.lists(st.integers(-largest, largest), min_size=d, max_size=d), min_size=n, max_size=n)
    )
    clusters, iterations = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    seed = data.draw(st.integers(-5, 2**64 + 5))
    matrix = np.array(vectors, np.int8).reshape(n, d)
    centroids = kmeans(matrix, clusters, iterations, seed)
    assert centroids.tolist() == kmeans_reference(vectors, clusters, iterations, seed)
    if len(centroids):
        few = data.draw(st.integers(1, 4))
        found = nearest_centroids(matrix, centroids, few)
        assert found.shape == (n, min(few, len(centroids)))
        assert found.tolist() == nearest_reference(vectors, centroids.tolist(), few)


def test_equals_the_plain_definition_at_a_real_width() -> None:
    vectors, _ = planted(clusters=6, each=20, dimensions=131, noise=1.0, seed=2)
    assert kmeans(vectors, 8, 4, 1).tolist() == kmeans_reference(vectors.tolist(), 8, 4, 1)


def test_finds_planted_clusters() -> None:
    vectors, whose = planted(clusters=10, each=100, dimensions=32, noise=0.2, seed=1)
    nearest = nearest_centroids(vectors, kmeans(vectors, 10, 20, 0))[:, 0]
    assert len({(a, b) for a, b in zip(whose.tolist(), nearest.tolist(), strict=True)}) == 10


def test_is_the_same_each_time_and_another_with_another_seed() -> None:
    vectors, _ = planted(clusters=10, each=50, dimensions=16, noise=1.0, seed=3)
    assert (kmeans(vectors, 7, 3, 5) == kmeans(vectors, 7, 3, 5)).all()
    assert (kmeans(vectors, 7, 3, 5) != kmeans(vectors, 7, 3, 6)).any()


@pytest.mark.parametrize(
    ("vectors", "clusters", "found"),
    [
        pytest.param([[1, 2]] * 9, 4, 1, id="all identical"),
        pytest.param([[1, 2], [2, 4], [3, 6]], 4, 1, id="one direction, three lengths"),
        pytest.param([[1, 0], [0, 1], [0, 0]], 4, 2, id="nothing is no direction"),
        pytest.param([[0, 0]] * 3, 2, 0, id="nothing at all"),
        pytest.param([[1, 0], [0, 1], [-1, 0]], 3, 3, id="as many as there are"),
    ],
)
def test_there_are_no_more_centroids_than_directions(vectors: list[list[int]], clusters: int, found: int) -> None:
    assert len(kmeans(np.array(vectors, np.int8), clusters, 3, 0)) == found


def test_members_that_cancel_out_leave_their_centroid_where_it_was() -> None:
    centroids = kmeans(np.array([[5, 0], [-5, 0]], np.int8), 1, 3, 0)
    assert abs(centroids).tolist() == [[5, 0]]


def test_the_nearest_is_by_cosine_and_the_first_of_equals() -> None:
    centroids = np.array([[100, 0], [1, 1], [0, 0], [50, 0]], np.int8)
    vectors = np.array([[1, 0], [3, 3], [0, 0], [-1, 0]], np.int8)
    found = nearest_centroids(vectors, centroids, 3)
    assert found[:, 0].tolist() == [0, 1, 0, 2], "what points away is nearest to nothing"
    assert found[0].tolist() == [0, 3, 1]
    assert nearest_centroids(vectors, centroids, 9).shape == (4, 4)


@pytest.mark.parametrize(("clusters", "iterations"), [(0, 1), (1, 0)])
def test_numbers_below_one_are_refused(clusters: int, iterations: int) -> None:
    with pytest.raises(ValueError, match="want at least 1"):
        kmeans(np.ones((2, 2), np.int8), clusters, iterations, 0)


def test_no_nearest_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at_most=0"):
        nearest_centroids(np.ones((1, 2), np.int8), np.ones((1, 2), np.int8), 0)


@pytest.mark.parametrize("centroids", [np.zeros((0, 2), np.int8), np.zeros((1, 3), np.int8)])
def test_centroids_that_do_not_fit_are_refused(centroids: Int8) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        nearest_centroids(np.ones((1, 2), np.int8), centroids)
