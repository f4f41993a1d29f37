"""kmeans.py in plain Python, operation for operation: equal to the last bit, because both are IEEE 754 doubles."""

import math
from collections.abc import Sequence

Vector = Sequence[int]
_MASK = (1 << 64) - 1


def kmeans_reference(vectors: Sequence[Vector], clusters: int, iterations: int, seed: int) -> list[list[int]]:
    vectors = [v for v in vectors if any(v)]
    inverse = [1.0 / math.sqrt(float(_dot(v, v))) for v in vectors]
    centroids = [list(vectors[i]) for i in _spread(vectors, inverse, min(clusters, len(vectors)), seed & _MASK)]
    before: list[int] = []
    for _ in range(iterations):
        nearest = [first for (first,) in nearest_reference(vectors, centroids, 1)]
        if nearest == before:
            break
        before = nearest
        for c, centroid in enumerate(centroids):
            sums = [0.0] * len(centroid)
            for vector, length, cluster in zip(vectors, inverse, nearest, strict=True):
                if cluster == c:
                    sums = [s + float(x) * length for s, x in zip(sums, vector, strict=True)]
            largest = max(map(abs, sums))
            if largest > 0:
                centroids[c] = [round(s * (127.0 / largest)) for s in sums]
    return centroids


def nearest_reference(vectors: Sequence[Vector], centroids: Sequence[Vector], at_most: int) -> list[list[int]]:
    inverse = [1.0 / math.sqrt(float(_dot(c, c))) if any(c) else 0.0 for c in centroids]

    def far(vector: Vector, c: int) -> float:
        return -(float(_dot(vector, centroids[c])) * inverse[c])

    return [sorted(range(len(centroids)), key=lambda c: (far(v, c), c))[:at_most] for v in vectors]


def _spread(vectors: Sequence[Vector], inverse: Sequence[float], clusters: int, state: int) -> list[int]:
    chosen: list[int] = []
    distance = [1.0] * len(vectors)
    while len(chosen) < clusters and (total := _sum(distance)) > 0:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        target = _uniform(state) * total
        pick, reached = -1, 0.0
        for i, apart in enumerate(distance):
            if apart > 0:
                pick = i
                reached += apart
                if reached > target:
                    break
        for i, vector in enumerate(vectors):
            apart = 1.0 - float(_dot(vector, vectors[pick])) * inverse[i] * inverse[pick]
            apart = 0.0 if apart < 1e-9 else apart
            distance[i] = min(distance[i], apart) if chosen else apart
        distance[pick] = 0.0
        chosen.append(pick)
    return chosen


def _sum(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:  # not sum(): it has compensated for rounding since Python 3.12
        total += value
    return total


def _uniform(state: int) -> float:
    z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return float((z ^ z >> 31) >> 11) * 2.0**-53


def _dot(a: Vector, b: Vector) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))
