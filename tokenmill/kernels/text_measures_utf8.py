"""One code point from UTF-8 bytes, for kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled

Integer = int | np.integer[Any]  # what a kernel calls an integer

REPLACEMENT = 0xFFFD


@compiled
def code_point(data: NDArray[np.uint8], p: Integer, end: Integer) -> tuple[Integer, Integer]:
    """The code point that begins at `p` < `end`, and its width in bytes, 1..4; U+FFFD and 1 where there is none.

    Looks at no byte at or behind `end`, whatever the bytes are.
    """
    b = np.int64(data[p])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        if b >= 0xC2 and p + 1 < end:
            return (b & 0x1F) << 6 | np.int64(data[p + 1]) & 0x3F, 2
    elif b < 0xF0:
        if p + 2 < end:
            return (b & 0xF) << 12 | (np.int64(data[p + 1]) & 0x3F) << 6 | np.int64(data[p + 2]) & 0x3F, 3
    elif p + 3 < end:
        c = (b & 7) << 18 | (np.int64(data[p + 1]) & 0x3F) << 12
        c |= (np.int64(data[p + 2]) & 0x3F) << 6 | np.int64(data[p + 3]) & 0x3F
        if c < 0x110000:
            return c, 4
    return REPLACEMENT, 1
