"""Components are those of the definition, however the edges are ordered, turned and cut into parts."""

from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.union_find import Forest, components, expected_nodes
from tokenmill.kernels.union_find_reference import components_reference

Nodes = npt.NDArray[np.int64]
Edges = list[tuple[int, int]]

LOWEST, HIGHEST = -(2**63), 2**63 - 1
SHARD = 1 << 40


def arrays(edges: Edges) -> tuple[Nodes, Nodes]:
    return np.array([a for a, _ in edges], np.int64), np.array([b for _, b in edges], np.int64)


def labelled(edges: Edges) -> dict[int, int]:
    nodes, labels = components(*arrays(edges))
    return dict(zip(nodes.tolist(), labels.tolist(), strict=True))


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    """From few nodes and many edges to many nodes and few edges, addresses and the ends of the range among them."""
    awkward = [LOWEST, HIGHEST, -1, 0, 1, SHARD, SHARD + 1, -SHARD, 1 - SHARD, -2 * SHARD, 2**32, -(2**32)]
    nodes = st.integers(-(draw(st.integers(1, 40))), draw(st.integers(0, 40))) | st.sampled_from(awkward)
    return draw(st.lists(st.tuples(nodes, nodes), max_size=60))


@pytest.mark.parametrize(
    ("edges", "want"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([(7, 7)], {7: 7}, id="a node alone"),
        pytest.param([(2, 1), (1, 2), (2, 1)], {1: 1, 2: 1}, id="one edge three times"),
        pytest.param([(1, 2), (3, 4)], {1: 1, 2: 1, 3: 3, 4: 3}, id="two components"),
        pytest.param([(1, 2), (3, 4), (4, 2)], {1: 1, 2: 1, 3: 1, 4: 1}, id="joined by the last edge"),
        pytest.param([(9, 8), (8, 7), (7, 6)], {6: 6, 7: 6, 8: 6, 9: 6}, id="a path downwards"),
        pytest.param([(1, 2), (2, 3), (3, 1)], {1: 1, 2: 1, 3: 1}, id="a ring"),
        pytest.param([(5, SHARD + 5), (-SHARD, 5)], {-SHARD: -SHARD, 5: -SHARD, SHARD + 5: -SHARD}, id="addresses"),
        pytest.param([(HIGHEST, LOWEST), (0, 0)], {LOWEST: LOWEST, 0: 0, HIGHEST: LOWEST}, id="ends of the range"),
    ],
)
def test_the_label_is_the_smallest_node_of_the_component(edges: Edges, want: dict[int, int]) -> None:
    assert labelled(edges) == want
    assert components_reference(edges) == want


@settings(deadline=None, max_examples=400)  # the first call compiles
@given(graphs())
def test_equals_the_plain_definition_and_nodes_ascend(edges: Edges) -> None:
    assert list(labelled(edges).items()) == list(components_reference(edges).items())


@settings(deadline=None, max_examples=200)
@given(graphs(), st.randoms(use_true_random=False))
def test_neither_order_nor_direction_nor_repeats_of_edges_matter(edges: Edges, random: Random) -> None:
    other = [edge[::-1] if random.random() < 0.5 else edge for edge in edges + edges[::3]]
    random.shuffle(other)
    assert labelled(other) == labelled(edges)


@settings(deadline=None, max_examples=200)
@given(graphs(), st.lists(st.integers(0, 60), max_size=4))
def test_parts_merge_to_the_whole_in_any_order(edges: Edges, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(edges)]
    parts = [edges[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)]
    of_edges, of_results = Forest(), Forest()
    for part in parts:
        of_edges.add(*arrays(part))
    for part in reversed(parts):
        of_results.add(*components(*arrays(part)))
    want = components_reference(edges)
    assert len(of_edges) == len(of_results) == len(want)
    for forest in (of_edges, of_results):
        nodes, labels = forest.components()
        assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == want


def test_a_forest_takes_more_edges_after_it_was_read() -> None:
    forest = Forest()
    forest.add(*arrays([(1, 2), (3, 4)]))
    assert forest.components()[1].tolist() == [1, 1, 3, 3]
    forest.add(*arrays([(4, 0)]))
    assert forest.components()[0].tolist() == [0, 1, 2, 3, 4]
    assert forest.components()[1].tolist() == [0, 1, 1, 0, 0]


N = 100_000  # beyond several times what a new forest has room for, and beyond where nodes are counted by a sample
SHUFFLED = np.random.default_rng(1).permutation(N)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(np.arange(N), np.arange(N) + 1, id="path upwards"),
        pytest.param(np.arange(N)[::-1], np.arange(N)[::-1] + 1, id="path downwards"),
        pytest.param(SHUFFLED, SHUFFLED + 1, id="path in random order"),
        pytest.param(np.append(SHUFFLED, N), np.append(SHUFFLED[1:], [N, SHUFFLED[0]]), id="path between random nodes"),
        pytest.param(np.zeros(N, np.int64), SHUFFLED + 1, id="star around the smallest"),
        pytest.param(np.full(N + 1, N), np.arange(N + 1), id="star around the largest"),
        pytest.param(np.arange(1, N + 1), np.arange(1, N + 1) // 2, id="binary tree"),
    ],
)
@pytest.mark.parametrize("scale", [1, -1, SHARD // N, SHARD], ids=["dense", "negative", "sparse", "one row a shard"])
def test_one_large_component_of_any_shape_is_found_with_and_without_growing(a: Nodes, b: Nodes, scale: int) -> None:
    """All nodes are 0..N, so the label of each is 0; mirrored, -N..0, and it is -N."""
    nodes = np.arange(N + 1) * scale
    growing = Forest()
    growing.add(a * scale, b * scale)
    for found, labels in (components(a * scale, b * scale), growing.components()):
        assert (found == np.sort(nodes)).all()
        assert (labels == nodes.min()).all()


def test_many_small_components_stay_apart_while_the_table_grows() -> None:
    """Triples 3i, 3i+1, 3i+2: the label is 3i. Edges come a thousand at a time."""
    first = np.random.default_rng(1).permutation(N) * 3
    forest = Forest()
    for begin in range(0, N, 1000):
        some = first[begin : begin + 1000]
        forest.add(some + 2, some + 1)
        forest.add(some + 1, some)
    nodes, labels = forest.components()
    assert (nodes == np.arange(3 * N)).all()
    assert (labels == np.arange(3 * N) // 3 * 3).all()


@pytest.mark.parametrize("distinct", [1000, 100_000, 10_000_000])
def test_nodes_are_counted_well_enough_to_make_room_for_them(distinct: int) -> None:
    a, b = np.random.default_rng(1).integers(0, distinct, (2, 1_000_000)) << 20
    really = len(np.unique(np.append(a, b)))
    assert 0.95 * really < expected_nodes(a, b) < 1.05 * really + 2000


def test_arrays_are_taken_as_they_lie_in_memory() -> None:
    """Read-only, as Arrow gives them, or every second value of another array; and they are left as they were."""
    both = np.array([[4, 3], [3, 9], [7, 7]], np.int64)
    both.flags.writeable = False
    nodes, labels = components(both[:, 0], both[:, 1])
    assert (nodes.tolist(), labels.tolist()) == ([3, 4, 7, 9], [3, 3, 7, 3])
    assert both.tolist() == [[4, 3], [3, 9], [7, 7]]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(np.zeros(2, np.int64), np.zeros(3, np.int64), id="lengths"),
        pytest.param(np.zeros(2, np.int32), np.zeros(2, np.int64), id="int32"),
        pytest.param(np.zeros(2, np.uint64), np.zeros(2, np.uint64), id="uint64"),
        pytest.param(np.zeros((2, 1), np.int64), np.zeros((2, 1), np.int64), id="two dimensions"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(a: Nodes, b: Nodes) -> None:
    for call in (components, expected_nodes, Forest().add):
        with pytest.raises(ValueError, match=r"want two int64\[n\]"):
            call(a, b)


def test_more_nodes_than_slots_can_be_chosen_among_are_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"6,319,738,104 slots for nodes, at most 2\^32 fit; divide"):
        Forest(expected_nodes=1 << 32)
