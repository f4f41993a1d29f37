"""The table is the library's, for every code point."""

import io

import numpy as np
import pytest
from unicode_by_library import found_by_library

from tokenmill.kernels import unicode_categories
from tokenmill.kernels.unicode_categories import CATEGORIES, CATEGORY_NAMES, WHITE_SPACE, generate


@pytest.mark.parametrize(("pattern", "names"), [(r"\p{L}", "Lu Ll Lt Lm Lo"), (r"\p{P}", "Pc Pd Ps Pe Pi Pf Po")])
def test_letters_and_punctuation_are_what_the_library_finds(pattern, names):
    numbers = [CATEGORY_NAMES.index(name) for name in names.split()]
    assert np.array_equal(found_by_library(pattern), np.isin(CATEGORIES, numbers))


@pytest.mark.slow
def test_all_of_it_is_what_the_library_finds():
    made = io.BytesIO()
    generate(made, found_by_library)
    again = np.load(io.BytesIO(made.getvalue()), allow_pickle=False)
    with np.load(unicode_categories.DATA, allow_pickle=False) as kept:
        assert sorted(kept.files) == sorted(again.files)
        for name in kept.files:
            assert (kept[name] == again[name]).all(), name


def test_some_code_points_by_hand():
    names = [CATEGORY_NAMES[CATEGORIES[ord(c)]] for c in "aAǅʰ中\u03011Ⅷ½_-()«».+$^©\u00a0\u2028\n\u200d"]
    assert names == [
        *("Ll", "Lu", "Lt", "Lm", "Lo", "Mn", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
        *("Sm", "Sc", "Sk", "So", "Zs", "Zl", "Cc", "Cf"),
    ]
    assert [chr(c) for c in np.flatnonzero(WHITE_SPACE)][:8] == [*"\t\n\v\f\r ", "\x85", "\u00a0"]
