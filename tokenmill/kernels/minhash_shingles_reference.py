"""The definition of words and shingles in plain Python; minhash_shingles.py must give the same."""

from tokenmill.kernels.minhash_shingles import BASE, K1, K2
from tokenmill.kernels.unicode_classes import CLASSES, LOWER, WORD

_MODULUS = 1 << 64


def words_of(text: str) -> list[str]:
    words = [""]
    for character in text:
        if CLASSES[ord(character)] & WORD:
            words[-1] += chr(LOWER[ord(character)])
        elif words[-1]:
            words.append("")
    return [word for word in words if word]


def word_hash(word: str) -> int:
    h = 0
    data = word.encode()
    for at in range(0, len(data), 8):
        h = (h ^ int.from_bytes(data[at : at + 8], "little")) * K1 % _MODULUS
        h ^= h >> 32
    return h


def shingles_of(text: str, words: int) -> list[int]:
    """Finished hashes of all shingles, in order, repeats included."""
    hashes = [word_hash(word) for word in words_of(text)]
    return [finished(polynomial(hashes[i : i + words])) for i in range(len(hashes) - words + 1)]


def polynomial(values: list[int]) -> int:
    total = 0
    for value in values:
        total = (total * BASE + value) % _MODULUS
    return total


def finished(x: int) -> int:
    for _ in range(2):
        x = (x ^ x >> 32) * K2 % _MODULUS
    return x ^ x >> 32
