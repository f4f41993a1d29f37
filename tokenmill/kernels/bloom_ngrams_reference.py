"""The filter of first owners in plain Python; bloom_ngrams.py must give the same."""

from collections import Counter
from collections.abc import Sequence

from tokenmill.kernels.bloom_ngrams import NOBODY
from tokenmill.kernels.minhash_shingles_reference import finished, polynomial
from tokenmill.kernels.substring_units_reference import units_of

_MODULUS = 1 << 64


def paragraphs_of(text: str, tokens: int, one_in: int = 1) -> list[tuple[int, int, list[int]]]:
    """(start, stop, hashes of the n-grams) of every line that has n-grams of the sample."""
    found, at = [], 0
    for line in text.split("\n"):
        units = units_of(line, bytewise=False)
        hashes = [h for h, _, _ in units]
        ngrams = [finished(polynomial(hashes[i : i + tokens])) for i in range(len(hashes) - tokens + 1)]
        ngrams = [h for h in ngrams if h % one_in == 0]
        if ngrams:
            found.append((at + units[0][1], at + units[-1][2], ngrams))
        at += len(line.encode()) + 1
    return found


def cells_of_ngram(ngram: int, hashes: int, bits: int) -> list[int]:
    step = finished(ngram) | 1
    return [(ngram + j * step) % _MODULUS >> (64 - bits) for j in range(hashes)]


def filled(
    texts: Sequence[str | None], ranks: Sequence[int], tokens: int, hashes: int, bits: int, one_in: int = 1
) -> list[int]:
    owners = [NOBODY] * (1 << bits)
    for text, rank in zip(texts, ranks, strict=True):
        for _, _, ngrams in paragraphs_of(text or "", tokens, one_in):
            for cell in (cell for ngram in ngrams for cell in cells_of_ngram(ngram, hashes, bits)):
                owners[cell] = min(owners[cell], rank)
    return owners


def seen_in(
    text: str, rank: int, tokens: int, hashes: int, owners: Sequence[int], one_in: int = 1
) -> list[tuple[int, int, int, int, int]]:
    """(start, stop, n-grams, seen before, rank of their first text) of every paragraph."""
    bits = len(owners).bit_length() - 1
    found = []
    for start, stop, ngrams in paragraphs_of(text, tokens, one_in):
        firsts = [max(owners[cell] for cell in cells_of_ngram(ngram, hashes, bits)) for ngram in ngrams]
        before = Counter(first for first in firsts if first < rank)
        most = min(before, key=lambda first: (-before[first], first), default=NOBODY)
        found.append((start, stop, len(ngrams), before.total(), most))
    return found
