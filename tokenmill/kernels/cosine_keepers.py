"""Who is kept among vectors that point the same way: in each cluster, a walk in order of preference.

Two members of a cluster are paired if their cosine is at least a threshold. A member is kept unless a kept one is
paired with it; the most preferred such is its keeper. So every removed one was measured against the one that stays
for it: chains A~B~C fall into stars.

Everything is integers but one comparison, dot^2 >= (threshold^2 * |a|^2) * |b|^2, which is two rounded products of
float64 on every machine. Up to 5,882 dimensions dot^2 is exact in them too, whatever the vectors: a threshold of 1
means the same direction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.int8_vectors import Int8, dot, squared_lengths

_BLOCK = 64  # members that look through the kept ones together, so that those come from the cache and not from memory
_TILE = 64  # kept ones at a time: 25 kB at 384 dimensions, within the first-level cache


@dataclass(frozen=True, slots=True)
class CosineKeepers:
    """`keeper[i]` is the row kept for row i, or -1 where it stays; `cosine[i]` is theirs (else 0).

    Counts: `compared` pairs, `verified` among them that were paired, and `unverified`, pairs that the cap prevented.
    """

    keeper: npt.NDArray[np.int64]
    cosine: npt.NDArray[np.float64]
    compared: int
    verified: int
    unverified: int


def cosine_keepers(
    vectors: Int8,
    order: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    cosine_at_least: float,
    comparisons_at_most: int,
) -> CosineKeepers:
    """`vectors` is [n, d]; `order` the rows that take part, cluster by cluster, most preferred first; cluster c is
    order[starts[c]:starts[c + 1]].

    A member is compared with the kept ones of its cluster, most preferred first, until one is paired with it or
    `comparisons_at_most` have been looked at. A vector of zeros is paired with none. Memory beside the input: 24 bytes
    a row. Cost: about 8 ns per comparison at 384 dimensions (47 multiply-adds a ns on one core with AVX-512).
    Raises ValueError on shapes that do not fit and a threshold outside ]0, 1].
    """
    squares = squared_lengths(vectors)
    if not 0 < cosine_at_least <= 1:
        raise ValueError(f"cosine_at_least={cosine_at_least}, want more than 0 and at most 1")
    if len(order) and (order.min() < 0 or order.max() >= len(vectors)):
        raise ValueError(f"order names rows outside 0..{len(vectors) - 1}")
    if len(np.unique(order)) != len(order):
        raise ValueError("order names a row twice; want each at most once")
    if not len(starts) or starts[0] != 0 or starts[-1] != len(order) or (np.diff(starts) < 0).any():
        raise ValueError(f"starts must ascend from 0 to {len(order)}")
    keeper = np.full(len(vectors), -1, np.int64)
    cosine = np.zeros(len(vectors), np.float64)
    counts = _walk(
        vectors, squares, order, starts, cosine_at_least * cosine_at_least, comparisons_at_most, keeper, cosine
    )
    return CosineKeepers(keeper, cosine, *(int(count) for count in counts))


@compiled
def _walk(
    vectors: Any,
    squares: Any,
    order: Any,
    starts: Any,
    squared: Any,
    comparisons_at_most: Any,
    keeper: Any,
    cosine: Any,
) -> Any:
    kept = np.empty(len(order), np.int64)  # rows kept in this cluster so far
    found = np.empty(_BLOCK, np.int64)  # of each member of a block, the place in `kept` of its keeper, or -1
    compared, verified, unverified = 0, 0, 0
    for cluster in range(len(starts) - 1):
        held = 0
        shortest = _shortest(squares, order[starts[cluster] : starts[cluster + 1]])
        for begin in range(starts[cluster], starts[cluster + 1], _BLOCK):
            block = order[begin : min(begin + _BLOCK, starts[cluster + 1])]
            before = min(held, comparisons_at_most)
            found[:] = -1
            for tile in range(0, before, _TILE):
                for b in range(len(block)):
                    if found[b] < 0:
                        stop = min(tile + _TILE, before)
                        found[b] = _first_paired(vectors, squares, block[b], kept, tile, stop, squared, shortest)
            for b in range(len(block)):
                row, looked_at = block[b], min(held, comparisons_at_most)
                if found[b] < 0:
                    found[b] = _first_paired(vectors, squares, row, kept, before, looked_at, squared, shortest)
                if found[b] < 0:
                    compared += looked_at
                    unverified += held - looked_at
                    kept[held] = row
                    held += 1
                    continue
                other = kept[found[b]]
                lengths = np.sqrt(np.float64(squares[row]) * np.float64(squares[other]))
                keeper[row] = other
                cosine[row] = min(1.0, np.float64(dot(vectors[row], vectors[other])) / lengths)
                compared += found[b] + 1
                verified += 1
    return compared, verified, unverified


@compiled
def _first_paired(
    vectors: Any, squares: Any, row: Any, kept: Any, start: Any, stop: Any, squared: Any, shortest: Any
) -> Any:
    """The first place of kept[start:stop] whose row is paired with `row`, or -1."""
    mine = vectors[row]
    bound = squared * np.float64(squares[row])
    # A product that is not above `hopeless` is below the bound beside any member. Almost all pairs end there: a
    # comparison of integers leaves the loop of `dot` twice as fast as one of floats (numba 0.68, measured).
    hopeless = np.int32(max(0.0, np.sqrt(bound * shortest) * (1.0 - 1e-9) - 1.0))
    for k in range(start, stop):
        other = kept[k]
        whole = dot(mine, vectors[other])
        if whole <= hopeless:
            continue
        product = np.float64(whole)
        if product * product >= bound * np.float64(squares[other]):
            return k
    return -1


@compiled
def _shortest(squares: Any, rows: Any) -> Any:
    """The least squared length of `rows` that is not 0; 0 where all are."""
    shortest = np.float64(0.0)
    for row in rows:
        square = np.float64(squares[row])
        if square > 0.0 and (shortest == 0.0 or square < shortest):
            shortest = square
    return shortest
