"""A hash of the words of a text alone, whatever their case and whatever stands between them.

The text in normal form C (UAX #15), its words (maximal runs of unicode_classes.WORD) by the simple lower-case mapping,
joined by one space each: `hash128` of that. A text without words is hashed as it stands.

The joined words are written to scratch as they are read, byte by byte through a table where the text is ASCII. Normal
form C costs several times as much as all else, and few texts lack it: a text is normalised only if it has a character
that alone, or behind others, may be another in normal form C (UAX #15, "Detecting Normalization Forms").
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets, hash128, seeds
from tokenmill.kernels.hashing_xxh64 import xxh64
from tokenmill.kernels.minhash_shingles import code_point
from tokenmill.kernels.unicode_classes import CLASSES, LOWER, WORD

# [first, last] of code points that normal form C neither changes, nor reorders, nor composes with the one before:
# NFC_Quick_Check is Yes and the combining class is 0. Not all such, but most letters of the web: Latin, Greek,
# Cyrillic, Hebrew, Arabic, kana, Han, Hangul; punctuation, symbols, emoji.
INERT = (
    *((0x0000, 0x02FF), (0x0370, 0x0373), (0x0375, 0x037D), (0x037F, 0x0386), (0x0388, 0x0482), (0x048A, 0x0590)),
    *((0x05D0, 0x060F), (0x061B, 0x064A), (0x0660, 0x066F), (0x0671, 0x06D5), (0x1E00, 0x1F70), (0x2002, 0x20CF)),
    *((0x2100, 0x2125), (0x212C, 0x2328), (0x232B, 0x2ADB), (0x2E80, 0x3029), (0x3030, 0x3098), (0x309B, 0xA66E)),
    *((0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0xFB4F, 0xFE1F), (0xFE30, 0xFFFD), (0x1F000, 0x1FAFF), (0x20000, 0x2A6DF)),
)
SALT = "normalised text"
_SPACE = 32


def normalised_hash(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """16 bytes per text, null for null. Scratch: 1.5 times the longest text.

    Normal form C is Arrow's. Unicode promises that it does not change for characters that are assigned, and those
    that the pinned table does not know are no words. Raises ValueError on another type of array.
    """
    if not isinstance(texts, pa.LargeStringArray):
        raise ValueError(f"{type(texts).__name__} given; want an array of large_string")
    null = texts.is_null().to_numpy(zero_copy_only=False)
    data, offsets = data_and_offsets(texts)
    halves = np.zeros((len(texts), 2), np.uint64)
    worded = _hash_words(data, offsets, null, halves)
    changes = np.flatnonzero(_may_change(data, offsets, null, _INERT))
    if len(changes):
        normal = pc.utf8_normalize(texts.take(pa.array(changes)), "NFC")
        data, offsets = data_and_offsets(normal)
        again = np.zeros((len(changes), 2), np.uint64)
        worded[changes] = _hash_words(data, offsets, np.zeros(len(changes), np.bool_), again)
        halves[changes] = again
    validity = pa.array(~null).buffers()[1] if texts.null_count else None
    hashes = pa.Array.from_buffers(pa.binary(16), len(texts), [validity, pa.py_buffer(halves.byteswap())])
    if worded.all():
        return hashes
    return pc.if_else(pa.array(worded | null), hashes, hash128(texts, SALT))


def _hash_words(data: Any, offsets: Any, null: npt.NDArray[np.bool_], halves: Any) -> npt.NDArray[np.bool_]:
    """Fill `halves` (uint64[n, 2]) for the texts that have words, and say which these are."""
    longest = int(np.diff(offsets).max(initial=0))
    scratch = np.empty(longest + longest // 2 + 4, np.uint8)  # U+023A has 2 bytes, its lower case 3: none grows more
    worded = np.zeros(len(null), np.bool_)
    _hash_all(data, offsets, null, CLASSES, LOWER, _ASCII, seeds(SALT), scratch, halves, worded)
    return worded


@compiled
def _hash_all(
    data: Any,
    offsets: Any,
    null: Any,
    classes: Any,
    lower: Any,
    ascii_: Any,
    seeds: Any,
    scratch: Any,
    halves: Any,
    worded: Any,
) -> None:
    for i in range(len(null)):
        if null[i]:
            continue
        n = _join_words(data, np.int64(offsets[i]), np.int64(offsets[i + 1]), classes, lower, ascii_, scratch)
        if n:
            worded[i] = True
            halves[i, 0] = xxh64(scratch, 0, n, seeds[0])
            halves[i, 1] = xxh64(scratch, 0, n, seeds[1])


@compiled
def _join_words(data: Any, at: Any, stop: Any, classes: Any, lower: Any, ascii_: Any, joined: Any) -> Any:
    """How many bytes of `joined` are now the words of data[at:stop]."""
    n, in_word = np.int64(0), False
    while at < stop:
        if data[at] < 0x80:
            # No branch on what a byte is: each is written, and the next one overwrites a space behind a space.
            byte = ascii_[data[at]]
            joined[n] = byte
            n += np.int64((byte != _SPACE) | in_word)
            in_word = byte != _SPACE
            at += 1
            continue
        point, width = code_point(data, at, stop)
        at += width
        if point < 0 or not classes[point] & WORD:
            joined[n] = _SPACE
            n += np.int64(in_word)
            in_word = False
            continue
        in_word = True
        small = np.int64(lower[point])
        if small < 0x80:
            joined[n] = small
            n += 1
            continue
        if small < 0x800:
            tail, lead = 1, 0xC0 | (small >> 6)
        elif small < 0x10000:
            tail, lead = 2, 0xE0 | (small >> 12)
        else:
            tail, lead = 3, 0xF0 | (small >> 18)
        joined[n] = lead
        for k in range(1, tail + 1):
            joined[n + k] = 0x80 | ((small >> (6 * (tail - k))) & 0x3F)
        n += tail + 1
    return n - np.int64(n > 0 and not in_word)


@compiled
def _may_change(data: Any, offsets: Any, null: Any, inert: Any) -> Any:
    """Which texts have a code point that is not inert."""
    found = np.zeros(len(null), np.bool_)
    for i in range(len(null)):
        at, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        while at < stop and not null[i]:
            if data[at] < 0xCC:  # below U+0300
                at += 1
                continue
            point, width = code_point(data, at, stop)
            at += width
            if point < 0 or not inert[point]:
                found[i] = True
                break
    return found


def _inert() -> npt.NDArray[np.bool_]:
    table = np.zeros(0x110000, np.bool_)
    for first, last in INERT:
        table[first : last + 1] = True
    return table


_INERT = _inert()
_ASCII = np.where(CLASSES[:128] & WORD, LOWER[:128], _SPACE).astype(np.uint8)  # lower-cased; a space for what separates
