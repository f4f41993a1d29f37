"""How much of a text stands in its most frequent and in its repeated n-grams, in linear time.

An n-gram can be repeated only if the two (n-1)-grams in it are. So only the positions that were repeated at n - 1
are looked at for n, and most texts have few left behind n = 3. Two n-grams are equal exactly if both their
(n-1)-grams are, which are numbered by where they occur first: beyond n = 2 nothing is hashed to fewer bits.

Source: Gopher (arXiv:2112.11446), table A1, as datatrove 0.10 computes it.
"""

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.text_measures_hash import hash_pair, mixed, table_size
from tokenmill.kernels.text_measures_names import TextMeasure
from tokenmill.kernels.text_measures_utf8 import Integer

FIRST_TOP, FIRST_REPEATED, LAST = 2, 5, 10  # top n-grams: 2 to 4; repeated ones: 5 to 10
_TOP = int(TextMeasure.SHARE_OF_CHARS_IN_TOP_2_GRAM) - FIRST_TOP
_REPEATED = int(TextMeasure.SHARE_OF_CHARS_IN_REPEATED_5_GRAMS) - FIRST_REPEATED


@compiled
def _group(
    keys: NDArray[np.uint64],
    places: NDArray[np.int32],
    m: Integer,
    groups: NDArray[np.int32],
    counts: NDArray[np.int32],
    table: NDArray[np.int32],
) -> tuple[Integer, Integer]:
    """Number equal keys by their first place: groups[place], and counts[first place].

    Looks at places[:m], in ascending order. Returns the first place of the most frequent key, and its count.
    """
    size = table_size(m)
    table[:size] = 0
    mask = size - 1
    top = best = 0
    for k in range(m):
        i = places[k]
        key = keys[i]
        slot = np.int64(key & np.uint64(mask))
        while True:
            j = table[slot] - 1
            if j < 0:
                table[slot] = i + 1
                groups[i] = i
                counts[i] = 1
                break
            if keys[j] == key:
                groups[i] = j
                count = counts[j] + 1
                counts[j] = count
                if count > best or (count == best and j < top):
                    best = count
                    top = j
                break
            slot = (slot + 1) & mask
    return top, best


@compiled
def measure_ngrams(
    n_tokens: Integer,
    hashes: NDArray[np.uint64],
    ends: NDArray[np.int32],
    chars: Integer,
    keys: NDArray[np.uint64],
    groups: NDArray[np.int32],
    counts: NDArray[np.int32],
    places: NDArray[np.int32],
    table: NDArray[np.int32],
    out: NDArray[np.float64],
) -> None:
    """The n-gram measures of a text of `chars` > 0 characters, from `split_tokens`' hashes and ends, into `out`.

    The other arrays are scratch of `n_tokens` entries; `table` of table_size(n_tokens).
    """
    m = max(n_tokens - 1, 0)
    for i in range(m):
        keys[i] = hash_pair(hashes[i], hashes[i + 1])
        places[i] = i
    for n in range(FIRST_TOP, LAST + 1):
        if n > FIRST_TOP:
            kept = 0
            for k in range(m - 1):
                i = places[k]
                if places[k + 1] == i + 1:
                    # mixed() is a bijection, so keys are equal exactly if both numbers are
                    keys[i] = mixed(np.uint64(groups[i]) << np.uint64(32) | np.uint64(groups[i + 1]))
                    places[kept] = i
                    kept += 1
            m = kept
        top, best = _group(keys, places, m, groups, counts, table)
        kept = 0
        for k in range(m):
            i = places[k]
            places[kept] = i
            kept += counts[groups[i]] > 1
        m = kept
        if n < FIRST_REPEATED:
            if best == 0 and n_tokens >= n:
                best = 1  # all differ: the first of them
                top = 0
            if best:
                out[_TOP + n] = best * (np.int64(ends[top + n] - ends[top]) + n - 1) / chars
        else:
            free = 0  # the first place behind the repeated n-gram that was stepped over last
            total = 0
            for k in range(m):
                i = places[k]
                if i >= free:
                    first = groups[i]
                    if counts[first] < 0:
                        total += ends[i + n] - ends[i]
                        free = i + n
                    else:
                        counts[first] = -1  # stepped on
            out[_REPEATED + n] = total / chars
            # what follows asks for counts > 1 of its own grouping only, so the marks may stay
