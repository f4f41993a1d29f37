"""Of equal windows the first stays, however many there are."""

import time

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.substring_firsts import Stretches, later_stretches, places_of
from tokenmill.kernels.substring_reference import anchors_of, first_occurrences
from tokenmill.kernels.substring_units_reference import units_of
from tokenmill.kernels.substring_windows import packed_windows


def stretches_of(texts: list[str], length: int, told: np.ndarray) -> tuple[Stretches, int, np.ndarray]:
    """(the stretches, how many windows they are, the text of each packed row); earlier texts are preferred."""
    told_of = np.arange(len(texts) + 1) * len(told)
    array = pa.array(texts, pa.large_string())
    rows = packed_windows(array, length, False, np.tile(told, len(texts)), told_of)
    _, offsets, data = rows.windows.buffers()
    packed, places = np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64)
    order = np.lexsort((places_of(packed, places), rows.owners, rows.anchors))
    groups = np.flatnonzero(np.diff(rows.anchors[order], prepend=0, append=0)).astype(np.int64)
    found, windows = later_stretches(packed, places, rows.owners, order, groups, length)
    return found, windows, rows.owners


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(st.lists(st.lists(st.sampled_from(["a", "bb", "é"]), max_size=14).map(" ".join), max_size=5), st.integers(1, 5))
def test_equals_the_plain_definition(texts: list[str], length: int) -> None:
    units = [units_of(text, bytewise=False) for text in texts]
    hashes = [[h for h, _, _ in some] for some in units]
    told = np.array(sorted({key for some in hashes for _, key in anchors_of(some, length)}), np.uint64)
    found, windows, owners = stretches_of(texts, length, told)
    later = first_occurrences(hashes, length)
    assert windows == len(later)
    want: list[set[int]] = [set() for _ in texts]
    firsts: list[set[int]] = [set() for _ in texts]
    for (text, place), (first_text, first, _) in later.items():
        start = units[text][place][1]
        if first_text == text:
            start = max(start, units[text][first + length - 1][2])
        want[text].update(range(start, units[text][place + length - 1][2]))
        firsts[text].add(first_text)
    got: list[set[int]] = [set() for _ in texts]
    got_firsts: list[set[int]] = [set() for _ in texts]
    for row, first, start, stop, times in zip(*(column.tolist() for column in found), strict=True):
        got[owners[row]].update(range(start, stop))
        got_firsts[owners[row]].add(int(owners[first]))
        assert 2 <= times <= max(times for _, _, times in later.values())
    assert (got, got_firsts) == (want, firsts)


def test_a_window_that_occurs_a_hundred_thousand_times_is_linear_work() -> None:
    texts = ["a b c d e f"] * 100_000
    told = np.unique([key for _, key in anchors_of([h for h, _, _ in units_of(texts[0], False)], 6)]).astype(np.uint64)
    stretches_of(texts[:2], 6, told)
    began = time.process_time()
    found, windows, _ = stretches_of(texts, 6, told)
    assert time.process_time() - began < 2
    assert windows == len(found.rows) == 99_999
    assert set(found.occurrences.tolist()) == {100_000}
