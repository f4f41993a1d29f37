"""Sets of shingles in plain Python: the definition that shingle_sets.py is tested against."""

from tokenmill.kernels.minhash import Unit
from tokenmill.kernels.minhash_reference import SHINGLES


def shingle_set_of(text: str | None, length: int, unit: Unit) -> list[int]:
    """Ascending."""
    return sorted(set(SHINGLES[unit](text or "", length)))
