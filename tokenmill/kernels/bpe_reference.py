"""The plain way from text to ids, for tests: Automaton.end for every piece, and merges by their definition."""

from collections.abc import Mapping, Sequence


def merged(piece: bytes, byte_ids: Sequence[int], merges: Mapping[tuple[int, int], tuple[int, int]]) -> list[int]:
    """merges: (left, right) -> (rank, id). The pair of the lowest rank, the leftmost of them, until there is none."""
    ids = [byte_ids[byte] for byte in piece]
    while True:
        found = [(merges[pair][0], at) for at, pair in enumerate(zip(ids, ids[1:], strict=False)) if pair in merges]
        if not found:
            return ids
        _, at = min(found)
        ids[at : at + 2] = [merges[ids[at], ids[at + 1]][1]]
