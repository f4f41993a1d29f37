"""What a code point is to the measuring kernels, and how they read it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels import text_measures_flags as f
from tokenmill.kernels.text_measures_utf8 import code_point

FLAGS = f.flags()
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def those_with(bit: int) -> set[str]:
    return {c for c in CHARACTERS if FLAGS[ord(c)] & bit}


def test_space_is_what_python_strips_and_splits_at() -> None:
    assert those_with(f.SPACE) == {c for c in CHARACTERS if c.isspace()}


def test_breaks_are_where_splitlines_cuts() -> None:
    assert those_with(f.BREAK) == {c for c in CHARACTERS if len(f"a{c}b".splitlines()) == 2}


def test_joiners_are_the_symbols_of_ascii() -> None:
    assert those_with(f.JOINER) == set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


@pytest.mark.parametrize("character", [*"aZ0é中٣€©•😀", "\u0301", "\u200b"])
def test_content_makes_a_word(character: str) -> None:
    assert FLAGS[ord(character)] & f.CONTENT


@pytest.mark.parametrize("character", [*".,!?#$…’“—。１ \n", "\x00", "\x9f", "\u061f"])
def test_punctuation_controls_and_space_do_not(character: str) -> None:
    assert not FLAGS[ord(character)] & f.CONTENT


@settings(deadline=None)  # the first call compiles
@given(st.text(max_size=20))
def test_reading_valid_bytes_gives_the_text(text: str) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    found, p = [], 0
    while p < len(data):
        c, width = code_point(data, p, len(data))
        found.append(chr(c))
        p += width
    assert "".join(found) == text


@settings(deadline=None)  # the first call compiles
@given(st.binary(min_size=1, max_size=12))
def test_reading_any_bytes_stays_within_them(content: bytes) -> None:
    data = np.frombuffer(content, np.uint8)
    p = 0
    while p < len(data):
        c, width = code_point(data, p, len(data))
        assert 0 <= c < 0x110000
        assert 1 <= width <= len(data) - p
        p += width
