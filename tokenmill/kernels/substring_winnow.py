"""Anchors: a few places of a text, chosen by what stands around them, so that equal stretches have equal ones.

A window is `length` consecutive units (substring_units.py). Its anchor is, of the runs of `gram_of(length)` units in
it, the one with the smallest hash, the first of equal ones. That is a function of the window's content alone: two
equal windows have equal anchors, at the same distance from their beginnings. So a window whose anchor occurs nowhere
else occurs nowhere else. Of n units about 2n / (length - gram + 2) are anchors: 8 in 100 for windows of 50.

Source: winnowing, Schleimer, Wilkerson and Aiken 2003 ("local algorithms for document fingerprinting").

The hash of a run is the polynomial of its units' hashes in BASE modulo 2^64, which rolls, finished.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash_shingles import BASE, finish
from tokenmill.kernels.substring_units import KINDS, read_units

BLOCK = 1 << 12  # units at a time: with scratch 200 kB, within the second-level cache
_BASE = np.uint64(BASE)


def gram_of(length: int) -> int:
    """Units of an anchor in a window of `length`: half, so that anchors are few and chance repeats of them rare."""
    return length // 2 + 1


def anchors(texts: pa.LargeStringArray, length: int, bytewise: bool) -> tuple[npt.NDArray[np.uint64], npt.NDArray[Any]]:
    """(hashes uint64[n], which text int64[n]) of all anchors in order. Nulls have none, nor do shorter texts.

    Of an anchor that follows itself, as in periodic text, two are given: enough to say that it occurs again.
    Cost: one pass; 17 bytes for each anchor and 200 kB of scratch, whatever the length of a text.
    """
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    hashes, owners = _anchors(data, offsets, null, KINDS, bytewise, length, gram_of(length))
    return hashes, owners


@compiled
def grown(values: Any, needed: Any) -> Any:
    """`values` at the beginning of an array that has room for `needed`."""
    larger = np.empty(max(2 * len(values), needed), values.dtype)
    larger[: len(values)] = values
    return larger


@compiled
def rolled(hashes: Any, n: Any, width: Any, base: Any, sums: Any) -> None:
    """sums[i]: the polynomial in `base` of hashes[i : i + width], unfinished, for all i up to n - width."""
    leaving = np.uint64(1)
    for _ in range(width):
        leaving *= base
    total = np.uint64(0)
    for i in range(min(width, n)):
        total = total * base + hashes[i]
    if n >= width:
        sums[0] = total
    for i in range(width, n):
        total = total * base + (hashes[i] - hashes[i - width] * leaving)
        sums[i - width + 1] = total


@compiled
def winnow(hashes: Any, n: Any, length: Any, gram: Any, grams: Any, chosen: Any, ahead: Any) -> Any:
    """How many windows hashes[:n] has: of window i the anchor is at chosen[i], and grams[chosen[i]] is its hash.

    grams uint64, chosen and ahead (scratch) int64, each as long as `hashes`. Linear, and free of branches that the
    text decides (van Herk 1992, Gil and Werman 1993): a window is the end of one block of places and the beginning of
    the next one, and minima to the ends of blocks are found by going backwards, those from their beginnings forwards.
    """
    windows = max(n - length + 1, 0)
    if windows == 0:
        return 0
    rolled(hashes, n, gram, _BASE, grams)
    for place in range(n - gram + 1):
        grams[place] = finish(grams[place])
    span = length - gram + 1
    for block in range(0, windows, span):
        place = block + span - 1
        least = grams[place]
        ahead[span - 1] = place
        for other in range(block + span - 2, block - 1, -1):
            earlier = grams[other] <= least
            least = grams[other] if earlier else least
            place = other if earlier else place
            ahead[other - block] = place
        chosen[block] = ahead[0]
        last = min(span, windows - block)
        if last == 1:
            continue
        place = block + span
        least = grams[place]
        for within in range(1, last):
            other = block + span + within - 1
            smaller = grams[other] < least
            least = grams[other] if smaller else least
            place = other if smaller else place
            before = ahead[within]
            chosen[block + within] = before if grams[before] <= least else place
    return windows


@compiled
def _anchors(data: Any, offsets: Any, null: Any, kinds: Any, bytewise: Any, length: Any, gram: Any) -> Any:
    room = BLOCK + length
    hashes, grams = np.empty(room, np.uint64), np.empty(room, np.uint64)
    starts, stops = np.empty(room, np.int64), np.empty(room, np.int64)
    chosen, ahead = np.empty(room, np.int64), np.empty(room, np.int64)
    found, owners, count = np.empty(1024, np.uint64), np.empty(1024, np.int64), 0
    for i in range(len(null)):
        if null[i]:
            continue
        at, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        n, behind = 0, 0  # units in the block, and of the text before it
        latest, again, before = np.int64(-1), 0, np.uint64(0)
        while at < stop:
            n, at = read_units(data, at, stop, kinds, bytewise, n, hashes, starts, stops)
            windows = winnow(hashes, n, length, gram, grams, chosen, ahead)
            for window in range(windows):
                if behind + chosen[window] == latest:
                    continue
                value = grams[chosen[window]]
                again = again + 1 if latest >= 0 and value == before else 0
                latest, before = behind + chosen[window], value
                if again < 2:
                    if count == len(found):
                        found, owners = grown(found, count + 1), grown(owners, count + 1)
                    found[count], owners[count] = value, i
                    count += 1
            if windows:  # what is left: the units that began no window
                for k in range(length - 1):
                    hashes[k] = hashes[windows + k]
                n, behind = length - 1, behind + windows
    return found[:count].copy(), owners[:count].copy()
