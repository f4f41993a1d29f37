"""The hash of a text's words in plain Python; normalised_hash.py must give the same."""

import unicodedata

import pyarrow as pa

from tokenmill.kernels.hashing import hash128
from tokenmill.kernels.minhash_shingles_reference import words_of
from tokenmill.kernels.normalised_hash import SALT


def normalised_hash(text: str | None) -> bytes | None:
    if text is None:
        return None
    words = words_of(unicodedata.normalize("NFC", text))
    hashed: bytes = hash128(pa.array([" ".join(words) if words else text]), SALT)[0].as_py()
    return hashed
