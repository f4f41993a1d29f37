"""Who is kept among near-duplicates: a walk in order of preference over documents that share a band.

Two documents are compared if all hashes of some band are equal, and paired if at least `equal_at_least` of
their hashes are. A document is kept unless a kept one is paired with it; the most preferred such is its keeper.
So every removed document was measured against the one that stays for it: chains A~B~C fall into stars.

Each band's buckets are found first; a bucket with one document takes part in nothing, so unique documents cost
one look into a table per band. A bucket then holds the kept documents so far, in order of preference.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled

_AHEAD = 256  # rows hashed before any is looked up: the look-ups then wait for memory side by side


@dataclass(frozen=True, slots=True)
class Keepers:
    """`keeper[i]` is the row kept for row i, or -1 where it stays; `equal[i]` counts their equal hashes (else 0).

    Counts: `compared` pairs of documents, `verified` among them that were paired, and `unverified`, places in
    buckets that the cap kept from being looked at (a pair counts once per bucket it shares).
    """

    keeper: npt.NDArray[np.int64]
    equal: npt.NDArray[np.int32]
    compared: int
    verified: int
    unverified: int


def greedy_keepers(
    signatures: npt.NDArray[np.uint32],
    order: npt.NDArray[np.int64],
    bands: int,
    equal_at_least: int,
    comparisons_at_most: int,
) -> Keepers:
    """`signatures` is [n, bands * rows], C-contiguous; `order` the rows that take part, most preferred first.

    A document looks through its buckets band by band, each from its most preferred document on, and stops in a
    bucket where nothing better can come. After `comparisons_at_most` comparisons it looks no further; what it
    has found by then counts. Memory beside the input: 4 * bands + 13 bytes per row, 16 to 32 for a table, and 4
    per place in a bucket that is shared. Cost: 14 bands of 1,000,000 rows in 2 s on one core, if few share buckets.
    Raises ValueError on shapes that do not fit.
    """
    if signatures.ndim != 2 or bands < 1 or signatures.shape[1] % bands or not signatures.flags.c_contiguous:
        raise ValueError(f"signatures are {signatures.shape}, want C-contiguous [n, a multiple of bands={bands}]")
    if len(signatures) * bands >= 1 << 32:  # shared buckets are numbered in int32, and each has two documents or more
        raise ValueError(f"{len(signatures):,} documents in {bands} bands; want fewer than 2^32 places, so divide them")
    if len(order) and (order.min() < 0 or order.max() >= len(signatures)):
        raise ValueError(f"order names rows outside 0..{len(signatures) - 1}")
    keeper = np.full(len(signatures), -1, np.int64)
    equal = np.zeros(len(signatures), np.int32)
    taking_part = np.zeros(len(signatures), np.bool_)
    taking_part[order] = True
    if np.count_nonzero(taking_part) != len(order):
        raise ValueError("order names a row twice; want each at most once")
    buckets, sizes = _buckets(signatures, taking_part, bands)
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)))
    counts = _walk(signatures, order, buckets, starts, equal_at_least, comparisons_at_most, keeper, equal)
    return Keepers(keeper, equal, *(int(count) for count in counts))


@compiled
def _buckets(signatures: Any, taking_part: Any, bands: Any) -> Any:
    """(int32[n, bands]: the bucket of each row, -1 where it is alone or takes no part; documents per bucket).

    Open addressing, one band after another in the same table, rows in the order of memory. They share a bucket
    where all hashes of the band are equal, never by a hash of them alone.
    """
    n = len(signatures)
    rows = signatures.shape[1] // bands
    size = 16
    while size < 2 * n:
        size *= 2
    table = np.empty(size, np.uint64)  # 0, or 32 bits of hash above 1 + the first row of the bucket
    hashes = np.empty(_AHEAD, np.uint64)
    buckets = np.full((n, bands), -1, np.int32)
    sizes = np.zeros(1024, np.int64)
    used = 0
    low = np.uint64(0xFFFFFFFF)
    for band in range(bands):
        table[:] = 0
        for begin in range(0, n, _AHEAD):
            end = min(begin + _AHEAD, n)
            for i in range(begin, end):
                h = np.uint64(0x9E3779B97F4A7C15)
                for k in range(band * rows, (band + 1) * rows):
                    h = (h ^ np.uint64(signatures[i, k])) * np.uint64(0xD6E8FEB86659FD93)
                    h ^= h >> np.uint64(32)
                hashes[i - begin] = h
            for i in range(begin, end):
                if not taking_part[i]:
                    continue
                h = hashes[i - begin]
                slot = np.int64(h >> np.uint64(32)) & (size - 1)
                tag = h << np.uint64(32)
                other = np.int64(-1)
                while table[slot] != 0:
                    if (table[slot] & ~low) == tag:
                        other = np.int64(table[slot] & low) - 1
                        for k in range(band * rows, (band + 1) * rows):
                            if signatures[i, k] != signatures[other, k]:
                                other = np.int64(-1)
                                break
                        if other >= 0:
                            break
                    slot = (slot + 1) & (size - 1)
                if other < 0:
                    table[slot] = tag | np.uint64(i + 1)
                    continue
                if buckets[other, band] < 0:
                    if used == len(sizes):
                        larger = np.zeros(2 * used, np.int64)
                        larger[:used] = sizes
                        sizes = larger
                    buckets[other, band] = used
                    sizes[used] = 1
                    used += 1
                buckets[i, band] = buckets[other, band]
                sizes[buckets[other, band]] += 1
    return buckets, sizes[:used]


@compiled
def _walk(
    signatures: Any,
    order: Any,
    buckets: Any,
    starts: Any,
    equal_at_least: Any,
    comparisons_at_most: Any,
    keeper: Any,
    equal: Any,
) -> Any:
    n, bands = len(order), buckets.shape[1]
    held = np.zeros(len(starts) - 1, np.int64)  # documents in each bucket so far
    documents = np.empty(starts[-1], np.int32)  # all buckets, one behind the other; ranks in `order`
    met = np.full(n, -1, np.int32)  # the last document that each was compared with
    all_compared, verified, unverified = 0, 0, 0
    for i in range(n):
        row = order[i]
        mine = signatures[row]
        compared = 0
        best = n
        for band in range(bands):
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
                    unverified += start + held[bucket] - place
                    break
                met[other] = i
                compared += 1
                same = _equal(mine, signatures[order[other]])
                if same >= equal_at_least:
                    verified += 1
                    best = other
                    equal[row] = same
                    break
        all_compared += compared
        if best < n:
            keeper[row] = order[best]
            continue
        for band in range(bands):
            bucket = buckets[row, band]
            if bucket >= 0:
                documents[starts[bucket] + held[bucket]] = i
                held[bucket] += 1
    return all_compared, verified, unverified


@njit(inline="always")
def _equal(a: Any, b: Any) -> Any:
    same = np.int32(0)
    for k in range(len(a)):
        same += np.int32(a[k] == b[k])
    return same
