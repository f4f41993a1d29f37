"""Which code points a pattern finds, as Hugging Face `tokenizers` has it; run it to write the table again that we ship.

python tests/unicode_by_library.py
"""

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from tokenmill.kernels import unicode_categories

POINTS = np.array([c for c in range(unicode_categories.CODE_POINTS) if c not in unicode_categories.SURROGATES])
TEXT = "".join(map(chr, POINTS))


def found_by_library(pattern: str) -> NDArray[np.bool_]:
    """[CODE_POINTS]"""
    found = np.zeros(unicode_categories.CODE_POINTS, np.bool_)
    found[POINTS] = True
    for _, (start, stop) in Split(Regex(pattern), "removed").pre_tokenize_str(TEXT):
        found[POINTS[start:stop]] = False
    return found


if __name__ == "__main__":
    with unicode_categories.DATA.open("wb") as file:
        unicode_categories.generate(file, found_by_library)
