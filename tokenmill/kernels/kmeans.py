"""Spherical k-means of int8 vectors that gives the same centroids on every machine.

Dot products are exact integers. What is left to floats is elementwise (one product, one root, one division, each
rounded as IEEE 754 says) or a sum over the rows in their order on one thread: no library's blocking, thread count or
vector width decides a bit. Centroids are int8 vectors too (int8_vectors.py), so that whoever assigns a vector to its
nearest centroid agrees on which that is. A centroid only divides the work: its own rounding moves a border, no cosine.

Sources: Dhillon and Modha 2001, "Concept decompositions for large sparse text data using clustering" (spherical
k-means); Arthur and Vassilvitskii 2007, "k-means++"; SplitMix64 as in minhash.py.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.int8_vectors import Int8, check_vectors, dot, inverse_lengths, quantised

SAME = 1e-9  # 1 - cosine below this is rounding: one byte that differs by one makes 8e-8 at 384 dimensions


def kmeans(vectors: Int8, clusters: int, iterations: int, seed: int) -> Int8:
    """Centroids int8[k, d]: k is `clusters`, or fewer where there are not as many directions. No zero vector is one.

    The order of the vectors counts, so give them in one that nothing but their own nature decides. Stops early when
    no vector changes its cluster. Cost: (iterations + 1) * n * k * d multiply-adds, 50 a ns on one core.
    Raises ValueError on shapes that do not fit or numbers below 1.
    """
    check_vectors(vectors)
    if clusters < 1 or iterations < 1:
        raise ValueError(f"clusters={clusters}, iterations={iterations}; want at least 1 of each")
    inverse = inverse_lengths(vectors)
    vectors, inverse = vectors[inverse > 0], inverse[inverse > 0]
    centroids: Int8 = vectors[_spread(vectors, inverse, min(clusters, len(vectors)), np.uint64(seed % (1 << 64)))]
    if not len(vectors):
        return centroids
    before = np.full(len(vectors), -1, np.int32)
    for _ in range(iterations):
        nearest = nearest_centroids(vectors, centroids)[:, 0]
        if (nearest == before).all():
            break
        sums = np.zeros(centroids.shape, np.float64)
        _add_up(vectors, inverse, nearest, sums)
        moved = quantised(sums)
        # A cluster that lost all its members, or whose members cancel out, stays where it was.
        stays = ~moved.any(axis=1)
        moved[stays] = centroids[stays]
        centroids, before = moved, nearest
    return centroids


def nearest_centroids(vectors: Int8, centroids: Int8, at_most: int = 1) -> npt.NDArray[np.int32]:
    """int32[n, min(at_most, k)]: the centroids of greatest cosine, the nearest first, of equal ones the first.

    Cost: n * k * d multiply-adds. Raises ValueError on shapes that do not fit, or if there are vectors and no centroid.
    """
    check_vectors(vectors)
    check_vectors(centroids)
    if at_most < 1:
        raise ValueError(f"at_most={at_most}, want at least 1")
    if len(vectors) and (not len(centroids) or vectors.shape[1] != centroids.shape[1]):
        raise ValueError(f"vectors are {vectors.shape}, centroids {centroids.shape}; want [n, d] and [1 or more, d]")
    nearest = np.zeros((len(vectors), min(at_most, len(centroids))), np.int32)
    _nearest(vectors, centroids, inverse_lengths(centroids), nearest)
    return nearest


@compiled
def _spread(vectors: Any, inverse: Any, clusters: Any, state: Any) -> Any:
    """k-means++: the first by chance, each next one with odds in proportion to 1 - cosine to the nearest so far."""
    n = len(vectors)
    chosen = np.empty(clusters, np.int64)
    distance = np.full(n, 1.0)
    used = 0
    while used < clusters:
        total = 0.0
        for i in range(n):
            total += distance[i]
        if total == 0.0:
            break
        state += np.uint64(0x9E3779B97F4A7C15)
        target = _uniform(state) * total
        pick, reached = -1, 0.0
        for i in range(n):
            if distance[i] > 0.0:
                pick = i
                reached += distance[i]
                if reached > target:
                    break
        chosen[used] = pick
        used += 1
        for i in range(n):
            apart = 1.0 - np.float64(dot(vectors[i], vectors[pick])) * inverse[i] * inverse[pick]
            if apart < SAME:
                apart = 0.0
            distance[i] = apart if used == 1 else min(distance[i], apart)
        distance[pick] = 0.0
    return chosen[:used]


@njit(inline="always")
def _uniform(state: Any) -> Any:
    """[0, 1) in steps of 2^-53, from a state of SplitMix64."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@compiled
def _nearest(vectors: Any, centroids: Any, inverse: Any, nearest: Any) -> None:
    few = nearest.shape[1]
    best = np.empty(few, np.float64)
    for i in range(len(vectors)):
        best[:] = -np.inf
        for c in range(len(centroids)):
            closeness = np.float64(dot(vectors[i], centroids[c])) * inverse[c]
            if closeness > best[few - 1]:
                place = few - 1
                while place > 0 and closeness > best[place - 1]:
                    best[place], nearest[i, place] = best[place - 1], nearest[i, place - 1]
                    place -= 1
                best[place], nearest[i, place] = closeness, c


@compiled
def _add_up(vectors: Any, inverse: Any, nearest: Any, sums: Any) -> None:
    """Each cluster's sum of unit vectors, members in their order."""
    for i in range(len(vectors)):
        total = sums[nearest[i]]
        for k in range(vectors.shape[1]):
            total[k] += np.float64(vectors[i, k]) * inverse[i]
