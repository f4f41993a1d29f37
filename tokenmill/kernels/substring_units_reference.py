"""The definition of tokens and their hashes in plain Python; substring_units.py must give the same."""

from tokenmill.kernels.minhash_shingles import K1
from tokenmill.kernels.minhash_shingles_reference import finished
from tokenmill.kernels.substring_units import SPACELESS
from tokenmill.kernels.unicode_classes import CLASSES, LETTER, MARK, NUMBER, SPACE


def tokens_of(text: str) -> list[tuple[int, int]]:
    """(begin, end) of every token, in bytes of the UTF-8."""
    found: list[tuple[int, int]] = []
    at = 0
    before = ""  # what the last character was: nothing, a word, or a token that only marks can lengthen
    for character in text:
        end = at + len(character.encode())
        bits = int(CLASSES[ord(character)])
        alone = any(first <= ord(character) <= last for first, last in SPACELESS)
        if bits & SPACE:
            before = ""
        elif (bits & MARK and before) or (bits & (LETTER | NUMBER) and not alone and before == "word"):
            found[-1] = (found[-1][0], end)
        else:
            found.append((at, end))
            before = "word" if bits & MARK or (bits & (LETTER | NUMBER) and not alone) else "token"
        at = end
    return found


def token_hash(token: bytes) -> int:
    h = 0
    for at in range(0, len(token), 8):
        h = (h ^ int.from_bytes(token[at : at + 8], "little")) * K1 % (1 << 64)
        h ^= h >> 32
    return finished(h)


def units_of(text: str, bytewise: bool) -> list[tuple[int, int, int]]:
    """(hash, begin, end) of every unit."""
    data = text.encode()
    if bytewise:
        return [(finished(byte + 1), at, at + 1) for at, byte in enumerate(data)]
    return [(token_hash(data[begin:end]), begin, end) for begin, end in tokens_of(text)]
