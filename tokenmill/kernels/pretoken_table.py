"""From pretokens to their ids: an open-addressed table that begins with the vocabulary and learns what it reads.

A slot is 32 bytes: two words of key, two of value. Up to 15 bytes of pretoken are the key themselves; of a longer one
the key is its hash and length, and its bytes lie in `texts`. Up to five ids are the value; more lie in `lists`. When it
is full it begins again with the vocabulary, so it never grows, and follows what is read. What it holds never changes
an id, only the time that it takes.
"""

from typing import Any

import numpy as np
from numba import njit

from tokenmill.kernels.memory import load32, load64, store32, store64

SLOT = 32  # bytes
INLINE = 15  # bytes of a pretoken that is its own key
KEPT = 128  # bytes of a pretoken that is learnt; of longer ones no two are alike
IN_SLOT = 5  # ids
ENTRIES, IDS_USED, TEXT_USED, PRETOKENS, MISSES, MISSED_BYTES, RESTARTS = range(7)  # of `counts`
COUNTS = 7
LIST = 7  # in the place of a count of ids: they lie in `lists`
ID_BITS = 20
LONG = 255  # the top byte of the second word of a key that is a hash; else it is the length

_C1, _C2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_C3 = np.uint64(0xD6E8FEB86659FD93)
_ZERO = np.uint64(0)
# Of n = 0..15 bytes, those in the first word, and (16 further on) those in the second.
MASKS = np.array(
    [(1 << 8 * min(n, 8)) - 1 for n in range(16)] + [(1 << 8 * max(n - 8, 0)) - 1 for n in range(16)], np.uint64
)
_ID, _TAG = np.uint64((1 << ID_BITS) - 1), np.uint64(7)


@njit(inline="always")
def key_of(text: Any, at: Any, n: Any, masks: Any) -> Any:
    """Two words; the second is never 0. masks: MASKS. What is short has no branch on its length."""
    if n <= INLINE:
        low = load64(text, at) & masks[n]
        return low, (load64(text, at + 8) & masks[n + 16]) | (np.uint64(n) << np.uint64(56))
    return _hash_of(text, at, n), np.uint64(LONG << 56) | np.uint64(n)


@njit(inline="always")
def place_of(low: Any, high: Any, shift: Any) -> Any:
    """The first slot to look at, of 2^(64 - shift)."""
    mixed = (low * _C1) ^ (high * _C2)
    mixed ^= mixed >> np.uint64(29)
    return np.int64((mixed * _C3) >> shift)


@njit(inline="always")
def is_equal(text: Any, at: Any, n: Any, texts: Any, kept: Any) -> Any:
    """Whether n >= 8 bytes are equal; the last eight are compared together with some before."""
    i = np.int64(0)
    while i + 8 <= n:
        if load64(text, at + i) != load64(texts, kept + i):
            return False
        i += 8
    return load64(text, at + n - 8) == load64(texts, kept + n - 8)


@njit
def put(
    text: Any,
    at: Any,
    n: Any,
    low: Any,
    high: Any,
    slot: Any,
    slots: Any,
    lists: Any,
    texts: Any,
    counts: Any,
    ids: Any,
    count: Any,
) -> None:
    """Fill an empty slot: ids[:count]. There is room: see `is_full`."""
    if count <= IN_SLOT and n <= INLINE:
        one, other = np.uint64(count), _ZERO
        for i in range(min(count, 3)):
            one |= np.uint64(ids[i]) << np.uint64(3 + ID_BITS * i)
        for i in range(3, count):
            other |= np.uint64(ids[i]) << np.uint64(ID_BITS * (i - 3))
    else:
        used = counts[IDS_USED]
        store32(lists, 4 * used, np.uint32(count))
        for i in range(count):
            store32(lists, 4 * (used + 1 + i), np.uint32(ids[i]))
        counts[IDS_USED] = used + 1 + count
        one, other = (np.uint64(used) << np.uint64(3)) | np.uint64(LIST), np.uint64(counts[TEXT_USED])
        if n > INLINE:
            for i in range(n):
                texts[counts[TEXT_USED] + i] = text[at + i]
            counts[TEXT_USED] += n
    store64(slots, SLOT * slot, low)
    store64(slots, SLOT * slot + 8, high)
    store64(slots, SLOT * slot + 16, one)
    store64(slots, SLOT * slot + 24, other)
    counts[ENTRIES] += 1


@njit(inline="always")
def is_full(n: Any, count: Any, slots: Any, lists: Any, texts: Any, counts: Any) -> Any:
    """Whether another pretoken would not fit, or make looking slow."""
    return (
        counts[ENTRIES] * (SLOT * 5 // 3) >= len(slots)
        or 4 * (counts[IDS_USED] + count + 1) > len(lists)
        or counts[TEXT_USED] + n + 8 > len(texts)
    )


@njit(inline="always")
def copy_ids(slots: Any, slot: Any, lists: Any, out: Any, place: Any) -> Any:
    """Append a slot's ids to `out` (the bytes of int32) behind `place`; the new place. Writes up to five."""
    one, other = load64(slots, SLOT * slot + 16), load64(slots, SLOT * slot + 24)
    count = np.int64(one & _TAG)
    if count != LIST:
        store32(out, 4 * place, np.uint32((one >> np.uint64(3)) & _ID))
        if count > 1:
            store32(out, 4 * place + 4, np.uint32((one >> np.uint64(23)) & _ID))
            store32(out, 4 * place + 8, np.uint32((one >> np.uint64(43)) & _ID))
            store32(out, 4 * place + 12, np.uint32(other & _ID))
            store32(out, 4 * place + 16, np.uint32((other >> np.uint64(ID_BITS)) & _ID))
        return place + count
    first = np.int64(one >> np.uint64(3))
    count = np.int64(load32(lists, 4 * first))
    for i in range(count):
        store32(out, 4 * (place + i), load32(lists, 4 * (first + 1 + i)))
    return place + count


@njit
def _hash_of(text: Any, at: Any, n: Any) -> Any:
    mixed, i = np.uint64(n) * _C1, np.int64(0)
    while i + 8 <= n:
        mixed = (mixed ^ load64(text, at + i)) * _C2
        mixed ^= mixed >> np.uint64(31)
        i += 8
    if i < n:
        mixed = (mixed ^ (load64(text, at + i) << np.uint64(64 - 8 * (n - i)))) * _C2
        mixed ^= mixed >> np.uint64(31)
    return mixed * _C3
