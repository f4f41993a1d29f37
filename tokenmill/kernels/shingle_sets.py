"""The exact sets of shingles of texts: for verdicts that an estimate may not give.

A set is a sorted run of distinct finished 64-bit shingle hashes, the very values whose low halves `signatures` uses
(minhash.py). Two different shingles meet with odds of 2^-64: between two texts of a million shingles, one in 2e7.

Sorting and removing repeats is one pass: hashes are spread evenly, so each has its place in a table of twice as many
slots, in the order of the hashes, and what is larger moves on to the right (ordered linear probing: Amble and Knuth
1974, "Ordered hash tables"). Read from left to right, the table is the set.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash import Unit, check
from tokenmill.kernels.minhash_characters import begin_characters, new_character_state, next_character_shingles
from tokenmill.kernels.minhash_shingles import finish, new_state, next_shingles
from tokenmill.kernels.unicode_classes import CLASSES, LOWER

_BLOCK = 1024  # shingles at a time
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)  # a slot; the hash of this value is kept aside
_SLOTS_AT_MOST = 1 << 32  # the place of a hash is its high half times the slots: 64 bits


def shingle_sets(
    texts: pa.LargeStringArray, length: int, unit: Unit = "words"
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """(values, n+1 offsets): the set of text i is values[offsets[i]:offsets[i + 1]], ascending. A null has none.

    Cost: one pass at 100 million shingles a second, in memory of 8 bytes per shingle and 64 more per shingle of the
    longest text. Raises ValueError on another type of array or unit, a length below 1, and a text of more than 2.1e9
    shingles.
    """
    check(1, length, unit)
    data, starts = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    shortest = 2 if unit == "words" else 1  # bytes of a unit and what separates it from the next
    values = np.empty((int(starts[-1] - starts[0]) + len(texts)) // shortest + 1, np.uint64)  # touched as far as used
    offsets = np.zeros(len(texts) + 1, np.int64)
    of_words, of_characters = new_state(length), new_character_state(length, _BLOCK)
    _shingle_sets(data, starts, null, CLASSES, LOWER, unit == "words", of_words, of_characters, values, offsets)
    return values[: offsets[-1]].copy(), offsets


@compiled
def _shingle_sets(
    data: Any, starts: Any, null: Any, classes: Any, lower: Any, by_words: Any, of_words: Any, of_characters: Any,
    values: Any, offsets: Any,
) -> None:  # fmt: skip
    block = np.empty(_BLOCK, np.uint64)
    shingles = np.empty(4 * _BLOCK, np.uint64)
    table = np.empty(12 * _BLOCK, np.uint64)
    total = 0
    for i in range(len(offsets) - 1):
        count = 0
        if not null[i]:
            at, stop = np.int64(starts[i]), np.int64(starts[i + 1])
            if by_words:
                of_words[1] = 0
            else:
                stop = begin_characters(data, at, stop, classes, of_characters)
            while at < stop:
                if by_words:
                    n, at = next_shingles(data, at, stop, classes, lower, of_words, block)
                else:
                    n, at = next_character_shingles(data, at, stop, classes, lower, of_characters, block)
                if count + n > len(shingles):
                    larger = np.empty(2 * (count + n), np.uint64)
                    larger[:count] = shingles[:count]
                    shingles = larger
                for k in range(n):
                    shingles[count + k] = finish(block[k])
                count += n
        if len(table) < _slots(count) + count:
            table = np.empty(2 * (_slots(count) + count), np.uint64)
        total = _sort_distinct(shingles[:count], table, values, total)
        offsets[i + 1] = total


@compiled
def _slots(count: Any) -> Any:
    return 2 * count + 1


@compiled
def _sort_distinct(hashes: Any, table: Any, values: Any, total: Any) -> Any:
    """Write the set of `hashes` into values[total:]; returns its end. `table`: _slots(n) + n, so none runs over."""
    slots = _slots(len(hashes))
    if slots > _SLOTS_AT_MOST:
        raise ValueError("more than 2.1e9 shingles in one text")
    table[: slots + len(hashes)] = _EMPTY
    full = False
    for x in hashes:
        if x == _EMPTY:
            full = True
            continue
        at = np.int64(((x >> np.uint64(32)) * np.uint64(slots)) >> np.uint64(32))
        while table[at] < x:
            at += 1
        while table[at] != x:
            x, table[at] = table[at], x
            if x == _EMPTY:
                break
            at += 1
    for slot in range(slots + len(hashes)):
        values[total] = table[slot]  # and again, if the slot is empty: no branch to guess
        total += table[slot] != _EMPTY
    if full:
        values[total] = _EMPTY
        total += 1
    return total
