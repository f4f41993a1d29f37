"""Byte-pair merges of one pretoken: of all neighbours that may be merged, the pair of the lowest rank, leftmost first.

Short ones by looking at all pairs again and again, longer ones by a heap, and what is longer than a window in windows:
a row of tokens is what the merges give exactly if each two neighbours are what the merges give of those two alone.
(The first merge across a boundary would come to pass between the two as well: no other has reached into them.) So rows
of two windows are joined where the two tokens at the seam stay apart.

A pair is one entry of an open-addressed table: both ids and the rank, 21 bits each. Reference: `bpe_reference.py`.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load8

BITS = 21  # of an id and of a rank
MOST = 1 << BITS
SHORT_BITS = 7
SHORT = 1 << SHORT_BITS  # bytes, up to which looking at all pairs is faster than a heap
NO_KEY = MOST << SHORT_BITS
WINDOW = 1 << 13  # bytes that are merged at once: work on them stays in the cache
SEAM = 1 << 9  # of these, the last are merged once more with what follows
LONGEST = 1 << 11  # bytes of a token
NO_RANK = np.int64(MOST)
FILTER_BITS = 22  # half a megabyte of bits; 300,000 pairs leave 7% of the others to be looked for
FILTER_WORDS = (1 << FILTER_BITS) // 64

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_RANK = np.uint64(MOST - 1)


@njit(inline="always")
def rank_of(pairs: Any, shift: Any, left: Any, right: Any) -> Any:
    """The rank of the pair, NO_RANK if it is none. pairs: see `pair_table`; shift: 64 - k."""
    key = ((np.uint64(left) << np.uint64(BITS)) | np.uint64(right)) + _ONE
    mixed = key * _MULTIPLIER
    place = mixed >> shift
    slots = _ONE << (np.uint64(64) - shift)
    bit = mixed >> np.uint64(64 - FILTER_BITS)
    if (pairs[slots + (bit >> np.uint64(6))] >> (bit & np.uint64(63))) & _ONE == _ZERO:
        return NO_RANK
    while True:
        entry = pairs[place]
        if entry == _ZERO:
            return NO_RANK
        if (entry >> np.uint64(BITS)) == key:
            return np.int64(entry & _RANK)
        place = (place + _ONE) & (slots - _ONE)


def pair_table(left: NDArray[np.int64], right: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.uint64]:
    """2^k slots, at most half of them full, and behind them a bit for what a pair's hash begins with.

    Most neighbours are no pair, and the bits of all pairs lie in a cache where the slots do not.
    """
    pairs = np.zeros((1 << max(4, int(2 * len(left) - 1).bit_length())) + FILTER_WORDS, np.uint64)
    _fill(pairs, np.uint64(pair_shift(pairs)), left, right, rank)  # numba gives Python an int
    return pairs


@njit
def pair_shift(pairs: Any) -> Any:
    """64 - k."""
    shift = np.uint64(64)
    while (np.int64(1) << np.int64(np.uint64(64) - shift)) < len(pairs) - FILTER_WORDS:
        shift -= _ONE
    return shift


@compiled
def _fill(
    pairs: NDArray[np.uint64],
    shift: np.uint64,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    rank: NDArray[np.int64],
) -> None:
    slots = _ONE << (np.uint64(64) - shift)
    for i in range(len(left)):
        key = ((np.uint64(left[i]) << np.uint64(BITS)) | np.uint64(right[i])) + _ONE
        mixed = key * _MULTIPLIER
        bit = mixed >> np.uint64(64 - FILTER_BITS)
        pairs[slots + (bit >> np.uint64(6))] |= _ONE << (bit & np.uint64(63))
        place = mixed >> shift
        while pairs[place] != _ZERO:
            place = (place + _ONE) & (slots - _ONE)
        pairs[place] = (key << np.uint64(BITS)) | np.uint64(rank[i])


@njit
def merge_short(
    text: Any, at: Any, n: Any, byte_ids: Any, pairs: Any, shift: Any, made: Any, ids: Any, work: Any
) -> Any:
    """The ids of text[at : at + n] in `ids`; how many. n: up to SHORT. work: int32[3, SHORT + 1].

    The least of all ranks is found without a branch: rank and place are one number.
    """
    keys, following, preceding = work[0], work[1], work[2]
    padded = (n + 7) & ~7
    for i in range(n):
        ids[i] = byte_ids[load8(text, at + i)]
        following[i], preceding[i] = i + 1, i - 1
    for i in range(n - 1):
        keys[i] = (rank_of(pairs, shift, ids[i], ids[i + 1]) << SHORT_BITS) | i
    for i in range(n - 1, padded):
        keys[i] = NO_KEY
    while True:
        least = np.int32(NO_KEY)
        for i in range(padded):
            least = min(least, keys[i])
        if least >= NO_KEY:
            break
        first, rank = np.int64(least) & (SHORT - 1), np.int64(least) >> SHORT_BITS
        gone = following[first]
        behind, before = following[gone], preceding[first]
        merged = made[rank]
        ids[first] = merged
        following[first] = behind
        keys[gone] = NO_KEY
        keys[first] = NO_KEY
        if behind < n:
            preceding[behind] = first
            keys[first] = (rank_of(pairs, shift, merged, ids[behind]) << SHORT_BITS) | first
        if before >= 0:
            keys[before] = (rank_of(pairs, shift, ids[before], merged) << SHORT_BITS) | before
    count, place = 0, 0
    while place < n:
        ids[count] = ids[place]
        count += 1
        place = following[place]
    return count


@njit(inline="always")
def _push(heap: Any, size: Any, entry: Any) -> Any:
    place = size
    while place > 0:
        above = (place - 1) >> 1
        if heap[above] <= entry:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = entry
    return size + 1


@njit(inline="always")
def _pop(heap: Any, size: Any) -> Any:
    """The size without the least; the caller has read that."""
    size -= 1
    entry, place = heap[size], 0
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and heap[below + 1] < heap[below]:
            below += 1
        if entry <= heap[below]:
            break
        heap[place] = heap[below]
        place = below
    heap[place] = entry
    return size


@njit
def merge_heap(
    text: Any, at: Any, n: Any, byte_ids: Any, pairs: Any, shift: Any, made: Any, ids: Any, work: Any
) -> Any:
    """As merge_short. work: int64[6, n or more]; an entry of the heap is rank and place, and is stale once the rank
    kept for that place is another.
    """
    following, preceding, ranks = work[0], work[1], work[2]
    heap = work[3:].reshape(-1)  # 3 n: one for each pair, and at most two more for each merge, which takes one away
    size = 0
    for i in range(n):
        ids[i] = byte_ids[load8(text, at + i)]
        following[i], preceding[i] = i + 1, i - 1
    for i in range(n - 1):
        ranks[i] = rank_of(pairs, shift, ids[i], ids[i + 1])
        if ranks[i] != NO_RANK:
            size = _push(heap, size, (ranks[i] << 32) | i)
    ranks[n - 1] = NO_RANK
    while size > 0:
        entry = heap[0]
        size = _pop(heap, size)
        rank, place = entry >> 32, entry & 0xFFFFFFFF
        if ranks[place] != rank:
            continue
        gone = following[place]
        behind = following[gone]
        ids[place] = made[rank]
        ranks[gone] = NO_RANK
        following[place] = behind
        ranks[place] = NO_RANK
        if behind < n:
            preceding[behind] = place
            ranks[place] = rank_of(pairs, shift, ids[place], ids[behind])
            if ranks[place] != NO_RANK:
                size = _push(heap, size, (ranks[place] << 32) | place)
        before = preceding[place]
        if before >= 0:
            ranks[before] = rank_of(pairs, shift, ids[before], ids[place])
            if ranks[before] != NO_RANK:
                size = _push(heap, size, (ranks[before] << 32) | before)
    count, place = 0, 0
    while place < n:
        ids[count] = ids[place]
        count += 1
        place = following[place]
    return count


@njit
def merge_long(
    text: Any, at: Any, n: Any, byte_ids: Any, pairs: Any, shift: Any, made: Any, lengths: Any, out: Any, place: Any
) -> Any:
    """Append the ids of text[at : at + n] to `out` behind `place`, window by window; the new place.

    lengths: bytes of each id, at most LONGEST.
    """
    window = np.int64(WINDOW)
    stop = at + n
    ids, work = np.empty(window, np.int64), np.empty((6, window), np.int64)
    count = merge_heap(text, at, min(window, stop - at), byte_ids, pairs, shift, made, ids, work)
    while at + window < stop:
        keep, seam = 0, at
        while seam + lengths[ids[keep]] <= at + window - SEAM:
            seam += lengths[ids[keep]]
            keep += 1
        later = np.empty(window, np.int64)
        while keep > 0:
            following = merge_heap(text, seam, min(window, stop - seam), byte_ids, pairs, shift, made, later, work)
            first, second = ids[keep - 1], later[0]
            both = lengths[first] + lengths[second]
            two = np.empty(both, np.int64)
            apart = merge_heap(text, seam - lengths[first], both, byte_ids, pairs, shift, made, two, work)
            if apart == 2 and two[0] == first and two[1] == second:
                break
            keep -= 1
            seam -= lengths[ids[keep]]
        if keep == 0:  # no seam anywhere: more at once
            window *= 2
            ids, work = np.empty(window, np.int64), np.empty((6, window), np.int64)
            count = merge_heap(text, at, min(window, stop - at), byte_ids, pairs, shift, made, ids, work)
            continue
        for i in range(keep):
            out[place + i] = ids[i]
        place += keep
        ids, count, at = later, following, seam
    for i in range(count):
        out[place + i] = ids[i]
    return place + count
