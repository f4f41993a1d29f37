"""Words and shingles from UTF-8 bytes, eight at a time, are those of the plain definition."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash_shingles import code_point, finish, new_state, next_shingles
from tokenmill.kernels.minhash_shingles_reference import shingles_of, word_hash, words_of
from tokenmill.kernels.unicode_classes import CLASSES, LOWER, WORD

# Around every edge of the fast path: words of 7..9 and 15..17 bytes, ASCII beside what is not, case that changes width.
PIECES = [
    *("a", "Z", "9", "_", "@", "[", "`", "{", "/", ":", " ", "\n", "\0", "\x7f", "\x80"),
    *(
        "abcdefg",
        "ABCDEFGH",
        "abcdefghi",
        "é",
        "É",
        "ß",
        "İ",
        "K",
        "Ω",
        "中文",
        "e\u0301",
        "٣",
        "²",
        "𐐀",
        "😀",
        "\u200b",
    ),
]
TEXT = st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def shingles(text: str, words: int, block: int = 1000, before: str = "", behind: str = "") -> list[int]:
    """By the kernel, out of the middle of a buffer, `block` at a time."""
    data, _ = data_and_offsets(pa.array([before + text + behind], pa.large_string()))
    at = len(before.encode())
    stop = at + len(text.encode())
    state, out, found = new_state(words), np.empty(block, np.uint64), []
    while at < stop:
        n, at = next_shingles(data, at, stop, CLASSES, LOWER, state, out)
        found += [int(finish(x)) for x in out[:n]]
    return found


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(
    TEXT, st.integers(1, 6), st.integers(1, 5), st.sampled_from(["", "x", "é "]), st.sampled_from(["", "y", "ü, end"])
)
def test_equals_the_plain_definition(text: str, words: int, block: int, before: str, behind: str) -> None:
    assert shingles(text, words, block, before, behind) == shingles_of(text, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("Don't PANIC, 42!", ["don", "t", "panic", "42"], id="punctuation separates, case goes"),
        pytest.param("snake_case", ["snake", "case"], id="an underscore is punctuation"),
        pytest.param("Ärger über Straßen", ["ärger", "über", "straßen"], id="letters of Latin-1"),
        pytest.param("e\u0301te\u0301", ["e\u0301te\u0301"], id="combining marks belong to the word"),
        pytest.param("你好,世界", ["你好", "世界"], id="Chinese runs to the comma"),
        pytest.param("İstanbul", ["istanbul"], id="simple mapping, not the full one with a combining dot"),
        pytest.param("a\0b 😀 c", ["a", "b", "c"], id="NUL and emoji separate"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words
    assert shingles(text, 1) == shingles_of(text, 1)
    assert len(shingles(text, 1)) == len(words)


def test_the_fast_path_knows_the_ascii_of_the_table() -> None:
    for c in range(128):
        assert len(shingles(chr(c), 1)) == bool(CLASSES[c] & WORD), chr(c)
        if CLASSES[c] & WORD:
            assert shingles(chr(c), 1) == shingles(chr(LOWER[c]), 1)


def test_every_letter_of_unicode_makes_the_word_of_its_lower_case() -> None:
    letters = [chr(c) for c in np.flatnonzero(CLASSES & WORD)]
    assert len(letters) > 130_000
    found = shingles(" ".join(letters), 1, block=len(letters))
    state, out = new_state(1), np.empty(len(letters), np.uint64)
    lowered = " ".join(chr(LOWER[ord(c)]) for c in letters)
    data, offsets = data_and_offsets(pa.array([lowered], pa.large_string()))
    n, _ = next_shingles(data, offsets[0], offsets[1], CLASSES, LOWER, state, out)
    assert n == len(letters)
    assert found == [int(finish(x)) for x in out]
    sample = slice(0, None, 997)
    assert found[sample] == [h for c in letters[sample] for h in shingles_of(c, 1)]


def test_short_words_never_collide_and_order_counts() -> None:
    assert len({word_hash(w) for w in ("a", "aa", "ab", "ba", "abcdefgh", "abcdefghi")}) == 6
    assert shingles("a b c", 2) != shingles("b a c", 2)
    assert set(shingles("x a b", 2)) & set(shingles("a b y", 2)) == set(shingles("a b", 2))


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_broken_utf8_ends_within_bounds(data: bytes) -> None:
    padded = np.frombuffer(data, np.uint8)
    at, state, out = 0, new_state(2), np.empty(3, np.uint64)
    for _ in range(len(data) + 1):
        if at >= len(data):
            break
        _, at = next_shingles(padded, at, len(data), CLASSES, LOWER, state, out)
    assert at == len(data)


@pytest.mark.parametrize("character", ["a", "é", "中", "😀"])
def test_a_code_point_is_read_whole_or_not_at_all(character: str) -> None:
    data = np.frombuffer(character.encode() + b"\xbf", np.uint8)
    width = len(character.encode())
    assert code_point(data, 0, width) == (ord(character), width)
    if width > 1:
        assert code_point(data, 0, width - 1) == (-1, 1)
