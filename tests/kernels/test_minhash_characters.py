"""Characters and shingles from UTF-8 bytes, eight at a time, are those of the plain definition."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash_characters import begin_characters, new_character_state, next_character_shingles
from tokenmill.kernels.minhash_characters_reference import character_hash, character_shingles_of, characters_of
from tokenmill.kernels.minhash_shingles import finish
from tokenmill.kernels.unicode_classes import CLASSES, LOWER, SPACE

# Around every edge of the fast path: runs of 7..9 bytes, spaces of every width beside each other, what ASCII borders.
PIECES = [
    *("a", "Z", "A", "@", "[", "`", "{", "9", "\0", "\x08", "\x0e", "\x1f", "\x7f", "\x80"),
    *(" ", "\t", "\n", "\r", "\v", "\f", "\x85", "\xa0", "\u3000", "       ", "        ", "\n\t\t\t\t    "),
    *("abcdefg", "ABCDEFGH", "a bcDEFgh", "é", "É", "ß", "İ", "Ω", "中文", "e\u0301", "𐐀", "😀", "\u200b"),
]
TEXT = st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def shingles(text: str, length: int, block: int = 1000, before: str = "", behind: str = "") -> list[int]:
    """By the kernel, out of the middle of a buffer, `block` at a time."""
    data, _ = data_and_offsets(pa.array([before + text + behind], pa.large_string()))
    at = len(before.encode())
    stop = at + len(text.encode())
    state, out, found = new_character_state(length, block), np.empty(block, np.uint64), []
    stop = begin_characters(data, at, stop, CLASSES, state)
    while at < stop:
        n, at = next_character_shingles(data, at, stop, CLASSES, LOWER, state, out)
        found += [int(finish(x)) for x in out[:n]]
    return found


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(
    TEXT,
    st.integers(1, 40),
    st.integers(1, 20),
    st.sampled_from(["", "x", "é ", "\u3000"]),
    st.sampled_from(["", "y", "  ", "\u3000"]),
)
def test_equals_the_plain_definition(text: str, length: int, block: int, before: str, behind: str) -> None:
    assert shingles(text, length, block, before, behind) == character_shingles_of(text, length)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 24, 31, 32, 63, 100, 999, 1001])
def test_any_length_is_joined_from_its_binary_digits(length: int) -> None:
    text = "".join(chr(97 + i * i % 23) for i in range(1000))
    found = shingles(text, length, block=64)
    assert found == character_shingles_of(text, length)
    assert len(found) == max(0, 1001 - length)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        pytest.param("Don't  PANIC!", "don't panic!", id="case goes, punctuation stays, two spaces are one"),
        pytest.param("\n\t if x:\r\n\t\treturn\n", "if x: return", id="none at either end, any white space inside"),
        pytest.param("a\u3000\u2003b\xa0\x85c", "a b c", id="wide and narrow spaces of Unicode"),
        pytest.param("a\u200bb", "a\u200bb", id="the zero-width space is no White_Space"),
        pytest.param("İß", "iß", id="simple mapping: no character becomes two"),
        pytest.param("中 文", "中 文", id="Chinese"),
        pytest.param("a\0b", "a\0b", id="NUL is a character"),
        pytest.param(" \n ", "", id="white space alone"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_characters(text: str, characters: str) -> None:
    assert characters_of(text) == characters
    assert shingles(text, 1) == character_shingles_of(text, 1)
    assert len(shingles(text, 1)) == len(characters)


def test_a_text_has_one_shingle_from_its_length_on() -> None:
    assert shingles("abc", 4) == []
    assert len(shingles("abcd", 4)) == 1
    assert len(shingles("a  bcd", 4)) == 2
    assert shingles(" abcd ", 4) == shingles("ABCD", 4)


def test_the_fast_path_knows_the_ascii_of_the_table() -> None:
    for c in range(128):
        character = " " if CLASSES[c] & SPACE else chr(LOWER[c])
        assert shingles(f"abc{chr(c)}efgh", 8) == character_shingles_of(f"abc{character}efgh", 8), c
        assert characters_of(f"abc{chr(c)}efgh") == f"abc{character}efgh"


def test_every_code_point_of_unicode_makes_the_character_of_its_lower_case() -> None:
    points = [c for c in range(len(CLASSES)) if not 0xD800 <= c < 0xE000 and not CLASSES[c] & SPACE]
    found = shingles("".join(map(chr, points)), 1, block=len(points))
    assert found == shingles("".join(chr(LOWER[c]) for c in points), 1, block=len(points))
    assert found[::997] == [h for c in points[::997] for h in character_shingles_of(chr(c), 1)]
    assert len(set(found)) == len({int(LOWER[c]) for c in points})


def test_characters_never_collide_and_order_counts() -> None:
    assert len({character_hash(c) for c in "abcAé中😀\0"}) == 8
    assert shingles("ab", 2) != shingles("ba", 2)
    assert set(shingles("xab", 2)) & set(shingles("aby", 2)) == set(shingles("ab", 2))


@pytest.mark.parametrize("line", ["a", " ", "é", "ab ", "中"])
def test_a_long_line_is_read_to_its_end(line: str) -> None:
    text = line * 100_000
    found = shingles(text, 24, block=1024)
    assert len(found) == max(0, len(characters_of(text)) - 23)
    assert set(found) == set(character_shingles_of(line * 100, 24))


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(1, 4), st.integers(1, 9))
def test_broken_utf8_ends_within_bounds(data: bytes, length: int, block: int) -> None:
    padded = np.frombuffer(data, np.uint8)
    state, out = new_character_state(length, block), np.empty(block, np.uint64)
    at, total = 0, 0
    stop = begin_characters(padded, at, len(data), CLASSES, state)
    for _ in range(len(data) + 1):
        if at >= stop:
            break
        n, at = next_character_shingles(padded, at, stop, CLASSES, LOWER, state, out)
        total += n
    assert at == stop <= len(data)
    assert total <= len(data)


def test_a_byte_that_is_no_utf8_counts_as_the_replacement_character() -> None:
    whole, broken = "a\ufffd".encode(), b"a\xe4"
    found = []
    for text in (whole, broken):
        data, out = np.frombuffer(text, np.uint8), np.empty(2, np.uint64)
        state = new_character_state(1, 2)
        stop = begin_characters(data, 0, len(data), CLASSES, state)
        found.append((next_character_shingles(data, 0, stop, CLASSES, LOWER, state, out), out.tolist()))
    assert found[0] == ((2, 4), found[1][1])
    assert found[1][0] == (2, 2)


def test_a_block_larger_than_the_state_is_refused() -> None:
    state = new_character_state(3, 4)
    data = np.frombuffer(b"abcdefghijklmnop", np.uint8)
    with pytest.raises(ValueError, match="room"):
        next_character_shingles(data, 0, len(data), CLASSES, LOWER, state, np.empty(5, np.uint64))
