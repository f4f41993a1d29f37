"""Take stretches of bytes out of many texts at once.

The texts of an array lie one behind the other in one buffer, so what stays is copied in stretches that reach from
one cut to the next, over all texts between: the cost is one copy of the bytes, whatever the number of texts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets

Places = npt.NDArray[np.int64]


def cut_spans(texts: pa.LargeStringArray, rows: Places, starts: Places, stops: Places) -> pa.LargeStringArray:
    """`texts` without the bytes [starts[i], stops[i]) of texts[rows[i]]; null stays null, others may become empty.

    Spans are ordered by (row, start) and do not overlap; they may touch, and may be empty. Raises ValueError where
    they do overlap, lie outside of their text or in a null, or begin or end within a character.
    """
    if not isinstance(texts, pa.LargeStringArray):
        raise ValueError(f"{type(texts).__name__} given; want an array of large_string")
    if not len(rows) == len(starts) == len(stops):
        raise ValueError(f"{len(rows)} rows, {len(starts)} starts and {len(stops)} stops; want as many of each")
    if len(rows) == 0:
        return texts
    if rows.min() < 0 or rows.max() >= len(texts):
        raise ValueError(f"spans name rows outside 0..{len(texts) - 1}")
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    if (wrong := _first_wrong(data, offsets, null, rows, starts, stops)) >= 0:
        raise ValueError(
            f"span {wrong}, bytes {starts[wrong]} to {stops[wrong]} of text {rows[wrong]}: want spans within a text, "
            "in order, apart, and whole characters"
        )
    left = np.empty(offsets[-1] - offsets[0] - int((stops - starts).sum()), np.uint8)
    _copy_rest(data, offsets, rows, starts, stops, left)
    lost = np.zeros(len(texts) + 1, np.int64)
    np.add.at(lost, rows + 1, stops - starts)
    validity = pa.array(~null).buffers()[1] if texts.null_count else None
    kept_offsets = pa.py_buffer(offsets - offsets[0] - np.cumsum(lost))
    return pa.Array.from_buffers(
        pa.large_string(), len(texts), [validity, kept_offsets, pa.py_buffer(left)], texts.null_count
    )


@compiled
def _first_wrong(data: Any, offsets: Any, null: Any, rows: Any, starts: Any, stops: Any) -> int:
    """Index of the first span that breaks a promise, or -1."""
    for i in range(len(rows)):
        begin, length = offsets[rows[i]], offsets[rows[i] + 1] - offsets[rows[i]]
        if null[rows[i]] or not 0 <= starts[i] <= stops[i] <= length:
            return i
        if i and (rows[i] < rows[i - 1] or (rows[i] == rows[i - 1] and starts[i] < stops[i - 1])):
            return i
        for at in (starts[i], stops[i]):
            if at < length and (data[begin + at] & 0xC0) == 0x80:
                return i
    return -1


@compiled
def _copy_rest(data: Any, offsets: Any, rows: Any, starts: Any, stops: Any, left: Any) -> None:
    at, to = np.int64(offsets[0]), np.int64(0)
    for i in range(len(rows) + 1):
        until = offsets[rows[i]] + starts[i] if i < len(rows) else np.int64(offsets[-1])
        for k in range(until - at):
            left[to + k] = data[at + k]
        to += until - at
        if i < len(rows):
            at = offsets[rows[i]] + stops[i]
