"""Rounds of large-star and small-star over ranges of nodes end, soon, in the components that one memory finds."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.components import both_ways, large_star, small_star, sort_by_key, sorted_pairs
from tokenmill.kernels.union_find import components
from tokenmill.kernels.union_find_reference import components_reference

Nodes = npt.NDArray[np.int64]
Rows = tuple[Nodes, Nodes]
Edges = list[tuple[int, int]]

LOWEST, HIGHEST = -(2**63), 2**63 - 1
SHARD = 1 << 40


def rows(edges: Edges) -> Rows:
    return np.array([a for a, _ in edges], np.int64), np.array([b for _, b in edges], np.int64)


def pairs(found: Rows) -> Edges:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def exchange(written: Sequence[Rows], bounds: Nodes) -> list[Rows]:
    """What an engine does between two steps: all rows, to the task that has the range of their first node."""
    first, second = (np.concatenate([part[side] for part in written]) for side in (0, 1))
    task = np.searchsorted(bounds, first, side="right")
    return [(first[task == i], second[task == i]) for i in range(len(bounds) + 1)]


def by_rounds(parts: Sequence[Rows], bounds: Nodes) -> tuple[list[Rows], int, int]:
    """(rows of each range when nothing changes any more, rounds, the most rows that a round began with)."""
    written = list(parts)
    rounds, most = 0, 0
    while True:
        rounds += 1
        most = max(most, sum(len(child) for child, _ in written))
        large = [large_star(*part) for part in exchange([both_ways(*part) for part in written], bounds)]
        small = [small_star(*part) for part in exchange([(child, parent) for child, parent, _ in large], bounds)]
        written = [(child, parent) for child, parent, _ in small]
        if sum(changes for _, _, changes in large + small) == 0:
            return written, rounds, most


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    awkward = [LOWEST, HIGHEST, -1, 0, 1, SHARD, SHARD + 1, -SHARD, 1 - SHARD, -2 * SHARD]
    nodes = st.integers(-(draw(st.integers(1, 40))), draw(st.integers(0, 40))) | st.sampled_from(awkward)
    return draw(st.lists(st.tuples(nodes, nodes), max_size=60))


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(graphs(), st.lists(st.integers(-50, 50), max_size=4), st.integers(1, 4), st.booleans())
def test_rounds_give_each_range_the_components_of_its_nodes(
    edges: Edges, bounds: list[int], n: int, forests_first: bool
) -> None:
    """Parts are every n-th edge: as they came, or each brought down to the components that it has alone."""
    parts = [rows(edges[i::n]) for i in range(n)]
    if forests_first:
        parts = [components(*part) for part in parts]
    ranges, _, _ = by_rounds(parts, np.sort(np.array(bounds, np.int64)))
    found = [row for part in ranges for row in sorted(pairs(part))]
    assert found == list(components_reference(edges).items())


@settings(deadline=None, max_examples=300)
@given(graphs())
def test_one_step_keeps_every_component_and_adds_no_row_between_two_nodes(edges: Edges) -> None:
    def apart(some: Edges) -> set[tuple[int, int]]:
        return {(max(row), min(row)) for row in some if row[0] != row[1]}

    child, parent, changes = large_star(*both_ways(*rows(edges)))
    large = pairs((child, parent))
    assert components_reference(large) == components_reference(edges)
    assert len(apart(large)) <= len(apart(edges))
    assert (changes == 0) == (apart(large) == apart(edges))
    child, parent, changes = small_star(child, parent)
    small = pairs((child, parent))
    assert components_reference(small) == components_reference(edges)
    assert len(apart(small)) <= len(apart(large))
    assert (changes == 0) == (apart(small) == apart(large))


def answer(found: tuple[Nodes, Nodes, int]) -> tuple[Edges, int]:
    child, parent, changes = found
    return sorted(pairs((child, parent))), changes


@pytest.mark.parametrize(
    ("given_rows", "want", "changes"),
    [
        pytest.param([(5, 9), (5, 2), (5, 7), (5, 9)], [(7, 2), (9, 2)], 2, id="to the smallest neighbour"),
        pytest.param(
            [(2, 5), (2, 3)], [(2, 2), (3, 2), (5, 2)], 0, id="to the node itself, which gets a row of its own"
        ),
        pytest.param([(9, 5), (9, 2)], [], 0, id="smaller neighbours tell of it themselves"),
        pytest.param([(4, 4)], [(4, 4)], 0, id="a node alone"),
        pytest.param([(4, 4), (4, 1)], [], 0, id="no longer alone"),
        pytest.param([(4, 6), (1, 6)], [(1, 1), (4, 4), (6, 1), (6, 4)], 0, id="two nodes"),
    ],
)
def test_large_star_hangs_larger_neighbours_on_the_smallest(given_rows: Edges, want: Edges, changes: int) -> None:
    assert answer(large_star(*rows(given_rows))) == (want, changes)


@pytest.mark.parametrize(
    ("given_rows", "want", "changes"),
    [
        pytest.param([(9, 5), (9, 2), (9, 7), (9, 5)], [(5, 2), (7, 2), (9, 2)], 2, id="neighbours and node"),
        pytest.param([(9, 2), (9, 2)], [(9, 2)], 0, id="one neighbour"),
        pytest.param([(4, 4)], [(4, 4)], 0, id="a node alone"),
        pytest.param([(9, 9), (9, 2)], [(9, 2)], 0, id="no longer alone"),
        pytest.param([(6, 1), (6, 4), (1, 1)], [(1, 1), (4, 1), (6, 1)], 1, id="two nodes"),
    ],
)
def test_small_star_hangs_a_node_and_its_neighbours_on_the_smallest(
    given_rows: Edges, want: Edges, changes: int
) -> None:
    assert answer(small_star(*rows(given_rows))) == (want, changes)


def shuffled_chain(n: int) -> Rows:
    order = np.random.default_rng(1).permutation(n)
    return order[:-1], order[1:]


@pytest.mark.parametrize(
    ("edges_of", "n", "rounds_at_most"),
    [
        # A path in order halves its length in a round: 1 + log2(n), rounded up.
        pytest.param(lambda n: (np.arange(n - 1), np.arange(1, n)), 100, 8, id="path of 100"),
        pytest.param(lambda n: (np.arange(n - 1), np.arange(1, n)), 1_000, 11, id="path of 1,000"),
        pytest.param(lambda n: (np.arange(n - 1), np.arange(1, n)), 100_000, 18, id="path of 100,000"),
        pytest.param(lambda n: (np.arange(1, n)[::-1], np.arange(n - 1)[::-1]), 100_000, 18, id="path downwards"),
        pytest.param(shuffled_chain, 100_000, 18, id="path between random nodes"),
        pytest.param(lambda n: (np.arange(n - 1), np.full(n - 1, n - 1)), 100_000, 3, id="star around the largest"),
        pytest.param(lambda n: (np.arange(1, n), np.zeros(n - 1, np.int64)), 100_000, 1, id="a star already"),
        pytest.param(lambda n: (np.arange(1, n), np.arange(1, n) // 2), 100_000, 6, id="binary tree"),
    ],
)
@pytest.mark.parametrize("forests_first", [True, False], ids=["forests first", "edges"])
def test_rounds_grow_with_the_logarithm_of_the_path(
    edges_of: Callable[[int], Rows], n: int, rounds_at_most: int, forests_first: bool
) -> None:
    """Seven parts, five ranges; nodes from -n/2 on. Forests of parts may undo an order that was a star already."""
    a, b = (side - n // 2 for side in edges_of(n))
    parts = [(a[i::7], b[i::7]) for i in range(7)]
    if forests_first:
        parts = [components(*part) for part in parts]
    ranges, rounds, most = by_rounds(parts, np.arange(1, 5) * n // 5 - n // 2)
    nodes, labels = (np.concatenate([sorted_pairs(*part)[side] for part in ranges]) for side in (0, 1))
    assert (nodes == np.arange(n) - n // 2).all()
    assert (labels == -(n // 2)).all()
    assert rounds <= rounds_at_most
    assert most <= 2 * n + 7


def test_a_range_with_a_larger_neighbour_is_no_input_of_small_star() -> None:
    with pytest.raises(ValueError, match="a neighbour is larger than its node"):
        small_star(*rows([(2, 1), (1, 2)]))


@pytest.mark.parametrize("step", [large_star, small_star, sorted_pairs, sort_by_key])
def test_other_arrays_than_two_int64_of_one_length_are_refused(step: Callable[[Nodes, Nodes], object]) -> None:
    with pytest.raises(ValueError, match=r"want two int64\[n\]"):
        step(np.zeros(2, np.int32), np.zeros(2, np.int32))
    with pytest.raises(ValueError, match=r"want two int64\[n\]"):
        step(np.zeros(1, np.int64), np.zeros(2, np.int64))


VALUES = (
    st.integers(LOWEST, HIGHEST) | st.integers(-3, 3) | st.sampled_from([SHARD, SHARD + 1, -SHARD, LOWEST, HIGHEST])
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(VALUES, VALUES)))
def test_pairs_are_sorted_as_python_sorts_them(edges: Edges) -> None:
    first, second = rows(edges)
    assert pairs(sorted_pairs(first, second)) == sorted(edges)
    assert pairs((first, second)) == edges  # left as they were
    assert pairs(sort_by_key(first, second)) == sorted(edges, key=lambda pair: pair[0])  # stable
