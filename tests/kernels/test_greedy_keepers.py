"""Both walks together remove exactly what the plain walk removes, and ask for no shingles but those that decide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.greedy_keepers import KEPT, NEEDS_SHINGLES, OPEN, REMOVED, TAKES_PART, Rule, propose, settle
from tokenmill.kernels.greedy_keepers_reference import greedy_keepers_reference, jaccard_reference

HASHES = 6
RULE = Rule(bands=3, threshold=0.5, surely=5, maybe=2, comparisons_at_most=1000)


def packed(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([x for s in sets for x in sorted(s)], np.uint32)
    return values, np.concatenate(([0], np.cumsum([len(s) for s in sets], dtype=np.int64))).astype(np.int64)


def both_walks(
    signatures: list[list[int]], order: list[int], stays: set[int], sets: list[set[int]], rule: Rule = RULE
) -> tuple[dict[int, tuple[int, float, int]], int]:
    """(removed row -> keeper, similarity, band; unverified): as the rounds of fuzzy_dedup call them."""
    matrix = np.array(signatures, np.uint32).reshape(-1, HASHES)
    standing = np.array([i in stays for i in range(len(signatures))], bool)
    first = propose(matrix, np.array(order, np.int64), standing, rule)
    removed = {
        i: (int(first.keeper[i]), float(first.similarity[i]), int(first.band[i]))
        for i in np.flatnonzero(first.keeper >= 0)
    }
    shown = [s if first.asked[i] & NEEDS_SHINGLES else set() for i, s in enumerate(sets)]
    again = [i for i in order if first.asked[i]]
    standing = first.state == KEPT
    second = settle(matrix, np.array(again, np.int64), standing, rule, *packed(shown))
    removed |= {
        i: (int(second.keeper[i]), float(second.similarity[i]), int(second.band[i]))
        for i in np.flatnonzero(second.keeper >= 0)
    }
    assert not any(second.state[i] == OPEN for i in again)
    kept = [i for i in order if i not in removed]
    return removed, int(first.unverified[kept].sum() + second.unverified[[i for i in again if i in kept]].sum())


def pair_of(signatures: list[list[int]], sets: list[set[int]], rule: Rule):
    def pair(a: int, b: int) -> float | None:
        same = sum(x == y for x, y in zip(signatures[a], signatures[b], strict=True))
        if same >= rule.surely:
            return float(np.float32(same / HASHES))
        if same < rule.maybe:
            return None
        exact = jaccard_reference(sets[a], sets[b])
        return float(np.float32(exact)) if exact >= rule.threshold else None

    return pair


DOCUMENTS = st.lists(
    st.tuples(st.lists(st.integers(0, 2), min_size=HASHES, max_size=HASHES), st.sets(st.integers(0, 5), min_size=1)),
    max_size=14,
)


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_two_walks_equal_the_plain_one(documents, rng, settled):
    signatures, sets = [d[0] for d in documents], [d[1] for d in documents]
    order = rng.sample(range(len(documents)), len(documents))
    stays = set(order[:settled])
    removed, unverified = both_walks(signatures, order, stays, sets)
    want = greedy_keepers_reference(signatures, order, stays, RULE.bands, pair_of(signatures, sets, RULE))
    assert {i: r[:2] for i, r in removed.items()} == {i: r[:2] for i, r in want.items()}
    assert unverified == 0
    for row, (keeper, _, band) in removed.items():
        assert signatures[row][2 * band : 2 * band + 2] == signatures[keeper][2 * band : 2 * band + 2]


def walk(*signatures: list[int], **changes: int):
    rule = Rule(**{**{f: getattr(RULE, f) for f in RULE.__slots__}, **changes})
    matrix = np.array(signatures, np.uint32)
    return propose(matrix, np.arange(len(matrix)), np.zeros(len(matrix), bool), rule)


def test_far_pairs_are_decided_without_shingles():
    found = walk([1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 2], [1, 1, 7, 8, 9, 9], maybe=3)
    assert found.state.tolist() == [KEPT, REMOVED, KEPT]
    assert found.asked.tolist() == [0, 0, 0]
    assert found.similarity[1] == np.float32(5 / 6)
    assert found.compared == 2


def test_a_near_pair_asks_for_the_shingles_of_both():
    found = walk([1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2])
    assert found.state.tolist() == [KEPT, OPEN]
    assert found.asked.tolist() == [TAKES_PART | NEEDS_SHINGLES] * 2


def test_what_surely_goes_is_no_keeper_even_while_its_own_is_unknown():
    """The third is surely paired with the second (kept), and perhaps with the first, which would then be its keeper."""
    a, b, c = [1, 1, 1, 1, 5, 6], [1, 1, 2, 2, 2, 2], [1, 1, 1, 2, 2, 2]
    found = walk(a, b, c, maybe=3)
    assert found.state.tolist() == [KEPT, KEPT, REMOVED]
    assert found.keeper.tolist() == [-1, -1, -1]
    assert found.asked.tolist() == [TAKES_PART | NEEDS_SHINGLES, TAKES_PART, TAKES_PART | NEEDS_SHINGLES]


def test_the_cap_removes_nothing_and_counts_what_it_prevented():
    one = [[1, 1, k, k, k, k] for k in range(10, 15)]
    found = walk(*one, comparisons_at_most=2, maybe=3)
    assert found.state.tolist() == [KEPT] * 5
    assert found.unverified.tolist() == [0, 0, 0, 1, 2]
    assert found.compared == 0 + 1 + 2 + 2 + 2


def test_a_pair_without_its_shingles_is_no_pair():
    matrix = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2]], np.uint32)
    found = settle(matrix, np.arange(2), np.zeros(2, bool), RULE, *packed([{1, 2}, set()]))
    assert found.state.tolist() == [KEPT, KEPT]
    assert found.unverified.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("a", "b", "similarity"),
    [
        pytest.param({1, 2, 3}, {1, 2, 3}, 1.0, id="equal"),
        pytest.param({1, 2}, {1, 2, 3, 4}, 0.5, id="at the threshold, which is closed"),
        pytest.param({1, 2}, {1, 2, 3, 4, 5}, None, id="below it"),
        pytest.param(set(range(100)), set(range(1, 101)), 99 / 101, id="all but one"),
    ],
)
def test_shingles_decide_near_the_threshold(a, b, similarity):
    matrix = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2]], np.uint32)
    found = settle(matrix, np.arange(2), np.zeros(2, bool), RULE, *packed([a, b]))
    assert found.keeper.tolist() == ([-1, -1] if similarity is None else [-1, 0])
    assert found.similarity[1] == np.float32(similarity or 0)
    assert found.exactly == 1


@pytest.mark.parametrize(("order", "match"), [([0, 0], "names a row twice"), ([0, 5], r"rows outside 0\.\.1")])
def test_an_order_that_cannot_be_walked_is_refused(order, match):
    with pytest.raises(ValueError, match=match):
        propose(np.ones((2, 6), np.uint32), np.array(order), np.zeros(2, bool), RULE)
