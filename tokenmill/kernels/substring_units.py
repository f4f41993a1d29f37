"""What a text is a sequence of, when repeated stretches are looked for: tokens, or bytes. Each has a hash and a place.

A token is, from left to right:

- a run of letters, marks and numbers (WORD of unicode_classes.py), except that
- in scripts written without spaces (SPACELESS below) each letter or number is a token, with the marks behind it;
- any other code point that is no white space, with the marks behind it: punctuation, emoji, controls, a broken byte.

White space separates tokens and belongs to none, so two texts that differ in it alone have the same tokens. Case
counts. A token never ends inside a code point of valid UTF-8. 50 such tokens are about 250 bytes of English, and 50
characters of Chinese or Thai.

The hash of a token takes its UTF-8 in chunks of 8 bytes, little-endian, zero-padded: h = fold((h ^ chunk) * K1),
fold(x) = x ^ x >> 32, finished (minhash_shingles.py). Tokens of up to 8 bytes never collide. A byte b hashes as b + 1.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load64
from tokenmill.kernels.minhash_shingles import K1, code_point, finish
from tokenmill.kernels.unicode_classes import CLASSES, LETTER, MARK, NUMBER, SPACE

# Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar: where letters lie, by blocks of Unicode 14, both ends included.
SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar, with its extensions below
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Han: iteration mark, closing mark, zero
    (0x3021, 0x3029),
    (0x3038, 0x303B),
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1B000, 0x1B16F),  # older Kana
    (0x20000, 0x323AF),  # Han
)

# What a code point does to a token. 0: it is one.
IN_WORD = 1
BETWEEN = 2
ALONE = 3
CLINGS = 4  # a mark: goes on with whatever is before it, else begins a word

_K1 = np.uint64(K1)
_HIGH, _ONES = np.uint64(0x8080808080808080), np.uint64(0x0101010101010101)
_CASE = np.uint64(0x2020202020202020)
_FROM_A, _PAST_Z = np.uint64(0x1F1F1F1F1F1F1F1F), np.uint64(0x0505050505050505)  # 0x80 - "a", 0x80 - "z" - 1
_FROM_0, _PAST_9 = np.uint64(0x5050505050505050), np.uint64(0x4646464646464646)  # 0x80 - "0", 0x80 - "9" - 1


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.zeros(len(CLASSES), np.uint8)
    kinds[CLASSES & (LETTER | NUMBER) > 0] = IN_WORD
    for first, last in SPACELESS:
        spaceless = kinds[first : last + 1]
        spaceless[spaceless == IN_WORD] = ALONE
    kinds[CLASSES & MARK > 0] = CLINGS
    kinds[CLASSES & SPACE > 0] = BETWEEN
    kinds.flags.writeable = False
    return kinds


KINDS = _kinds()  # uint8[0x110000]; numba freezes globals into compiled code, so it is passed as an argument


@njit(inline="always")
def _absorb(h: Any, chunk: Any) -> Any:
    h = (h ^ chunk) * _K1
    return h ^ (h >> np.uint64(32))


@compiled
def _hash_of(data: Any, begin: Any, end: Any) -> Any:
    h = np.uint64(0)
    at = begin
    while at + 8 <= end:
        h = _absorb(h, load64(data, at))
        at += 8
    if at < end:
        chunk = np.uint64(0)
        if at + 8 <= len(data):
            chunk = load64(data, at) & ((np.uint64(1) << np.uint64(8 * (end - at))) - np.uint64(1))
        else:
            for i in range(end - at):
                chunk |= np.uint64(data[at + i]) << np.uint64(8 * i)
        h = _absorb(h, chunk)
    return finish(h)


@compiled
def _token_ends(data: Any, at: Any, stop: Any, kinds: Any) -> Any:
    """Where the token ends that begins at `at`, by code points; `at` itself for white space, with its bytes."""
    kind, width = _kind_at(data, at, stop, kinds)
    if kind == BETWEEN:
        return at, width
    at += width
    in_word = kind == IN_WORD or kind == CLINGS
    while at < stop:
        kind, width = _kind_at(data, at, stop, kinds)
        if kind != CLINGS and not (in_word and kind == IN_WORD):
            break
        at += width
    return at, 0


@compiled
def _kind_at(data: Any, at: Any, stop: Any, kinds: Any) -> Any:
    if data[at] < 0x80:
        return np.int64(kinds[data[at]]), 1
    point, width = code_point(data, at, stop)
    return (np.int64(kinds[point]) if point >= 0 else 0), width


@njit(inline="always")
def _in_word(x: Any) -> Any:
    """Of 8 bytes, the highest bit of those that are ASCII letters or digits."""
    bare = x & ~_HIGH
    small = bare | _CASE
    letters = (small + _FROM_A) & ~(small + _PAST_Z)
    digits = (bare + _FROM_0) & ~(bare + _PAST_9)
    return (letters | digits) & ~x & _HIGH


@njit(inline="always")
def _bytes_before(marks: Any) -> Any:
    """Of 8 bytes, how many come before the first one whose highest bit is set; there is one."""
    below = (marks & (~marks + np.uint64(1))) - np.uint64(1)
    return np.int64(((below & _HIGH) >> np.uint64(7)) * _ONES >> np.uint64(56))


@compiled
def read_units(
    data: Any, at: Any, stop: Any, kinds: Any, bytewise: Any, n: Any, hashes: Any, starts: Any, stops: Any
) -> Any:
    """(units, where it stopped): units of data[at:stop] behind the `n` that are there, as many as the arrays take.

    hashes uint64, starts and stops int64: places in `data`. `at` = stop ends the text.
    """
    if bytewise:
        while at < stop and n < len(hashes):
            hashes[n] = finish(np.uint64(data[at]) + np.uint64(1))
            starts[n] = at
            at += 1
            stops[n] = at
            n += 1
        return n, at
    while at < stop and n < len(hashes):
        begin, h = at, np.uint64(0)
        kind = kinds[data[at]] if data[at] < 0x80 else CLINGS
        if kind == BETWEEN:
            at += 1
            continue
        if kind == IN_WORD:  # eight bytes at a time, up to what is no ASCII letter or digit
            while at + 8 <= len(data):
                x = load64(data, at)
                outside = _in_word(x) ^ _HIGH
                if stop - at < 8:
                    outside |= _HIGH << np.uint64(8 * (stop - at))
                if outside:
                    inside = _bytes_before(outside)
                    if inside:
                        h = _absorb(h, x & ((np.uint64(1) << np.uint64(8 * inside)) - np.uint64(1)))
                    at += inside
                    break
                h = _absorb(h, x)
                at += 8
            plain = at + 8 <= len(data) and (at == stop or data[at] < 0x80)
        else:
            plain = kind != CLINGS and (at + 1 == stop or data[at + 1] < 0x80)
            h = _absorb(h, np.uint64(data[at]))
            at += 1
        if plain:
            hashes[n] = finish(h)
        else:
            at, blank = _token_ends(data, begin, stop, kinds)
            if blank:
                at += blank
                continue
            hashes[n] = _hash_of(data, begin, at)
        starts[n] = begin
        stops[n] = at
        n += 1
    return n, at
