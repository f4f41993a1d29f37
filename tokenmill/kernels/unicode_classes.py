"""What every Unicode code point is, from a pinned table: letter, mark, number, symbol, white space, case.

The table is Unicode 14.0.0, whatever Python runs: `str.isalpha` and its kin follow the interpreter's own
version, and two workers with two Pythons would count different words. `unicode_classes.npz` beside this file
holds it as runs; `generate` makes it again from an interpreter whose `unicodedata` has that version.

A word, for every measure and shingle of ours, is a maximal run of code points of WORD.
Numba freezes global arrays into each compiled function, so pass CLASSES and LOWER to kernels as arguments.
"""

import unicodedata
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

UNICODE_VERSION = "14.0.0"  # of Python 3.11
CODE_POINTS = 0x110000

# Bits of a class. At most one of the first five is set; a code point with none is a control, format,
# private, unassigned or surrogate one.
LETTER = 1  # general category L*
MARK = 2  # M*
NUMBER = 4  # N*
SYMBOL = 8  # P* and S*: punctuation, currency, mathematics, emoji
SPACE = 16  # the property White_Space: Z*, and nine to thirteen and 0x85 among the controls
DIGIT = 32  # Nd: decimal digits of any script, beside NUMBER
UPPERCASE = 64  # Lu and Lt, beside LETTER
LOWERCASE = 128  # Ll, beside LETTER
WORD = LETTER | MARK | NUMBER

_DATA = Path(__file__).with_suffix(".npz")
_CONTROL_SPACES = frozenset("\t\n\v\f\r\x85")
_KINDS = {"L": LETTER, "M": MARK, "N": NUMBER, "P": SYMBOL, "S": SYMBOL, "Z": SPACE}
_EXTRAS = {"Nd": DIGIT, "Lu": UPPERCASE, "Lt": UPPERCASE, "Ll": LOWERCASE}


def class_of(character: str) -> int:
    """The bits of one character, by the `unicodedata` of this interpreter. The slow definition of CLASSES."""
    if character in _CONTROL_SPACES:
        return SPACE
    category = unicodedata.category(character)
    return _KINDS.get(category[0], 0) | _EXTRAS.get(category, 0)


def lower_of(character: str) -> int:
    """Its simple lower-case mapping, one code point for one, by this interpreter. The slow definition of LOWER.

    Differs from `str.lower` in U+0130 alone (capital I with dot), whose full mapping has two code points;
    the first of them is its simple one.
    """
    return ord(character.lower()[0])


def generate(file: BinaryIO) -> None:
    """Write the table as `unicode_classes.npz` holds it. Raises ValueError under another Unicode version."""
    if unicodedata.unidata_version != UNICODE_VERSION:
        raise ValueError(f"unicodedata is {unicodedata.unidata_version}, want {UNICODE_VERSION}; run Python 3.11")
    classes = np.array([class_of(chr(c)) for c in range(CODE_POINTS)], np.uint8)
    lower = np.array([lower_of(chr(c)) for c in range(CODE_POINTS)], np.int32)
    starts = np.flatnonzero(np.diff(classes, prepend=classes[0] ^ np.uint8(1))).astype(np.int32)
    changed = np.flatnonzero(lower != np.arange(CODE_POINTS)).astype(np.int32)
    np.savez_compressed(file, starts=starts, classes=classes[starts], upper=changed, lower=lower[changed])


def _load() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    with np.load(_DATA, allow_pickle=False) as table:
        classes = np.repeat(table["classes"], np.diff(table["starts"], append=CODE_POINTS))
        lower = np.arange(CODE_POINTS, dtype=np.int32)
        lower[table["upper"]] = table["lower"]
    classes.flags.writeable = lower.flags.writeable = False
    return classes, lower


CLASSES, LOWER = _load()  # uint8[0x110000] of the bits above; int32[0x110000] of code points, itself where caseless
