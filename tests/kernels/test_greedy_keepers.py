"""The walk keeps what its definition keeps, whatever the input, and never compares all with all."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.greedy_keepers import Keepers, greedy_keepers
from tokenmill.kernels.greedy_keepers_reference import greedy_keepers_reference


def keepers(rows: list[list[int]], bands: int, equal_at_least: int, cap: int = 10_000) -> Keepers:
    return greedy_keepers(np.array(rows, np.uint32), np.arange(len(rows)), bands, equal_at_least, cap)


@st.composite
def walks(draw: st.DrawFn) -> tuple[list[list[int]], list[int], int, int, int]:
    bands, rows = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    k = bands * rows
    n = draw(st.integers(0, 25))
    # Few values, so that bands are often shared, pairs are often just short of similar, and buckets fill.
    values = st.integers(0, draw(st.integers(0, 2)))
    signatures = draw(st.lists(st.lists(values, min_size=k, max_size=k), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))[: draw(st.integers(0, n))]
    return signatures, order, bands, draw(st.integers(1, k + 1)), draw(st.integers(1, 6))


@settings(deadline=None, max_examples=500)  # the first call compiles
@given(walks())
def test_equals_the_plain_definition(walk: tuple[list[list[int]], list[int], int, int, int]) -> None:
    signatures, order, bands, equal_at_least, cap = walk
    matrix = (
        np.array(signatures, np.uint32).reshape(len(signatures), -1) if signatures else np.zeros((0, bands), np.uint32)
    )
    found = greedy_keepers(matrix, np.array(order, np.int64), bands, equal_at_least, cap)
    removed, counts = greedy_keepers_reference(signatures, order, bands, equal_at_least, cap)
    assert {i: (int(found.keeper[i]), int(found.equal[i])) for i in np.flatnonzero(found.keeper >= 0)} == removed
    assert {name: getattr(found, name) for name in counts} == counts


def test_identical_documents_all_go_to_the_first_after_one_comparison_each() -> None:
    found = keepers([[7, 7, 7, 7]] * 1000, bands=2, equal_at_least=3)
    assert found.keeper.tolist() == [-1] + [0] * 999
    assert (found.compared, found.verified, found.unverified) == (999, 999, 0)


def test_unique_documents_all_stay_and_none_are_compared() -> None:
    found = keepers([[i, i, i, i] for i in range(1000)], bands=2, equal_at_least=3)
    assert (found.keeper == -1).all()
    assert found.compared == 0


def test_a_chain_falls_into_stars() -> None:
    """Each document shares 3 of 4 places with the next, and nothing with those further on than that allows."""
    chain = [[i, i + 1, i + 2, i + 3] for i in range(5)]
    rows = [[row[j % len(row)] for j in range(4)] for row in chain]
    places = [sorted(row, key=lambda value: value % 4) for row in rows]  # value v stands in place v mod 4
    # 0: 0 1 2 3   1: 4 1 2 3   2: 4 5 2 3   3: 4 5 6 3   4: 4 5 6 7
    found = keepers(places, bands=4, equal_at_least=3)
    assert found.keeper.tolist() == [-1, 0, -1, 2, -1]
    assert found.equal.tolist() == [0, 3, 0, 3, 0]


def test_the_most_preferred_of_several_keepers_is_named_even_from_a_later_band() -> None:
    a, b, mine = [1, 2, 3, 9], [5, 2, 4, 8], [5, 2, 3, 8]
    # `mine` meets b in its first band (5) and a only in its second (2): both pair at 2 equal places.
    assert keepers([a, b, mine], bands=4, equal_at_least=2).keeper.tolist() == [-1, -1, 0]


def test_a_shared_band_alone_removes_nothing_and_similarity_without_one_is_not_seen() -> None:
    assert keepers([[1, 1, 2, 3], [1, 1, 4, 5]], bands=2, equal_at_least=3).keeper.tolist() == [-1, -1]
    assert keepers([[1, 2, 3, 4], [1, 0, 3, 0]], bands=2, equal_at_least=2).keeper.tolist() == [-1, -1]


def test_the_cap_bounds_a_hot_bucket_and_counts_what_it_prevents() -> None:
    """100 documents share their first band and nothing else; document i may look at 10 of the i before it."""
    rows = [[0, i + 1, i + 1000, i + 2000] for i in range(100)]
    found = keepers(rows, bands=4, equal_at_least=2, cap=10)
    assert (found.keeper == -1).all()
    assert found.compared == sum(min(i, 10) for i in range(100))
    assert found.unverified == sum(max(i - 10, 0) for i in range(100))


def test_equal_bands_are_compared_by_value_never_by_hash_alone() -> None:
    """200,000 random buckets of two 32-bit values: those the kernel finds shared are exactly those numpy finds."""
    rng = np.random.default_rng(1)
    bands: npt.NDArray[np.uint32] = rng.integers(0, 700, (200_000, 2), np.uint32)
    found = greedy_keepers(bands, np.arange(len(bands)), 1, 2, 1)
    _, first, place = np.unique(bands, axis=0, return_index=True, return_inverse=True)
    want = first[place.ravel()]
    assert (np.where(found.keeper < 0, np.arange(len(bands)), found.keeper) == want).all()


@pytest.mark.parametrize(
    ("shape", "order", "bands", "match"),
    [
        ((2, 5), [0], 2, "multiple of bands=2"),
        ((2, 4), [0], 0, "multiple of bands=0"),
        ((2, 4), [0, 2], 2, "outside 0..1"),
        ((2, 4), [-1], 2, "outside 0..1"),
        ((2, 4), [1, 1], 2, "a row twice"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, int], order: list[int], bands: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        greedy_keepers(np.zeros(shape, np.uint32), np.array(order), bands, 1, 1)
