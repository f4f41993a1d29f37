"""Where the pieces end that a split pattern cuts a text into: one step of a table for each code point.

Taking runs of a-z eight bytes at a time made this 2.5 times slower (docs/log.md): words are short, and the end of each
run is one more branch that nothing foretells.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load8, load16

ENDS = 1 << 15  # bit of an entry: a match may end here, before the code point that is looked at
DEAD, BEGIN = 0, 1  # states
COLUMNS = 64  # of a row: the last is the end of the text
POINTS = 1 << 21  # that four bytes can spell, be they UTF-8 or not
PADDING = 16  # bytes behind a text that are read, and count for nothing


@njit(inline="always")
def next_end(text: Any, at: Any, stop: Any, class_of: Any, table: Any) -> Any:
    """Where the match ends that begins at `at` < `stop`; `at` where there is none.

    text: uint8, PADDING bytes behind `stop`. class_of: uint8[POINTS]. table: the bytes of uint16[states, COLUMNS].
    """
    state, last = np.int64(BEGIN), at
    while at < stop:
        byte = np.int64(load8(text, at))
        width = np.int64(1)
        if byte < 0x80:
            kind = np.int64(load8(class_of, byte))
        else:
            if byte < 0xE0:
                point = ((byte & 31) << 6) | (np.int64(load8(text, at + 1)) & 63)
                width = np.int64(2)
            elif byte < 0xF0:
                point = ((byte & 15) << 12) | ((np.int64(load8(text, at + 1)) & 63) << 6)
                point |= np.int64(load8(text, at + 2)) & 63
                width = np.int64(3)
            else:
                point = ((byte & 7) << 18) | ((np.int64(load8(text, at + 1)) & 63) << 12)
                point |= ((np.int64(load8(text, at + 2)) & 63) << 6) | (np.int64(load8(text, at + 3)) & 63)
                width = np.int64(4)
            kind = np.int64(load8(class_of, point))
        entry = np.int64(load16(table, ((state << 6) | kind) << 1))
        if entry & ENDS:
            last = at
        state = entry & (ENDS - 1)
        if state == DEAD:
            return last
        at += width
    if np.int64(load16(table, ((state << 6) | (COLUMNS - 1)) << 1)) & ENDS:
        last = stop
    return last


@njit(inline="always")
def piece_end(text: Any, at: Any, stop: Any, class_of: Any, table: Any) -> Any:
    """As next_end; where nothing matches, the beginning of the next match, or `stop`."""
    end = next_end(text, at, stop, class_of, table)
    if end > at:
        return end
    return _gap_end(text, at, stop, class_of, table)


@njit
def _gap_end(text: Any, at: Any, stop: Any, class_of: Any, table: Any) -> Any:
    at += 1
    while at < stop:
        # What is no beginning of a code point belongs to the one before.
        if (load8(text, at) & 0xC0) != 0x80 and next_end(text, at, stop, class_of, table) > at:
            return at
        at += 1
    return stop


@compiled
def split(
    text: NDArray[np.uint8], stop: int, class_of: NDArray[np.uint8], table: NDArray[np.uint8], ends: NDArray[np.int64]
) -> int:
    """Fill `ends` with where the pieces of text[:stop] end; how many there are. To measure the limit of all else."""
    at, found = np.int64(0), 0
    while at < stop:
        ends[found] = at = piece_end(text, at, stop, class_of, table)
        found += 1
    return found
