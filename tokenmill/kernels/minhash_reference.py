"""A MinHash signature in plain Python: the definition that minhash.py is tested against."""

from tokenmill.kernels.minhash import NOTHING, Unit, coefficients
from tokenmill.kernels.minhash_characters_reference import character_shingles_of
from tokenmill.kernels.minhash_shingles_reference import shingles_of

SHINGLES = {"words": shingles_of, "characters": character_shingles_of}


def signature_of(text: str | None, hashes: int, length: int, seed: int, unit: Unit = "words") -> tuple[list[int], int]:
    """(the smallest a * x + b modulo 2^32 over the low halves x of all shingles, for each (a, b); shingles)."""
    shingles = SHINGLES[unit](text or "", length)
    multipliers, increments = coefficients(hashes, seed)
    functions = [(int(a), int(b)) for a, b in zip(multipliers, increments, strict=True)]
    return [min(((a * x + b) % 2**32 for x in shingles), default=NOTHING) for a, b in functions], len(shingles)
