"""The walk of greedy_keepers.py in plain Python: the definition it is tested against."""

from collections import defaultdict
from collections.abc import Sequence


def greedy_keepers_reference(
    signatures: Sequence[Sequence[int]],
    order: Sequence[int],
    bands: int,
    equal_at_least: int,
    comparisons_at_most: int,
) -> tuple[dict[int, tuple[int, int]], dict[str, int]]:
    """({removed row: (its keeper, equal hashes)}, counts)."""
    buckets: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)  # of kept ranks, ascending
    removed: dict[int, tuple[int, int]] = {}
    counts = {"compared": 0, "verified": 0, "unverified": 0}
    for rank, row in enumerate(order):
        signature = signatures[row]
        rows = len(signature) // bands
        mine = [(band, tuple(signature[band * rows : (band + 1) * rows])) for band in range(bands)]
        met: set[int] = set()
        best: int | None = None
        for key in mine:
            for place, other in enumerate(buckets[key]):
                if best is not None and other >= best:
                    break
                if other in met:
                    continue
                if len(met) == comparisons_at_most:
                    counts["unverified"] += len(buckets[key]) - place
                    break
                met.add(other)
                equal = sum(a == b for a, b in zip(signature, signatures[order[other]], strict=True))
                if equal >= equal_at_least:
                    counts["verified"] += 1
                    best = other
                    removed[row] = (order[other], equal)
                    break
        counts["compared"] += len(met)
        if best is None:
            for key in mine:
                buckets[key].append(rank)
    return removed, counts
