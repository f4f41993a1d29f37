r"""Which bytes leave a text when lines are cut out of it, so that what is left reads as if they had never been there.

A text is its lines, joined by "\n". Lines that a span touches are cut. Blank lines directly behind a cut line go too
where the line then before them is blank or there is none: no blank lines are doubled that were not before, and no text
begins with one. Where the last lines are cut, the "\n" or "\r\n" before them goes. The other lines stay as they are.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.cut_spans import Places, cut_spans
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.line_spans import end_of_line, skip_space
from tokenmill.kernels.unicode_classes import CLASSES

_RETURN = ord("\r")


def cut_lines(texts: pa.LargeStringArray, rows: Places, starts: Places, stops: Places) -> pa.LargeStringArray:
    """`texts` without the lines that hold bytes [starts[i], stops[i]) of texts[rows[i]]; no span may be empty.

    Spans are ordered by (row, start), do not overlap, and no two touch one line, as kernels/line_spans.py gives them.
    Raises ValueError where a span is not within its text. Cost: two reads of the texts that have spans.
    """
    if len(rows) and (rows.min() < 0 or rows.max() >= len(texts)):
        raise ValueError(f"spans name rows outside 0..{len(texts) - 1}")
    data, offsets = data_and_offsets(texts)
    if (wrong := _first_outside(offsets, rows, starts, stops)) >= 0:
        raise ValueError(f"span {wrong}, bytes {starts[wrong]} to {stops[wrong]}, is not within text {rows[wrong]}")
    ranges = np.empty((3, len(rows)), np.int64)
    n = _whole_lines(data, offsets, rows, starts, stops, CLASSES, ranges)
    return cut_spans(texts, ranges[0, :n], ranges[1, :n], ranges[2, :n])


def _first_outside(offsets: npt.NDArray[Any], rows: Places, starts: Places, stops: Places) -> int:
    outside = (starts < 0) | (stops <= starts) | (stops > offsets[rows + 1] - offsets[rows])
    return int(np.argmax(outside)) if outside.any() else -1


@compiled
def _whole_lines(data: Any, offsets: Any, rows: Any, starts: Any, stops: Any, classes: Any, ranges: Any) -> Any:
    """Fill `ranges` (rows, starts, stops) with what leaves, at most one for each span; how many there are."""
    n = np.int64(0)
    span = 0
    while span < len(rows):
        row = rows[span]
        begin, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        at = begin
        kept_end = np.int64(-1)  # where the last line that stays ends
        kept_blank = True  # whether it is blank, or there is none
        cutting = False  # whether lines have been cut since
        takes_blank = False  # whether a blank line here goes too
        while at <= end:
            line_end = end_of_line(data, at, end)
            while span < len(rows) and rows[span] == row and begin + stops[span] <= at:
                span += 1
            if span < len(rows) and rows[span] == row and begin + starts[span] < line_end:
                cutting, takes_blank = True, kept_blank
            else:
                blank = skip_space(data, at, line_end, classes) == line_end
                if not (takes_blank and blank):
                    if cutting:
                        ranges[0, n] = row
                        ranges[1, n] = kept_end + 1 - begin if kept_end >= 0 else 0
                        ranges[2, n] = at - begin
                        n += 1
                    cutting, takes_blank = False, False
                    kept_end, kept_blank = line_end, blank
            at = line_end + 1
        if cutting:
            if kept_end > begin and data[kept_end - 1] == _RETURN:
                kept_end -= 1
            ranges[0, n] = row
            ranges[1, n] = kept_end - begin if kept_end >= 0 else 0
            ranges[2, n] = end - begin
            n += 1
        while span < len(rows) and rows[span] == row:
            span += 1
    return n
