"""The general category of every code point, as the libraries have it whose split patterns we follow.

Not the table of unicode_classes.py, which is an older Unicode's and defines our own words: a tokenizer's pieces are
those of the version that its library has. `unicode_categories.npz` holds it as runs; `generate` asks Hugging Face
`tokenizers` for it, and a test asks again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

CODE_POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)  # in no text
CATEGORY_NAMES = (
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn"),
)
DATA = Path(__file__).with_suffix(".npz")


def generate(file: BinaryIO, found: Callable[[str], NDArray[np.bool_]]) -> None:
    """Write the table as `unicode_categories.npz` holds it. `found`: the code points that a library's pattern finds.

    Raises ValueError for a code point of two categories.
    """
    categories = np.full(CODE_POINTS, CATEGORY_NAMES.index("Cn"), np.uint8)
    for number, name in enumerate(CATEGORY_NAMES[:-1]):
        has = found(rf"\p{{{name}}}")
        if (categories[has] != CATEGORY_NAMES.index("Cn")).any():
            raise ValueError(f"code points of {name} have another category too")
        categories[has] = number
    np.savez_compressed(file, **_runs("category", categories), **_runs("space", found(r"\s").view(np.uint8)))


def _runs(name: str, values: NDArray[np.uint8]) -> dict[str, Any]:
    starts = np.flatnonzero(np.diff(values, prepend=values[0] ^ np.uint8(1))).astype(np.int32)
    return {f"{name}_starts": starts, f"{name}_values": values[starts]}


def _load() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    with np.load(DATA, allow_pickle=False) as table:
        categories, spaces = (
            np.repeat(table[f"{name}_values"], np.diff(table[f"{name}_starts"], append=CODE_POINTS))
            for name in ("category", "space")
        )
    whites = spaces.view(np.bool_)
    categories.flags.writeable = whites.flags.writeable = False
    return categories, whites


CATEGORIES, WHITE_SPACE = _load()  # numbers of CATEGORY_NAMES, and whether `\s` finds it; [CODE_POINTS] each
