"""Hashes of the word shingles of a text: each run of `words` consecutive words, lower-cased.

A word is a maximal run of letters, marks and numbers (unicode_classes.py), by the simple lower-case mapping.
So "Don't" is two words, and a sentence of Chinese between two commas is one. Text of n words has n - words + 1
shingles, repeats included; with fewer words it has none.

The hash of a word takes its lower-cased UTF-8 in chunks of 8 bytes, little-endian, zero-padded (no word holds
a NUL, so no two words share their chunks): h = fold((h ^ chunk) * K1), fold(x) = x ^ x >> 32. A shingle is the
polynomial of its word hashes in BASE modulo 2^64, which rolls. Words of up to 8 bytes never collide; any two
shingles do with odds of about 2^-64. Callers finish it (`finish`) before they use its bits.

Eight bytes of ASCII are classified and lower-cased at once in a 64-bit register; other text goes by code points.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load64
from tokenmill.kernels.unicode_classes import WORD

K1 = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd
K2 = 0xD6E8FEB86659FD93  # Pelle Evensen's multiplier (2018): two rounds of fold and K2 pass his tests of avalanche
BASE = 0xD1342543DE82EF95  # Steele & Vigna 2021 (arXiv:2001.05304): a multiplier with good spectra modulo 2^64

_K1, _K2, _BASE = np.uint64(K1), np.uint64(K2), np.uint64(BASE)
_HIGH = np.uint64(0x8080808080808080)
_LOW7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_CASE = np.uint64(0x2020202020202020)
_FROM_A, _PAST_Z = np.uint64(0x1F1F1F1F1F1F1F1F), np.uint64(0x0505050505050505)  # 0x80 - "a", 0x80 - "z" - 1
_FROM_0, _PAST_9 = np.uint64(0x5050505050505050), np.uint64(0x4646464646464646)  # 0x80 - "0", 0x80 - "9" - 1
_CODE_POINTS = 0x110000


def new_state(words: int) -> npt.NDArray[np.uint64]:
    """What `next_shingles` carries from block to block of one text: uint64[3 + words]; state[1] = 0 begins another.

    [0] the rolling sum, [1] words seen, [2] BASE^words, then a ring of the last word hashes.
    """
    state = np.zeros(3 + words, np.uint64)
    state[2] = pow(BASE, words, 1 << 64)
    return state


def _count_trailing_zeros(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


_trailing_zeros: Any = intrinsic(_count_trailing_zeros)  # of a uint64 that is not 0


@njit(inline="always")
def finish(x: Any) -> Any:
    """Spread a shingle over all 64 bits; a bijection."""
    x = (x ^ (x >> np.uint64(32))) * _K2
    x = (x ^ (x >> np.uint64(32))) * _K2
    return x ^ (x >> np.uint64(32))


@njit(inline="always")
def _absorb(h: Any, chunk: Any) -> Any:
    h = (h ^ chunk) * _K1
    return h ^ (h >> np.uint64(32))


@njit(inline="always")
def _load_until(data: Any, at: Any, stop: Any) -> Any:
    """Eight bytes from `at`; those at `stop` and behind may be anything, but are never read outside `data`."""
    if at + 8 <= len(data):
        return load64(data, at)
    x = np.uint64(0)
    for i in range(stop - at):
        x |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return x


@compiled
def code_point(data: Any, at: Any, stop: Any) -> Any:
    """(code point, bytes) at `at` < stop, reading nothing at `stop` or behind. Broken UTF-8 is (-1, 1)."""
    c = np.int64(data[at])
    if c < 0x80:
        return c, 1
    if c < 0xE0:
        width, value = 2, c & 0x1F
    elif c < 0xF0:
        width, value = 3, c & 0x0F
    else:
        width, value = 4, c & 0x07
    if at + width > stop:
        return -1, 1
    for i in range(1, width):
        value = (value << 6) | (np.int64(data[at + i]) & 0x3F)
    if value >= _CODE_POINTS:
        return -1, 1
    return value, width


@compiled
def rest_of_word(data: Any, at: Any, stop: Any, classes: Any, lower: Any, h: Any, chunk: Any, filled: Any) -> Any:
    """(hash, end) of a word whose first bytes are in `h` and the `filled` bytes of `chunk`, by code points."""
    while at < stop:
        point, width = code_point(data, at, stop)
        if point < 0 or not classes[point] & WORD:
            break
        at += width
        small = np.int64(lower[point])
        if small < 0x80:
            tail, lead = 0, small
        elif small < 0x800:
            tail, lead = 1, 0xC0 | (small >> 6)
        elif small < 0x10000:
            tail, lead = 2, 0xE0 | (small >> 12)
        else:
            tail, lead = 3, 0xF0 | (small >> 18)
        for k in range(tail, -1, -1):
            byte = lead if k == tail else 0x80 | ((small >> (6 * k)) & 0x3F)
            chunk |= np.uint64(byte) << np.uint64(8 * filled)
            filled += 1
            if filled == 8:
                h, chunk, filled = _absorb(h, chunk), np.uint64(0), 0
    if filled:
        h = _absorb(h, chunk)
    return h, at


@compiled
def next_shingles(data: Any, at: Any, stop: Any, classes: Any, lower: Any, state: Any, shingles: Any) -> Any:
    """(how many, where it stopped): the unfinished shingles of data[at:stop], as many as `shingles` (uint64) takes.

    `state` starts as `new_state(words)` and carries over to the next block; `at` = stop ends the text.
    """
    words = len(state) - 3
    if state[1] == 0:
        state[0] = 0
        state[3:] = 0
    rolling, seen, leaving = state[0], np.int64(state[1]), state[2]
    slot = seen % words
    n = 0
    while n < len(shingles):
        while at < stop:  # what separates words
            if data[at] < 0x80:
                if classes[data[at]] & WORD:
                    break
                at += 1
            else:
                point, width = code_point(data, at, stop)
                if point >= 0 and classes[point] & WORD:
                    break
                at += width
        if at >= stop:
            break
        h = np.uint64(0)
        while True:
            x = _load_until(data, at, stop)
            bare = x & _LOW7
            small = bare | _CASE
            letters = (small + _FROM_A) & ~(small + _PAST_Z)
            digits = (bare + _FROM_0) & ~(bare + _PAST_9)
            letters &= _HIGH & ~x
            inside = (letters | digits) & _HIGH & ~x
            x |= letters >> np.uint64(2)
            if stop - at < 8:
                inside &= (np.uint64(1) << np.uint64(8 * (stop - at))) - np.uint64(1)
            if inside != _HIGH:
                break
            h = _absorb(h, x)
            at += 8
        bits = np.int64(_trailing_zeros(inside ^ _HIGH)) & ~7
        chunk = x & ((np.uint64(1) << np.uint64(bits)) - np.uint64(1))
        at += bits >> 3
        if at < stop and data[at] >= 0x80:
            h, at = rest_of_word(data, at, stop, classes, lower, h, chunk, bits >> 3)
        elif bits:
            h = _absorb(h, chunk)
        rolling = rolling * _BASE + (h - state[3 + slot] * leaving)
        state[3 + slot] = h
        slot += 1
        if slot == words:
            slot -= words
        seen += 1
        if seen >= words:
            shingles[n] = rolling
            n += 1
    state[0], state[1] = rolling, np.uint64(seen)
    return n, at
