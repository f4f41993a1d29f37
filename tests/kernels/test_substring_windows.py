"""Windows around repeated anchors travel packed, and come out as they went in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.substring_firsts import places_of
from tokenmill.kernels.substring_reference import anchors_of, window_hash
from tokenmill.kernels.substring_units_reference import units_of
from tokenmill.kernels.substring_windows import packed_windows, unpack
from tokenmill.kernels.substring_winnow import BLOCK

REPEATS = st.lists(st.sampled_from(["a", "bb", "é", "."]), max_size=40).map(" ".join)
Window = tuple[int, int, int]  # start and stop in bytes, hash
Row = tuple[int, int, int, list[Window]]  # text, anchor, place of the first window in units


def packed(texts: list[str | None], length: int, bytewise: bool, told: list[set[int]]) -> list[Row]:
    flat = np.array([key for keys in told for key in sorted(keys)], np.uint64)
    told_of = np.cumsum([0, *map(len, told)]).astype(np.int64)
    rows = packed_windows(pa.array(texts, pa.large_string()), length, bytewise, flat, told_of)
    _, buffer, data = rows.windows.buffers()
    data, offsets = np.frombuffer(data, np.uint8), np.frombuffer(buffer, np.int64)
    hashes, starts, stops = np.empty(length, np.uint64), np.empty(length, np.int64), np.empty(length, np.int64)
    found: list[Row] = []
    for row, (owner, anchor) in enumerate(zip(rows.owners.tolist(), rows.anchors.tolist(), strict=True)):
        n, place = unpack(data, offsets[row], offsets[row + 1], hashes, starts, stops)
        windows = [(int(starts[w]), int(stops[w]), int(hashes[w])) for w in range(n)]
        found.append((owner, anchor, place, windows))
    assert places_of(data, offsets).tolist() == [row[2] for row in found]
    return found


def by_definition(texts: list[str | None], length: int, bytewise: bool, told: list[set[int]]) -> list[Row]:
    found: list[Row] = []
    for number, text in enumerate(texts):
        units = units_of(text or "", bytewise)
        latest = -1
        for window, (place, anchor) in enumerate(anchors_of([h for h, _, _ in units], length)):
            if anchor in told[number]:
                if place != latest:
                    found.append((number, anchor, window, []))
                inside = units[window : window + length]
                found[-1][3].append((inside[0][1], inside[-1][2], window_hash([h for h, _, _ in inside])))
            latest = place
    return found


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(st.lists(st.none() | REPEATS | st.text(), max_size=4), st.integers(1, 6), st.booleans(), st.randoms())
def test_equals_the_plain_definition(texts: list[str | None], length: int, bytewise: bool, rng: object) -> None:
    told = []
    for text in texts:
        keys = {key for _, key in anchors_of([h for h, _, _ in units_of(text or "", bytewise)], length)}
        told.append({key for key in keys if key % 3} | {7})
    assert packed(texts, length, bytewise, told) == by_definition(texts, length, bytewise, told)


def test_rows_reach_across_blocks_and_numbers_of_any_size() -> None:
    rng = np.random.default_rng(2)
    words = list(map(str, rng.integers(0, 50, 2 * BLOCK + 99)))
    words[5], words[-5] = "x" * 70_000, "y" * 300
    text = " ".join(words)
    told = [{key for _, key in anchors_of([h for h, _, _ in units_of(text, False)], 50)}]
    found = packed([text], 50, False, told)
    assert found == by_definition([text], 50, False, told)
    assert len(found[0][3]) > 1


def test_nothing_told_is_nothing_sent() -> None:
    assert packed(["a b c d e f", None], 2, False, [set(), set()]) == []


@pytest.mark.parametrize("other", ["a b b a", "b a a b", "a a b b"])
def test_the_order_of_tokens_counts(other: str) -> None:
    assert window_hash([h for h, _, _ in units_of("a b a b", False)]) != window_hash(
        [h for h, _, _ in units_of(other, False)]
    )


def test_thue_and_morse_do_not_collide() -> None:
    """Texts of two letters that no polynomial modulo 2^64 can tell apart, whatever its base."""
    a = [i.bit_count() % 2 for i in range(2048)]
    units = [units_of("a", False)[0][0], units_of("b", False)[0][0]]
    assert window_hash([units[bit] for bit in a]) != window_hash([units[1 - bit] for bit in a])
