"""The walk of greedy_keepers.py in plain Python: the definition that both its halves together are tested against."""

from collections import defaultdict
from collections.abc import Callable, Sequence


def greedy_keepers_reference(
    signatures: Sequence[Sequence[int]],
    order: Sequence[int],
    stays: set[int],
    bands: int,
    pair: Callable[[int, int], float | None],
) -> dict[int, tuple[int, float, int]]:
    """{removed row: (its keeper, similarity, the first band that they share)}.

    `pair` gives the similarity of two rows if they are a pair, else None. No cap. `stays` are never removed.
    """
    kept: defaultdict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)  # ranks by band, ascending
    removed: dict[int, tuple[int, float, int]] = {}
    for rank, row in enumerate(order):
        width = len(signatures[row]) // bands
        mine = [(band, tuple(signatures[row][band * width : (band + 1) * width])) for band in range(bands)]
        if row not in stays:
            for other in sorted({other for key in mine for other in kept[key]}):
                similarity = pair(row, order[other])
                if similarity is not None:
                    band = next(band for band, places in mine if other in kept[band, places])
                    removed[row] = (order[other], similarity, band)
                    break
        if row not in removed:
            for key in mine:
                kept[key].append(rank)
    return removed


def jaccard_reference(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0
