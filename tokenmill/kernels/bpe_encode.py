"""Texts to ids: cut into pretokens, each looked up in a table, and merged where it is not there.

One pass over the bytes, no object a pretoken. The ids are those of `bpe_reference.py`, whatever the table holds.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tokenmill.kernels.bpe_merge import SHORT, WINDOW, merge_heap, merge_long, merge_short, pair_shift
from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load64, prefetch
from tokenmill.kernels.pretoken_table import (
    KEPT,
    LONG,
    MASKS,
    MISSED_BYTES,
    MISSES,
    PRETOKENS,
    RESTARTS,
    SLOT,
    copy_ids,
    is_equal,
    is_full,
    key_of,
    place_of,
    put,
)
from tokenmill.kernels.split_scan import piece_end

AHEAD = 64  # pretokens
ROOM = 8  # ids behind the last that are written to, and count for nothing
_ZERO, _LONG = np.uint64(0), np.uint64(LONG << 56)


@compiled
def encode(
    text: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    class_of: NDArray[np.uint8],
    tables: NDArray[np.uint8],
    byte_ids: NDArray[np.int64],
    pairs: NDArray[np.uint64],
    made: NDArray[np.int64],
    lengths: NDArray[np.int64],
    words: NDArray[np.uint8],
    word_ends: NDArray[np.int64],
    whole: bool,
    slots: NDArray[np.uint8],
    lists: NDArray[np.uint8],
    texts: NDArray[np.uint8],
    counts: NDArray[np.int64],
    out: NDArray[np.int32],
    ends: NDArray[np.int64],
) -> int:
    """The ids of each text into `out`; `ends` of each there. How many in all.

    text: UTF-8, split_scan.PADDING bytes behind its end; text i is text[offsets[i] : offsets[i + 1]]. `out` has room
    for an id a byte and ROOM. The splits, one inside the other: class_of[i], tables[i]. byte_ids: of each
    byte. made: of each rank, the id that its pair becomes. words, word_ends: the bytes of each id; `whole`: a pretoken
    that is one of them is that id, whatever the merges say. slots, lists, texts, counts: see pretoken_table.
    """
    levels = len(class_of)
    out_bytes = out.view(np.uint8)
    shift, of_pairs = _shift(len(slots) // SLOT), pair_shift(pairs)
    mask = np.int64(len(slots) // SLOT - 1)
    if counts[0] == 0:
        _begin(words, word_ends, whole, byte_ids, pairs, of_pairs, made, slots, lists, texts, counts)
    ids, few, work = np.empty(WINDOW, np.int64), np.empty((3, SHORT + 1), np.int32), np.empty((6, WINDOW), np.int64)
    stops = np.zeros(levels + 1, np.int64)
    # Some pretokens ahead, so that their slots are on the way from memory when they are looked at.
    begins, slot_of = np.zeros(AHEAD + 1, np.int64), np.zeros(AHEAD, np.int64)
    lows, highs = np.zeros(AHEAD, np.uint64), np.zeros(AHEAD, np.uint64)
    place = pretokens = np.int64(0)
    masks = MASKS.copy()
    # A view in the loop would count references, for every pretoken.
    classes, table = class_of[0], tables[0]
    for number in range(len(offsets) - 1):
        at, stop = offsets[number], offsets[number + 1]
        stops[:] = at
        stops[0] = stop
        while at < stop:
            if levels == 1:
                ahead = _cut(text, at, stop, classes, table, begins)
            else:
                ahead = _cut_again(text, at, stops, class_of, tables, begins)
            at = begins[ahead]
            _look_up(text, begins, ahead, shift, masks, slots, lows, highs, slot_of)
            pretokens += ahead
            for i in range(ahead):
                low, high, slot = lows[i], highs[i], slot_of[i]
                while True:
                    held_low, held = load64(slots, SLOT * slot), load64(slots, SLOT * slot + 8)
                    if held_low == low and held == high:
                        if held < _LONG:
                            place = copy_ids(slots, slot, lists, out_bytes, place)
                            break
                        kept = np.int64(load64(slots, SLOT * slot + 24))
                        if is_equal(text, begins[i], begins[i + 1] - begins[i], texts, kept):
                            place = copy_ids(slots, slot, lists, out_bytes, place)
                            break
                    if held == _ZERO:
                        slot_of[i] = slot
                        place = _learn(
                            text, begins, i, lows, highs, slot_of, byte_ids, pairs, of_pairs, made, lengths, words,
                            word_ends, whole, slots, lists, texts, counts, ids, few, work, out, place,
                        )  # fmt: skip
                        break
                    slot = (slot + 1) & mask
        ends[number] = place
    counts[PRETOKENS] += pretokens
    return int(place)


# Functions of their own, and not inlined: together the compiler makes them three times slower (docs/log.md).


@njit
def _cut(text: Any, at: Any, stop: Any, class_of: Any, table: Any, begins: Any) -> Any:
    """Fill `begins` with where pretokens begin, and the last one ends; how many."""
    found = 0
    begins[0] = at
    while found < len(begins) - 1 and at < stop:
        at = piece_end(text, at, stop, class_of, table)
        found += 1
        begins[found] = at
    return found


@njit
def _cut_again(text: Any, at: Any, stops: Any, class_of: Any, tables: Any, begins: Any) -> Any:
    """As _cut, by splits one inside the other. stops: where the piece of each level ends that `at` is in."""
    found = 0
    begins[0] = at
    while found < len(begins) - 1 and at < stops[0]:
        for level in range(len(class_of)):
            if stops[level + 1] <= at:
                stops[level + 1] = piece_end(text, at, stops[level], class_of[level], tables[level])
        at = stops[-1]
        found += 1
        begins[found] = at
    return found


@njit
def _look_up(
    text: Any, begins: Any, found: Any, shift: Any, masks: Any, slots: Any, lows: Any, highs: Any, slot_of: Any
) -> None:
    """The key of each pretoken, and its first slot, which is fetched meanwhile."""
    for i in range(found):
        low, high = key_of(text, begins[i], begins[i + 1] - begins[i], masks)
        slot = place_of(low, high, shift)
        prefetch(slots, SLOT * slot)
        lows[i], highs[i], slot_of[i] = low, high, slot


@njit
def _learn(
    text: Any,
    begins: Any,
    i: Any,
    lows: Any,
    highs: Any,
    slot_of: Any,
    byte_ids: Any,
    pairs: Any,
    of_pairs: Any,
    made: Any,
    lengths: Any,
    words: Any,
    word_ends: Any,
    whole: Any,
    slots: Any,
    lists: Any,
    texts: Any,
    counts: Any,
    ids: Any,
    few: Any,
    work: Any,
    out: Any,
    place: Any,
) -> Any:
    """Merge pretoken i, whose ids go behind `place` and into its empty slot; the new place."""
    first, n = begins[i], begins[i + 1] - begins[i]
    counts[MISSES] += 1
    counts[MISSED_BYTES] += n
    if n > WINDOW:
        return merge_long(text, first, n, byte_ids, pairs, of_pairs, made, lengths, out, place)
    count = _merged(text, first, n, byte_ids, pairs, of_pairs, made, ids, few, work)
    for j in range(count):
        out[place + j] = ids[j]
    if n <= KEPT and is_full(n, count, slots, lists, texts, counts):
        counts[RESTARTS] += 1
        _begin(words, word_ends, whole, byte_ids, pairs, of_pairs, made, slots, lists, texts, counts)
    elif n <= KEPT:
        put(text, first, n, lows[i], highs[i], slot_of[i], slots, lists, texts, counts, ids, count)
    return place + count


@njit
def _merged(
    text: Any, at: Any, n: Any, byte_ids: Any, pairs: Any, shift: Any, made: Any, ids: Any, few: Any, work: Any
) -> Any:
    """At most WINDOW bytes into `ids`; how many ids."""
    if n <= SHORT:
        return merge_short(text, at, n, byte_ids, pairs, shift, made, ids, few)
    return merge_heap(text, at, n, byte_ids, pairs, shift, made, ids, work)


@njit
def _begin(
    words: Any,
    word_ends: Any,
    whole: Any,
    byte_ids: Any,
    pairs: Any,
    of_pairs: Any,
    made: Any,
    slots: Any,
    lists: Any,
    texts: Any,
    counts: Any,
) -> None:
    """The vocabulary and nothing else: all of it where a word is its id, else as much as there is room for.

    What is no word of it has no bytes.
    """
    slots[:] = 0
    counts[:PRETOKENS] = 0  # entries, and what is used of lists and texts
    shift, mask = _shift(len(slots) // SLOT), np.int64(len(slots) // SLOT - 1)
    ids, few, work = np.empty(WINDOW, np.int64), np.empty((3, SHORT + 1), np.int32), np.empty((6, WINDOW), np.int64)
    begins, masks = np.int64(0), MASKS.copy()
    for id in range(len(word_ends)):
        at, n = begins, word_ends[id] - begins
        begins = word_ends[id]
        if n == 0 or (n > KEPT and not whole):
            continue
        count = 1
        ids[0] = id
        if not whole:
            count = _merged(words, at, n, byte_ids, pairs, of_pairs, made, ids, few, work)
        if not whole and is_full(n, count, slots, lists, texts, counts):
            break  # it is learnt when it is read
        low, high = key_of(words, at, n, masks)
        slot = place_of(low, high, shift)
        while load64(slots, SLOT * slot + 8) != _ZERO:
            slot = (slot + 1) & mask
        put(words, at, n, low, high, slot, slots, lists, texts, counts, ids, count)


@njit(inline="always")
def _shift(size: Any) -> Any:
    """For a table of 2^k: 64 - k."""
    bits = np.uint64(0)
    while (np.int64(1) << np.int64(bits)) < size:
        bits += np.uint64(1)
    return np.uint64(64) - bits
