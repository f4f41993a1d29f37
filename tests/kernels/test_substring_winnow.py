"""Every window has the anchor that its content decides, wherever blocks are cut."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.substring_reference import anchors_of
from tokenmill.kernels.substring_units_reference import units_of
from tokenmill.kernels.substring_winnow import BLOCK, anchors, gram_of, winnow

REPEATS = st.lists(st.sampled_from("abc"), max_size=40).map(" ".join)


def windows_of(hashes: list[int], length: int) -> list[tuple[int, int]]:
    n = len(hashes)
    grams, chosen, waiting = np.empty(n + 1, np.uint64), np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    count = winnow(np.array(hashes, np.uint64), n, length, gram_of(length), grams, chosen, waiting)
    return [(int(place), int(grams[place])) for place in chosen[:count]]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 9))
def test_equals_the_plain_definition(hashes: list[int], length: int) -> None:
    assert windows_of(hashes, length) == anchors_of(hashes, length)


@pytest.mark.parametrize(("length", "gram"), [(1, 1), (2, 2), (3, 2), (50, 26)])
def test_an_anchor_is_half_a_window(length: int, gram: int) -> None:
    assert gram_of(length) == gram


def emitted(texts: list[str | None], length: int, bytewise: bool) -> list[tuple[int, int]]:
    """What `anchors` should give: the distinct places, but of equal ones in a row no more than two."""
    found = []
    for number, text in enumerate(texts):
        places = anchors_of([h for h, _, _ in units_of(text or "", bytewise)], length)
        values = [value for _, value in dict.fromkeys(places)]
        found += [
            (value, number) for i, value in enumerate(values) if not (i >= 2 and values[i - 2 : i] == [value, value])
        ]
    return found


@settings(deadline=None, max_examples=200)
@given(st.lists(st.none() | REPEATS | st.text(), max_size=5), st.integers(1, 6), st.booleans())
def test_anchors_of_texts_are_those_of_their_windows(texts: list[str | None], length: int, bytewise: bool) -> None:
    hashes, owners = anchors(pa.array(texts, pa.large_string()), length, bytewise)
    assert list(zip(hashes.tolist(), owners.tolist(), strict=True)) == emitted(texts, length, bytewise)


def test_texts_longer_than_a_block_are_no_special_case() -> None:
    rng = np.random.default_rng(1)
    text = " ".join(map(str, rng.integers(0, 50, 2 * BLOCK + 77)))
    hashes, _ = anchors(pa.array(["skipped", text], pa.large_string()).slice(1), 50, False)
    assert [(int(h), 0) for h in hashes] == emitted([text], 50, False)
    assert 0.07 < len(hashes) / (2 * BLOCK) < 0.085, "two in 26"


def test_periodic_text_has_few_anchors() -> None:
    assert len(anchors(pa.array(["a " * 100_000], pa.large_string()), 50, False)[0]) == 2
    assert len(anchors(pa.array(["a b c " * 100_000], pa.large_string()), 50, False)[0]) <= 4
