"""The walk of cosine_keepers.py in plain Python: the definition it is tested against."""

import math
from collections.abc import Sequence


def cosine_keepers_reference(
    vectors: Sequence[Sequence[int]],
    clusters: Sequence[Sequence[int]],
    cosine_at_least: float,
    comparisons_at_most: int,
) -> tuple[dict[int, tuple[int, float]], dict[str, int]]:
    """({removed row: (its keeper, their cosine)}, counts). `clusters` hold rows, most preferred first."""
    removed: dict[int, tuple[int, float]] = {}
    counts = {"compared": 0, "verified": 0, "unverified": 0}
    for rows in clusters:
        kept: list[int] = []
        for row in rows:
            for place, other in enumerate(kept):
                if place == comparisons_at_most:
                    counts["unverified"] += len(kept) - place
                    break
                counts["compared"] += 1
                if paired(vectors[row], vectors[other], cosine_at_least):
                    counts["verified"] += 1
                    removed[row] = other, cosine(vectors[row], vectors[other])
                    break
            if row not in removed:
                kept.append(row)
    return removed, counts


def paired(a: Sequence[int], b: Sequence[int], cosine_at_least: float) -> bool:
    product = _dot(a, b)
    bound = cosine_at_least * cosine_at_least * float(_dot(a, a))
    return product > 0 and float(product) * float(product) >= bound * float(_dot(b, b))


def cosine(a: Sequence[int], b: Sequence[int]) -> float:
    return min(1.0, _dot(a, b) / math.sqrt(float(_dot(a, a)) * float(_dot(b, b))))


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))
