"""Tokens are what their definition says, in every script, and never end inside a character."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.substring_units import KINDS, read_units
from tokenmill.kernels.substring_units_reference import tokens_of, units_of

PIECES = [
    *("a", "Z", "9", "_", "-", " ", "\n", "\0", "\x7f", "\x80", "\x85", "\u00a0", "\u3000", "\u200d"),
    *("abcdefg", "ABCDEFGH", "abcdefghi", "é", "e\u0301", "\u0301", "\ufe0f", "😀", "中", "文", "か", "が", "カ"),
    *("ー", "ก", "ำ", "่", "ລ", "ក", "្", "မ", "ြ", "한국", "٣", "𐐀", "𠀀"),
]
TEXT = st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def units(text: str | bytes, bytewise: bool = False, block: int = 1000, before: str = "", behind: str = "") -> list:
    """(hash, begin, end) by the kernel, out of the middle of a buffer, `block` at a time."""
    middle = text.encode() if isinstance(text, str) else text
    data, _ = data_and_offsets(pa.array([before.encode() + middle + behind.encode()], pa.large_binary()))
    at = shift = len(before.encode())
    stop = at + len(middle)
    hashes, starts, stops = np.empty(block, np.uint64), np.empty(block, np.int64), np.empty(block, np.int64)
    found = []
    while at < stop:
        n, at = read_units(data, at, stop, KINDS, bytewise, 0, hashes, starts, stops)
        found += [(int(hashes[k]), int(starts[k]) - shift, int(stops[k]) - shift) for k in range(n)]
    return found


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(TEXT, st.booleans(), st.integers(1, 5), st.sampled_from(["", "x", "é "]), st.sampled_from(["", "y", "ü, end"]))
def test_equals_the_plain_definition(text: str, bytewise: bool, block: int, before: str, behind: str) -> None:
    assert units(text, bytewise, block, before, behind) == units_of(text, bytewise)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("Don't stop", ["Don", "'", "t", "stop"], id="an apostrophe is a token of its own"),
        pytest.param("x=3.14;", ["x", "=", "3", ".", "14", ";"], id="code"),
        pytest.param("...", [".", ".", "."], id="each punctuation mark"),
        pytest.param("日本語 text", ["日", "本", "語", "text"], id="Han by the character"),
        pytest.param("iPhone版", ["iPhone", "版"], id="Latin beside Han"),
        pytest.param("カタカナー", ["カ", "タ", "カ", "ナ", "ー"], id="Katakana with its long mark"),
        pytest.param("น้ำ", ["น้", "ำ"], id="Thai with its tone mark"),
        pytest.param("က္ကို", ["က္", "ကို"], id="Myanmar with its marks"),
        pytest.param("한국어 단어", ["한국어", "단어"], id="Hangul has spaces"),
        pytest.param("हिन्दी में", ["हिन्दी", "में"], id="Devanagari has spaces"),
        pytest.param("❤\ufe0f!", ["❤\ufe0f", "!"], id="emoji with its variation selector"),
        pytest.param("e\u0301a b", ["e\u0301a", "b"], id="a mark inside a word"),
        pytest.param(" \n\u00a0\u3000", [], id="white space alone"),
        pytest.param("", [], id="empty"),
    ],
)
def test_what_a_token_is(text: str, tokens: list[str]) -> None:
    data = text.encode()
    assert [data[begin:end].decode() for _, begin, end in units(text)] == tokens
    assert [data[begin:end].decode() for begin, end in tokens_of(text)] == tokens


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40), st.integers(1, 3))
def test_broken_utf8_is_cut_into_tokens_that_ascend_and_stay_inside(data: bytes, block: int) -> None:
    found = units(data, block=block, behind="\u0301\u0301")
    places = [place for _, begin, end in found for place in (begin, end)]
    assert places == sorted(places)
    assert all(0 <= begin < end <= len(data) for _, begin, end in found)
    assert units(data) == found, "what lies behind the text is never looked at"


def test_a_word_of_100_kb_is_one_token() -> None:
    word = "ab" * 50_000 + "é" * 10
    assert units(word + " b") == units_of(word + " b", bytewise=False)
    assert len(units(word)) == 1
