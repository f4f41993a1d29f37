"""The definition of characters and their shingles in plain Python; minhash_characters.py must give the same."""

from tokenmill.kernels.minhash_shingles import K1
from tokenmill.kernels.minhash_shingles_reference import finished, polynomial
from tokenmill.kernels.unicode_classes import CLASSES, LOWER, SPACE


def characters_of(text: str) -> str:
    folded = [chr(LOWER[ord(c)]) if not CLASSES[ord(c)] & SPACE else " " for c in text]
    return " ".join(part for part in "".join(folded).split(" ") if part)


def character_hash(character: str) -> int:
    h = ord(character) * K1 % (1 << 64)
    return h ^ h >> 32


def character_shingles_of(text: str, length: int) -> list[int]:
    """Finished hashes of all shingles, in order, repeats included."""
    hashes = [character_hash(character) for character in characters_of(text)]
    return [finished(polynomial(hashes[i : i + length])) for i in range(len(hashes) - length + 1)]
