"""Who is kept among near-duplicates: a walk in order of preference over documents that share a band.

Two documents are compared if they share a bucket (lsh_buckets.py), and paired if their similarity is at least the
threshold. A document is kept unless a kept one is paired with it; the most preferred such is its keeper. So every
removed document was measured against the one that stays for it, and chains A~B~C fall into stars. A bucket holds the
documents that may be kept, in order of preference, and a document looks through its buckets band by band, stops in a
bucket where nothing better can come, and after `comparisons_at_most` comparisons looks no further.

Signatures decide a pair where they are far from the threshold: `surely` equal places or more pair it, fewer than
`maybe` do not. Between those only the shingles tell. They are dear to move, so there are two walks: the first one
does without and finds out what has to be told (`propose`); the second one has the shingles of just those (`settle`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.lsh_buckets import buckets_of, check_shape

KEPT, REMOVED, OPEN = 0, 1, 2  # what a walk knows of a document
TAKES_PART, NEEDS_SHINGLES = 1, 2  # bits of `asked`


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepers:
    """What a walk found, by row. `keeper` is -1 where there is none (yet); `similarity` is to it.

    `state` KEPT: nothing that it was compared with can remove it. REMOVED: by `keeper` if that is known. OPEN: told by
    the second walk. `asked` has bits for the rows that the second walk needs. `unverified` counts the places in
    buckets that the cap kept a document from looking at (a pair counts once per bucket that it shares).
    """

    state: npt.NDArray[np.uint8]
    keeper: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]
    band: npt.NDArray[np.int32]  # that proposed the pair, -1 where there is no keeper
    asked: npt.NDArray[np.uint8]
    unverified: npt.NDArray[np.int64]
    compared: int
    exactly: int  # of those by their shingles


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When two signatures of `hashes` places are a pair. 0 < threshold <= 1; 1 <= maybe <= surely <= hashes + 1."""

    bands: int
    threshold: float
    surely: int
    maybe: int
    comparisons_at_most: int


def propose(
    signatures: npt.NDArray[np.uint32], order: npt.NDArray[np.int64], stays: npt.NDArray[np.bool_], rule: Rule
) -> Keepers:
    """The first walk: what signatures alone decide, and what they ask for.

    `signatures` is [n, hashes], C-contiguous; `order` the rows that take part, most preferred first; `stays` [n] marks
    those that are kept whatever they resemble (they must go first). Memory beside the input: 4 * bands + 40 bytes per
    row, and what `buckets_of` takes. Cost: a million rows of 14 bands in 2 s on one core, if few share buckets.
    Raises ValueError on shapes that do not fit.
    """
    nothing = np.zeros(len(signatures) + 1, np.int64)
    return _walk(signatures, order, stays, rule, np.zeros(0, np.uint32), nothing, told=False)


def settle(
    signatures: npt.NDArray[np.uint32],
    order: npt.NDArray[np.int64],
    stays: npt.NDArray[np.bool_],
    rule: Rule,
    shingles: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
) -> Keepers:
    """The second walk, over the rows that were asked for: nothing is left open.

    The shingles of row i are shingles[offsets[i]:offsets[i + 1]], ascending. A pair that needs them and lacks them
    (the cap of the first walk came before it) is no pair and counts as unverified.
    """
    if len(offsets) != len(signatures) + 1:
        raise ValueError(f"{len(offsets)} offsets for {len(signatures)} rows, want one more than rows")
    return _walk(signatures, order, stays, rule, shingles, offsets, told=True)


def _walk(
    signatures: npt.NDArray[np.uint32],
    order: npt.NDArray[np.int64],
    stays: npt.NDArray[np.bool_],
    rule: Rule,
    shingles: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    *,
    told: bool,
) -> Keepers:
    check_shape(signatures, rule.bands)
    n = len(signatures)
    if len(order) and (order.min() < 0 or order.max() >= n):
        raise ValueError(f"order names rows outside 0..{n - 1}")
    taking_part = np.zeros(n, np.bool_)
    taking_part[order] = True
    if np.count_nonzero(taking_part) != len(order):
        raise ValueError("order names a row twice; want each at most once")
    buckets, sizes = buckets_of(signatures, taking_part, rule.bands)
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)))
    state, asked = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    keeper, band = np.full(n, -1, np.int64), np.full(n, -1, np.int32)
    similarity, unverified = np.zeros(n, np.float32), np.zeros(n, np.int64)
    limits = (rule.surely, rule.maybe, rule.comparisons_at_most, rule.threshold)
    results = (state, keeper, similarity, band, asked, unverified)
    compared, exactly = _walk_all(signatures, order, stays, buckets, starts, limits, shingles, offsets, told, results)
    return Keepers(
        state=state,
        keeper=keeper,
        similarity=similarity,
        band=band,
        asked=asked,
        unverified=unverified,
        compared=int(compared),
        exactly=int(exactly),
    )


@compiled
def _walk_all(
    signatures: Any,
    order: Any,
    stays: Any,
    buckets: Any,
    starts: Any,
    limits: Any,
    shingles: Any,
    offsets: Any,
    told: Any,
    results: Any,
) -> Any:
    surely, maybe, comparisons_at_most, threshold = limits
    state, keeper, similarity, band_of, asked, unverified = results
    n, bands = len(order), buckets.shape[1]
    hashes = signatures.shape[1]
    held = np.zeros(len(starts) - 1, np.int64)  # documents in each bucket so far
    documents = np.empty(starts[-1], np.int32)  # all buckets, one behind the other; ranks in `order`
    met = np.full(n, -1, np.int32)  # the last document that each was compared with
    doubts = np.empty(n, np.int32)  # ranks that may be the keeper of the document at hand
    all_compared, exactly = 0, 0
    for i in range(n):
        row = order[i]
        compared, doubted = 0, 0
        best = n
        for band in range(bands if not stays[row] else 0):
            bucket = buckets[row, band]
            if bucket < 0:
                continue
            start = starts[bucket]
            for place in range(start, start + held[bucket]):
                other = documents[place]
                if other >= best:
                    break
                if met[other] == i:
                    continue
                if compared == comparisons_at_most:
                    unverified[row] += start + held[bucket] - place
                    break
                met[other] = i
                compared += 1
                near = order[other]
                same = _equal(signatures[row], signatures[near])
                if same < maybe:
                    continue
                share = np.float32(same / hashes)
                sure = same >= surely
                if not sure and told:
                    share = _jaccard(shingles, offsets, row, near, threshold)
                    if share < 0:  # no shingles to tell by
                        unverified[row] += 1
                        continue
                    exactly += 1
                    sure = share >= np.float32(threshold)
                    if not sure:
                        continue
                if sure and state[near] == KEPT:
                    best = other
                    similarity[row] = share
                    band_of[row] = band
                    break
                doubts[doubted] = other
                doubted += 1
                if not sure:
                    asked[row] |= NEEDS_SHINGLES
        all_compared += compared
        better = False  # whether a more preferred document may be its keeper
        for d in range(doubted):
            better |= doubts[d] < best
        if better:
            asked[row] |= TAKES_PART
            for d in range(doubted):
                if doubts[d] < best:
                    other_row = order[doubts[d]]
                    same = _equal(signatures[row], signatures[other_row])
                    asked[other_row] |= TAKES_PART if same >= surely else TAKES_PART | NEEDS_SHINGLES
            state[row] = OPEN
            if best < n:
                asked[order[best]] |= TAKES_PART
                state[row] = REMOVED
                band_of[row] = -1
        else:
            asked[row] &= ~NEEDS_SHINGLES
            if best < n:
                state[row] = REMOVED
                keeper[row] = order[best]
        if state[row] == REMOVED:
            continue
        for band in range(bands):
            bucket = buckets[row, band]
            if bucket >= 0:
                documents[starts[bucket] + held[bucket]] = i
                held[bucket] += 1
    return all_compared, exactly


@njit(inline="always")
def _equal(a: Any, b: Any) -> Any:
    same = np.int32(0)
    for k in range(len(a)):
        same += np.int32(a[k] == b[k])
    return same


@compiled
def _jaccard(shingles: Any, offsets: Any, a: Any, b: Any, threshold: Any) -> Any:
    """float32: intersection over union of two ascending runs; 0 as soon as it must be below; -1 where one is empty."""
    i, stop_i, j, stop_j = offsets[a], offsets[a + 1], offsets[b], offsets[b + 1]
    both = (stop_i - i) + (stop_j - j)
    if i == stop_i or j == stop_j:
        return np.float32(-1)
    shared = np.int64(0)
    allowed = np.int64(both * (1 - threshold) / (1 + threshold)) + 2  # unshared at most; never too few, by rounding
    unshared = np.int64(0)
    while i < stop_i and j < stop_j:
        x, y = shingles[i], shingles[j]
        shared += np.int64(x == y)
        i += np.int64(x <= y)
        j += np.int64(y <= x)
        unshared += np.int64(x != y)
        if unshared > allowed:
            return np.float32(0)
    return np.float32(shared / (both - shared))
