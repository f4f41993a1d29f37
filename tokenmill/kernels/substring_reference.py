"""Repeated stretches in plain Python, by the definitions: windows, anchors, first occurrences, what is removed.

The kernels substring_*.py and the step made of them must give the same.
"""

from collections.abc import Sequence

from tokenmill.kernels.minhash_shingles_reference import finished, polynomial
from tokenmill.kernels.substring_windows import BASE_OF_PRIME, PRIME
from tokenmill.kernels.substring_winnow import gram_of


def anchors_of(hashes: Sequence[int], length: int) -> list[tuple[int, int]]:
    """(place, hash) of the anchor of every window, in order."""
    gram = gram_of(length)
    grams = [finished(polynomial(list(hashes[i : i + gram]))) for i in range(len(hashes) - gram + 1)]
    found = []
    for window in range(len(hashes) - length + 1):
        place = min(range(window, window + length - gram + 1), key=lambda p: (grams[p], p))
        found.append((place, grams[place]))
    return found


def window_hash(hashes: Sequence[int]) -> int:
    other = 0
    for value in hashes:
        other = (other * BASE_OF_PRIME + (finished(value) >> 3)) % PRIME
    return finished((polynomial(list(hashes)) + finished(other)) % (1 << 64))


def first_occurrences(texts: Sequence[Sequence[int]], length: int) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Of every window (text, place) that occurs earlier: (text, place) of the first, and how often it occurs.

    `texts` are sequences of units, the most preferred text first.
    """
    places: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for number, units in enumerate(texts):
        for place in range(len(units) - length + 1):
            places.setdefault(tuple(units[place : place + length]), []).append((number, place))
    return {other: (*equal[0], len(equal)) for equal in places.values() for other in equal[1:]}


def removed_units(texts: Sequence[Sequence[int]], length: int) -> list[set[int]]:
    """The places that leave each text: those of its later windows, without the first occurrence where that overlaps."""
    removed: list[set[int]] = [set() for _ in texts]
    for (number, place), (first_number, first, _) in first_occurrences(texts, length).items():
        stays = range(first, first + length) if first_number == number else range(0)
        removed[number].update(set(range(place, place + length)) - set(stays))
    return removed
