"""Hashes of the character shingles of a text: each run of `length` consecutive characters, lower-cased.

The characters are the code points of the text after the simple lower-case mapping (LOWER), with every run of white
space (SPACE, unicode_classes.py) folded to one U+0020 and none at either end. A text of n such characters has
n - length + 1 shingles, repeats included; a shorter one has none. Unlike words they need no separators, so they
compare code, and Chinese or Thai, as well as English.

A character c hashes to fold(c * K1), fold(x) = x ^ x >> 32: no two alike. A shingle is the polynomial of its
characters in BASE modulo 2^64, as for words, and callers finish it. It does not roll: that waits for one
multiplication after another. Polynomials of 2, 4, 8 ... characters are each made of two of half the length, for all
positions of a block at once, and those that the binary digits of `length` name are joined: 6 passes for 24.

Eight bytes of ASCII are lower-cased and folded at once in a 64-bit register; other text goes by code points. A byte
that is no UTF-8 counts as U+FFFD.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load64
from tokenmill.kernels.minhash_shingles import BASE, K1, code_point
from tokenmill.kernels.unicode_classes import SPACE

BROKEN = 0xFFFD  # U+FFFD, the replacement character

_K1, _BASE = np.uint64(K1), np.uint64(BASE)
_HIGH = np.uint64(0x8080808080808080)
_LOW7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_BLANKS = np.uint64(0x2020202020202020)
_FROM_TAB, _PAST_RETURN = np.uint64(0x7777777777777777), np.uint64(0x7272727272727272)  # 0x80 - 9, 0x80 - 14
_FROM_A, _PAST_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)  # 0x80 - "A", 0x80 - "Z" - 1


def new_character_state(length: int, block: int) -> npt.NDArray[np.uint64]:
    """What `next_character_shingles` carries from block to block of one text: uint64[4, block + length].

    Row 0 has [0] characters carried over, [1] whether the last was a space, [2] length; row 1 the characters; the
    others are scratch. `block` is the most shingles that one call may be asked for.
    """
    state = np.zeros((4, max(3, block + length)), np.uint64)
    state[0, 2] = length
    return state


@compiled
def begin_characters(data: Any, at: Any, stop: Any, classes: Any, state: Any) -> Any:
    """Begin a text: the state forgets the one before. Returns where the text ends without its trailing space."""
    state[0, 0] = 0
    state[0, 1] = 1  # what leads is dropped like what follows a space
    while at < stop:
        before = stop - 1
        while before > at and before > stop - 4 and data[before] & 0xC0 == 0x80:
            before -= 1
        point, width = code_point(data, before, stop)
        if point < 0 or before + width != stop or not classes[point] & SPACE:
            break
        stop = before
    return stop


@compiled
def next_character_shingles(data: Any, at: Any, stop: Any, classes: Any, lower: Any, state: Any, shingles: Any) -> Any:
    """(how many, where it stopped): the unfinished shingles of data[at:stop], as many as `shingles` (uint64) takes.

    Begin with `begin_characters`, and `stop` as it says; `at` = stop ends the text. Raises ValueError if `shingles`
    is longer than the state was made for.
    """
    length = np.int64(state[0, 2])
    full = len(shingles) + length - 1
    if full >= state.shape[1]:
        raise ValueError("more shingles asked for than the state has room for")
    characters = state[1]
    filled, at = _next_characters(data, at, stop, classes, lower, state[0], characters, full)
    n = filled - length + 1
    if n < 1:
        state[0, 0] = filled
        return 0, at
    _polynomials(characters, filled, length, state[2], state[3], shingles)
    for i in range(length - 1):
        characters[i] = characters[n + i]
    state[0, 0] = length - 1
    return n, at


@njit(inline="always")
def spread(c: Any) -> Any:
    h = np.uint64(c) * _K1
    return h ^ (h >> np.uint64(32))


@compiled
def _next_characters(
    data: Any, at: Any, stop: Any, classes: Any, lower: Any, marks: Any, characters: Any, full: Any
) -> Any:
    """(filled, where it stopped): hashes of characters, behind those that are there, until there are `full`."""
    filled, after_space = np.int64(marks[0]), np.uint64(marks[1])
    while at < stop and filled < full:
        if at + 8 <= stop:
            x = load64(data, at)
            if x & _HIGH == 0:
                controls = (x + _FROM_TAB) & ~(x + _PAST_RETURN) & _HIGH
                spaces = controls | (~((x ^ _BLANKS) + _LOW7) & _HIGH)
                again = spaces & ((spaces << np.uint64(8)) | (after_space << np.uint64(7)))
                if again == 0 and filled + 8 <= full:
                    upper = (x + _FROM_A) & ~(x + _PAST_Z) & _HIGH
                    controls >>= np.uint64(7)
                    x = (x & ~(controls * np.uint64(0xFF))) | (upper >> np.uint64(2)) | (controls << np.uint64(5))
                    for k in range(8):
                        characters[filled + k] = spread((x >> np.uint64(8 * k)) & np.uint64(0xFF))
                    after_space = spaces >> np.uint64(63)
                    filled += 8
                    at += 8
                    continue
                if again == _HIGH:
                    at += 8
                    continue
        end = min(at + 8, stop)
        while at < end and filled < full:
            point, width = code_point(data, at, stop)
            at += width
            if point < 0:
                point = BROKEN
            if not classes[point] & SPACE:
                characters[filled] = spread(lower[point])
                filled += 1
                after_space = np.uint64(0)
            elif after_space == 0:
                characters[filled] = spread(0x20)
                filled += 1
                after_space = np.uint64(1)
    marks[1] = after_space
    return filled, at


@compiled
def _polynomials(characters: Any, filled: Any, length: Any, one: Any, other: Any, shingles: Any) -> None:
    """The polynomial of each `length` consecutive ones of characters[:filled]; `one` and `other` are scratch."""
    n = filled - length + 1
    whole, spare = characters, one  # of `step` characters each; and where those of twice as many go
    step, power, joined = 1, _BASE, 0
    while True:
        if length & step:
            if joined:
                _join_onto(shingles, whole[joined:], power, n)
            else:
                shingles[:n] = whole[:n]
            joined += step
        if joined == length:
            return
        _join(whole, whole[step:], power, spare, filled - 2 * step + 1)
        whole, spare = spare, other if step & 0x5555555555555555 else one
        power *= power
        step *= 2


@compiled
def _join(left: Any, right: Any, power: Any, to: Any, n: Any) -> None:
    for i in range(n):
        to[i] = left[i] * power + right[i]


@compiled
def _join_onto(left: Any, right: Any, power: Any, n: Any) -> None:
    # Not `_join` with `to` = `left`: the compiled loop finds that they overlap, and does one at a time.
    for i in range(n):
        left[i] = left[i] * power + right[i]
