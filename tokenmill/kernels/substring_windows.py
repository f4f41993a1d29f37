"""The windows around anchors that occur more than once, packed: what has to travel in order to compare them.

Consecutive windows share an anchor (substring_winnow.py), 13 on average of 50 units. They make one row:

    place of the first window, in units | its start, in bytes of the text | its bytes | its hash
    then for each following window: start less the start before | stop less the stop before | its hash

Hashes are 8 bytes, little-endian; the other numbers LEB128, one byte up to 127. So a window is 10 bytes, where it
would be 30 alone.

The hash of a window of unit hashes u is finish(p(u) + finish(q(u'))), u' = finish(u) >> 3, where p is a polynomial
modulo 2^64 and q one modulo 2^61 - 1: any modulo a power of 2 has structured collisions (Thue and Morse), this prime
has not. Odds of 2^-64 for any two windows, and only windows around equal anchors are compared. So of 10^13 windows
some 3e-7 * m match wrongly in all, where m is how many different windows stand around the anchor of a window, on
average: 3 in 10,000 for m = 1,000.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.memory import load64
from tokenmill.kernels.minhash_shingles import BASE, finish
from tokenmill.kernels.substring_units import KINDS, read_units
from tokenmill.kernels.substring_winnow import BLOCK, gram_of, grown, winnow

PRIME = (1 << 61) - 1
BASE_OF_PRIME = 0x15E4A35E761E04B6  # any number: the first 61 bits of a multiplier of Steele & Vigna 2021
_BASE, _PRIME, _BASE_OF_PRIME = np.uint64(BASE), np.uint64(PRIME), np.uint64(BASE_OF_PRIME)
_LOW32, _LOW29 = np.uint64((1 << 32) - 1), np.uint64((1 << 29) - 1)
_WIDEST = 30  # bytes of three numbers; a window has 8 more at most


class PackedWindows(NamedTuple):
    """One row for each occurrence of an anchor, in order of the texts and in them."""

    owners: npt.NDArray[np.int64]  # which text
    anchors: npt.NDArray[np.uint64]
    windows: pa.LargeBinaryArray


def packed_windows(
    texts: pa.LargeStringArray,
    length: int,
    bytewise: bool,
    told: npt.NDArray[np.uint64],
    told_of: npt.NDArray[np.int64],
) -> PackedWindows:
    """The windows of texts[i] whose anchors are among told[told_of[i] : told_of[i + 1]], which ascends.

    Cost: one pass, 60 ns a window; the rows, and 200 kB of scratch.
    """
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    owners, found, ends, packed = _packed_windows(
        data, offsets, null, KINDS, bytewise, length, gram_of(length), told, told_of
    )
    windows = pa.Array.from_buffers(pa.large_binary(), len(owners), [None, pa.py_buffer(ends), pa.py_buffer(packed)])
    return PackedWindows(owners, found, windows)


@compiled
def _put(packed: Any, at: Any, value: Any) -> Any:
    while value >= 0x80:
        packed[at] = (value & 0x7F) | 0x80
        value >>= 7
        at += 1
    packed[at] = value
    return at + 1


@compiled
def number_at(packed: Any, at: Any) -> Any:
    """(number, where it ends)."""
    value, shift = np.int64(0), 0
    while packed[at] >= 0x80:
        value |= np.int64(packed[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | (np.int64(packed[at]) << shift), at + 1


@compiled
def unpack(packed: Any, at: Any, end: Any, hashes: Any, starts: Any, stops: Any) -> Any:
    """(windows of the row packed[at:end], place of the first in units); fills in hashes, starts and stops of each."""
    place, at = number_at(packed, at)
    start, at = number_at(packed, at)
    more, at = number_at(packed, at)
    stop = start + more
    n = 0
    while True:
        hashes[n], starts[n], stops[n] = load64(packed, at), start, stop
        n += 1
        at += 8
        if at >= end:
            return n, place
        more, at = number_at(packed, at)
        start += more
        more, at = number_at(packed, at)
        stop += more


@compiled
def _times(a: Any, b: Any) -> Any:
    """a * b modulo PRIME, all of them at most PRIME."""
    a1, a0, b1, b0 = a >> np.uint64(32), a & _LOW32, b >> np.uint64(32), b & _LOW32
    middle, low = a1 * b0 + a0 * b1, a0 * b0
    # 2^61 is 1: so 2^64 is 8, and what is above bit 61 of the other two comes in at the bottom.
    total = (a1 * b1 << np.uint64(3)) + (middle >> np.uint64(29)) + ((middle & _LOW29) << np.uint64(32))
    total += (low & _PRIME) + (low >> np.uint64(61))
    return _reduced(total)


@compiled
def _reduced(x: Any) -> Any:
    x = (x & _PRIME) + (x >> np.uint64(61))
    return x - _PRIME if x >= _PRIME else x


@compiled
def _rolled_to(hashes: Any, window: Any, length: Any, p: Any, q: Any, latest: Any, leaving: Any, leaving_q: Any) -> Any:
    """(p, q) of `window` from those of window `latest`; over again from -1, or where that is shorter."""
    again = latest < 0 or window - latest > length
    first = window if again else latest + length
    if again:
        p, q = np.uint64(0), np.uint64(0)
    for k in range(first, window + length):
        p = p * _BASE + hashes[k]
        q = _times(q, _BASE_OF_PRIME) + (finish(hashes[k]) >> np.uint64(3))
        if not again:
            p -= hashes[k - length] * leaving
            q += _PRIME - _times(finish(hashes[k - length]) >> np.uint64(3), leaving_q)
        q = _reduced(q)
    return p, q


@compiled
def _put64(packed: Any, at: Any, value: Any) -> Any:
    for i in range(8):
        packed[at + i] = (value >> np.uint64(8 * i)) & np.uint64(0xFF)
    return at + 8


@compiled
def _is_among(told: Any, first: Any, last: Any, value: Any) -> Any:
    while first < last:
        middle = (first + last) // 2
        if told[middle] < value:
            first = middle + 1
        elif told[middle] > value:
            last = middle
        else:
            return True
    return False


@compiled
def _packed_windows(
    data: Any, offsets: Any, null: Any, kinds: Any, bytewise: Any, length: Any, gram: Any, told: Any, told_of: Any
) -> Any:
    room = BLOCK + length
    hashes, grams = np.empty(room, np.uint64), np.empty(room, np.uint64)
    starts, stops = np.empty(room, np.int64), np.empty(room, np.int64)
    chosen, ahead = np.empty(room, np.int64), np.empty(room, np.int64)
    owners, found, ends = np.empty(64, np.int64), np.empty(64, np.uint64), np.zeros(65, np.int64)
    packed = np.empty(4096, np.uint8)
    rows, filled = 0, 0
    p, q, leaving, leaving_q = np.uint64(0), np.uint64(0), np.uint64(1), np.uint64(1)
    for _ in range(length):
        leaving *= _BASE
        leaving_q = _times(leaving_q, _BASE_OF_PRIME)
    for i in range(len(null)):
        if null[i] or told_of[i] == told_of[i + 1]:
            continue
        begin, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        at, n, behind = begin, 0, 0
        latest, wanted = np.int64(-1), False
        start_before, stop_before = np.int64(0), np.int64(0)
        while at < stop:
            n, at = read_units(data, at, stop, kinds, bytewise, n, hashes, starts, stops)
            windows = winnow(hashes, n, length, gram, grams, chosen, ahead)
            if windows == 0:
                continue
            current = -1
            for window in range(windows):
                begins = behind + chosen[window] != latest
                if begins:
                    latest = behind + chosen[window]
                    wanted = _is_among(told, told_of[i], told_of[i + 1], grams[chosen[window]])
                if not wanted:
                    continue
                p, q = _rolled_to(hashes, window, length, p, q, current, leaving, leaving_q)
                current = window
                start, end = starts[window] - begin, stops[window + length - 1] - begin
                if filled + _WIDEST + 8 > len(packed):
                    packed = grown(packed, filled + _WIDEST + 8)
                if begins:
                    if rows == len(owners):
                        owners, found, ends = grown(owners, rows + 1), grown(found, rows + 1), grown(ends, rows + 2)
                    owners[rows], found[rows] = i, grams[chosen[window]]
                    rows += 1
                    filled = _put(packed, filled, behind + window)
                    filled = _put(packed, filled, start)
                    filled = _put(packed, filled, end - start)
                else:
                    filled = _put(packed, filled, start - start_before)
                    filled = _put(packed, filled, end - stop_before)
                filled = _put64(packed, filled, finish(p + finish(q)))
                ends[rows] = filled
                start_before, stop_before = start, end
            for k in range(length - 1):
                hashes[k], starts[k], stops[k] = hashes[windows + k], starts[windows + k], stops[windows + k]
            n, behind = length - 1, behind + windows
    return owners[:rows].copy(), found[:rows].copy(), ends[: rows + 1].copy(), packed[:filled].copy()
