"""What leaves one text, byte by byte, in plain Python; substring_union.py must give the same."""

from collections.abc import Sequence


def union_reference(stretches: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """The spans of one text from its stretches; each is (first text, start, stop, occurrences)."""
    owner: dict[int, int] = {}
    for first, start, stop, _ in sorted(stretches, key=lambda s: s[1:3]):
        for byte in range(start, stop):
            owner.setdefault(byte, first)
    spans: list[tuple[int, int, int]] = []
    for byte in sorted(owner):
        if spans and spans[-1][0] == owner[byte] and spans[-1][2] == byte:
            spans[-1] = (owner[byte], spans[-1][1], byte + 1)
        else:
            spans.append((owner[byte], byte, byte + 1))
    return [
        (first, begin, end, max(times for _, start, stop, times in stretches if start < end and stop > begin))
        for first, begin, end in spans
    ]
