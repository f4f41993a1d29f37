"""Take spans out of texts so that what is left can be read.

1. Spans of a text that overlap or touch are one. Each is shrunk to whole code points, then to where it begins and
   ends with something else than white space; nothing may be left of it.
2. Spans between which there is only white space are one.
3. The white space on both sides of a span goes too. In its place comes a line break, for what meets there never stood
   together: the line feeds of the side that has more of them (the left one of two), else one. Then the indentation of
   what follows: what the right side has behind its last line feed, else the left side. At the beginning and the end of
   the text nothing comes.

So the tokens of what is left (substring_units.py) are exactly those that no span touches.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash_shingles import code_point
from tokenmill.kernels.substring_units import BETWEEN, KINDS

_LINE_FEED, _RETURN = 0x0A, 0x0D


class Cut(NamedTuple):
    """One entry for each text; nulls stay null."""

    texts: pa.LargeStringArray
    is_cut: npt.NDArray[np.bool_]
    chars_before: npt.NDArray[np.int64]  # code points; 0 of a null
    chars_left: npt.NDArray[np.int64]


def readable_rest(
    texts: pa.LargeStringArray,
    spans_of: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
) -> Cut:
    """Texts without their spans: of text i those from spans_of[i] up to spans_of[i + 1], ordered by start.

    Spans may overlap. Raises ValueError for one that is not inside its text. Cost: one pass, and a copy of the texts.
    """
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    lengths = np.diff(offsets).astype(np.int64)
    owners = np.repeat(np.arange(len(texts)), np.diff(spans_of))
    wrong = (starts < 0) | (starts > stops) | (stops > np.where(null, 0, lengths)[owners])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(f"span {starts[at]}..{stops[at]} of a text of {lengths[owners[at]]} bytes")
    result = np.empty(int(lengths.sum()) + len(starts), np.uint8)
    ends = np.zeros(len(texts) + 1, np.int64)
    is_cut = np.zeros(len(texts), np.bool_)
    before, left = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    _cut_texts(data, offsets, null, KINDS, spans_of, starts, stops, result, ends, is_cut, before, left)
    validity = pa.array(~null).buffers()[1] if texts.null_count else None
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(result[: ends[-1]])]
    return Cut(pa.Array.from_buffers(pa.large_string(), len(texts), buffers), is_cut, before, left)


@compiled
def _kind_at(data: Any, at: Any, stop: Any, kinds: Any) -> Any:
    """(kind, bytes) of the code point at `at` < stop."""
    point, width = code_point(data, at, stop)
    return (np.int64(kinds[point]) if point >= 0 else 0), width


@compiled
def _kind_before(data: Any, at: Any, begin: Any, kinds: Any) -> Any:
    """(kind, bytes) of the code point that ends at `at` > begin; a broken one counts as one byte of no kind."""
    first = at - 1
    while first > begin and at - first < 4 and data[first] & 0xC0 == 0x80:
        first -= 1
    kind, width = _kind_at(data, first, at, kinds)
    if first + width != at:
        return 0, 1
    return kind, width


@compiled
def _space_ends(data: Any, at: Any, stop: Any, kinds: Any) -> Any:
    """The end of the white space that begins at `at`."""
    while at < stop:
        kind, width = _kind_at(data, at, stop, kinds)
        if kind != BETWEEN:
            break
        at += width
    return at


@compiled
def _space_begins(data: Any, at: Any, begin: Any, kinds: Any) -> Any:
    """The beginning of the white space that ends at `at`."""
    while at > begin:
        kind, width = _kind_before(data, at, begin, kinds)
        if kind != BETWEEN:
            break
        at -= width
    return at


@compiled
def _copy(data: Any, start: Any, stop: Any, result: Any, filled: Any) -> Any:
    result[filled : filled + stop - start] = data[start:stop]
    return filled + stop - start


@compiled
def _characters(data: Any, start: Any, stop: Any) -> Any:
    count = 0
    for i in range(start, stop):
        count += data[i] & 0xC0 != 0x80
    return count


@compiled
def _line_feeds(data: Any, start: Any, stop: Any) -> Any:
    count = 0
    for i in range(start, stop):
        count += data[i] == _LINE_FEED
    return count


@compiled
def _behind_line_feeds(data: Any, start: Any, stop: Any) -> Any:
    """Behind the last line feed of data[start:stop]; `start` where there is none."""
    while stop > start and data[stop - 1] != _LINE_FEED:
        stop -= 1
    return stop


@compiled
def _without(
    data: Any, at: Any, start: Any, stop: Any, end: Any, kinds: Any, result: Any, filled: Any, blank: Any
) -> Any:
    """(filled, where to go on) after data[at:start] is copied and the span up to `stop` replaced by its separator.

    The text ends at `end`; `blank`: nothing of it is copied yet.
    """
    left, right = _space_begins(data, start, at, kinds), _space_ends(data, stop, end, kinds)
    filled = _copy(data, at, left, result, filled)
    if (blank and left == at) or right == end:
        return filled, right
    lines, lines_right = _line_feeds(data, left, start), _line_feeds(data, stop, right)
    last, last_right = _behind_line_feeds(data, left, start), _behind_line_feeds(data, stop, right)
    if lines_right > lines:
        first = stop
        while data[first] != _LINE_FEED:
            first += 1
        first -= first > stop and data[first - 1] == _RETURN
        filled = _copy(data, first, last_right, result, filled)
    elif lines:
        filled = _copy(data, left, last, result, filled)
    else:
        result[filled] = _LINE_FEED
        filled += 1
    if lines_right:
        filled = _copy(data, last_right, right, result, filled)
    elif lines:
        filled = _copy(data, last, start, result, filled)
    return filled, right


@compiled
def _shrunk(data: Any, start: Any, stop: Any, end: Any, kinds: Any) -> Any:
    """(start, stop) of what is left of a span by whole code points and without white space at its ends."""
    while start < stop and data[start] & 0xC0 == 0x80:
        start += 1
    if stop < end:
        while stop > start and data[stop] & 0xC0 == 0x80:
            stop -= 1
    start = _space_ends(data, start, stop, kinds)
    return start, _space_begins(data, stop, start, kinds)


@compiled
def _cut_texts(
    data: Any,
    offsets: Any,
    null: Any,
    kinds: Any,
    spans_of: Any,
    starts: Any,
    stops: Any,
    result: Any,
    ends: Any,
    is_cut: Any,
    before: Any,
    left: Any,
) -> None:
    filled = 0
    for i in range(len(null)):
        ends[i + 1] = filled
        if null[i]:
            continue
        begin, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
        at, span, last = begin, spans_of[i], spans_of[i + 1]
        waiting, waiting_stop = np.int64(-1), np.int64(-1)  # the span before, which may go on
        while span < last:
            start, stop = begin + starts[span], begin + stops[span]
            span += 1
            while span < last and begin + starts[span] <= stop:
                stop = max(stop, begin + stops[span])
                span += 1
            start, stop = _shrunk(data, start, stop, end, kinds)
            if start >= stop:
                continue
            is_cut[i] = True
            if waiting >= 0 and _space_begins(data, start, waiting_stop, kinds) == waiting_stop:
                waiting_stop = stop
                continue
            if waiting >= 0:
                filled, at = _without(data, at, waiting, waiting_stop, end, kinds, result, filled, filled == ends[i])
            waiting, waiting_stop = start, stop
        if waiting >= 0:
            filled, at = _without(data, at, waiting, waiting_stop, end, kinds, result, filled, filled == ends[i])
        filled = _copy(data, at, end, result, filled)
        ends[i + 1] = filled
        before[i] = _characters(data, begin, end)
        left[i] = _characters(result, ends[i], filled) if is_cut[i] else before[i]
