"""Which packed windows (substring_windows.py) occur earlier, and where first: the stretches that may go.

Rows of one anchor form a group and come in order of preference; within them windows are met one after the other,
and the first of equal ones stays. One hash table per group: linear in the windows, however often one occurs.

Of a window that overlaps the first occurrence of its like in the same text only what lies behind that goes. So of
periodic text the first window stays whole.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.substring_windows import number_at, unpack
from tokenmill.kernels.substring_winnow import gram_of, grown

_LEAST_BYTES = 10  # of a packed window


class Stretches(NamedTuple):
    """One entry for each stretch of consecutive windows of a row that occur first in one text."""

    rows: npt.NDArray[np.int64]  # of which packed row
    firsts: npt.NDArray[np.int64]  # the packed row of a text that has them first
    starts: npt.NDArray[np.int64]  # bytes of the text, [start, stop)
    stops: npt.NDArray[np.int64]
    occurrences: npt.NDArray[np.int64]  # of the most frequent of these windows, the first one included


def places_of(packed: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place, in units, of the first window of each packed row."""
    places = np.empty(max(len(offsets) - 1, 0), np.int64)
    _places_of(packed, offsets, places)
    return places


def later_stretches(
    packed: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    texts: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    length: int,
) -> tuple[Stretches, int]:
    """The stretches, and how many windows they are. Row r is packed[offsets[r] : offsets[r + 1]], of text texts[r].

    Group g is the rows order[groups[g] : groups[g + 1]]: of one anchor, the preferred text first, by place in a text.
    Cost: about 0.1 us a window, and up to 80 bytes for each of the largest group.
    """
    *columns, windows = _later_stretches(packed, offsets, texts, order, groups, length - gram_of(length) + 1)
    return Stretches(*columns), int(windows)


@compiled
def _places_of(packed: Any, offsets: Any, places: Any) -> None:
    for row in range(len(places)):
        places[row], _ = number_at(packed, offsets[row])


@compiled
def _entry(table: Any, mask: Any, hashes: Any, value: Any) -> Any:
    """Where `value` is in the table, or where it belongs."""
    slot = np.int64(value & np.uint64(mask))
    while table[slot] >= 0 and hashes[table[slot]] != value:
        slot = (slot + 1) & mask
    return slot


@compiled
def _later_stretches(packed: Any, offsets: Any, texts: Any, order: Any, groups: Any, widest: Any) -> Any:
    values, begins, ends = np.empty(widest, np.uint64), np.empty(widest, np.int64), np.empty(widest, np.int64)
    table = np.empty(64, np.int64)
    hashes = np.empty(32, np.uint64)  # of the entries of the table; of each its first row, place and end, and how many
    first_row, first_place, first_end = np.empty(32, np.int64), np.empty(32, np.int64), np.empty(32, np.int64)
    times = np.empty(32, np.int64)
    rows, firsts, starts = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    stops, occurrences = np.empty(64, np.int64), np.empty(64, np.int64)
    count, windows = 0, 0
    for group in range(len(groups) - 1):
        if groups[group + 1] - groups[group] < 2:
            continue
        bound = 0
        for k in range(groups[group], groups[group + 1]):
            bound += (offsets[order[k] + 1] - offsets[order[k]]) // _LEAST_BYTES
        size = 64
        while size < 2 * bound:
            size *= 2
        if size > len(table):
            table = np.empty(size, np.int64)
            hashes, times = np.empty(size // 2, np.uint64), np.empty(size // 2, np.int64)
            first_row, first_place = np.empty(size // 2, np.int64), np.empty(size // 2, np.int64)
            first_end = np.empty(size // 2, np.int64)
        table[:size] = -1
        entries = 0
        for k in range(groups[group], groups[group + 1]):
            row = order[k]
            n, place = unpack(packed, offsets[row], offsets[row + 1], values, begins, ends)
            for w in range(n):
                slot = _entry(table, size - 1, hashes, values[w])
                if table[slot] < 0:
                    table[slot], hashes[entries], times[entries] = entries, values[w], 0
                    first_row[entries], first_place[entries], first_end[entries] = row, place + w, ends[w]
                    entries += 1
                times[table[slot]] += 1
        for k in range(groups[group], groups[group + 1]):
            row = order[k]
            n, place = unpack(packed, offsets[row], offsets[row + 1], values, begins, ends)
            open_text = np.int64(-1)
            for w in range(n):
                entry = table[_entry(table, size - 1, hashes, values[w])]
                first = first_row[entry]
                if first == row and first_place[entry] == place + w:
                    continue
                start = begins[w]
                if texts[first] == texts[row]:
                    start = max(start, first_end[entry])
                windows += 1
                if open_text == texts[first] and start <= stops[count - 1]:
                    stops[count - 1] = ends[w]
                    occurrences[count - 1] = max(occurrences[count - 1], times[entry])
                    continue
                if count == len(rows):
                    rows, firsts, starts = grown(rows, count + 1), grown(firsts, count + 1), grown(starts, count + 1)
                    stops, occurrences = grown(stops, count + 1), grown(occurrences, count + 1)
                open_text = texts[first]
                rows[count], firsts[count], starts[count] = row, first, start
                stops[count], occurrences[count] = ends[w], times[entry]
                count += 1
    return (
        rows[:count].copy(),
        firsts[:count].copy(),
        starts[:count].copy(),
        stops[:count].copy(),
        occurrences[:count].copy(),
        windows,
    )
