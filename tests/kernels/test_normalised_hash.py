"""Texts with the same words have one hash, whatever stands between them."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels import normalised_hash_reference
from tokenmill.kernels.normalised_hash import INERT, normalised_hash


def hashes(*texts: str | None) -> list[bytes | None]:
    found: list[bytes | None] = normalised_hash(pa.array(texts, pa.large_string())).to_pylist()
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Don't PANIC!", "don t (panic)", id="case and punctuation"),
        pytest.param("a  b\r\nc", " a b c ", id="white space"),
        pytest.param("café", "cafe\u0301", id="composed and decomposed"),
        pytest.param("e\u0323\u0302", "e\u0302\u0323", id="marks in another order"),
        pytest.param("\u212bngström", "ångström", id="the sign of a unit, and its letter"),
        pytest.param("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8", id="Hangul by syllables and by letters"),
        pytest.param("你好,世界", "你好\u3000世界", id="Chinese punctuation"),
        pytest.param("ÄRGER 😀 über", "ärger über", id="emoji are no words"),
        pytest.param("ȺB", "ⱥb", id="a lower case of more bytes"),
        pytest.param("\u1e9e", "ß", id="a lower case of fewer bytes"),
        pytest.param("a\0b", "a b", id="NUL"),
    ],
)
def test_the_same_words(one: str, other: str) -> None:
    assert one != other
    first, second = hashes(one, other)
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("a b", "ab", id="where words end"),
        pytest.param("a b", "b a", id="their order"),
        pytest.param("a", "a a", id="how often"),
        pytest.param("a", "á", id="accents"),
        pytest.param("ﬁne", "fine", id="a ligature is a letter of its own in normal form C"),
        pytest.param("!!!", "!!", id="texts without words are compared as they stand"),
        pytest.param("", " ", id="nothing and white space"),
    ],
)
def test_other_words(one: str, other: str) -> None:
    first, second = hashes(one, other)
    assert first != second


def test_null_has_none_and_wordless_texts_do() -> None:
    assert hashes(None, "", "...", None, "...") == [
        None,
        *(normalised_hash_reference.normalised_hash(text) for text in ("", "...")),
        None,
        normalised_hash_reference.normalised_hash("..."),
    ]
    assert hashes() == []
    assert normalised_hash(pa.nulls(3, pa.large_string())).null_count == 3


PIECES = ["a", "Z", "9", " ", "\n", "_", "é", "É", "e\u0301", "\u0323", "Ⱥ", "İ", "ß", "中", "，", "ᄒ", "ᅡ", "😀", "\0"]
TEXT = st.text() | st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(st.lists(st.none() | TEXT, max_size=5), st.booleans())
def test_equals_the_plain_definition(texts: list[str | None], sliced: bool) -> None:
    known = [t if t is None else "".join(c for c in t if unicodedata.category(c) != "Cn") for t in texts]
    array = pa.array(["before", *known], pa.large_string())[1:] if sliced else pa.array(known, pa.large_string())
    assert normalised_hash(array).to_pylist() == [normalised_hash_reference.normalised_hash(text) for text in known]


@pytest.mark.parametrize("piece", ["word ", "É", "e\u0301", "中文，", "Ⱥ", "🐟", "\n"])
def test_a_text_of_100_kb(piece: str) -> None:
    text = piece * (100_000 // len(piece.encode()))
    assert hashes(text) == [normalised_hash_reference.normalised_hash(text)]


def test_what_is_called_inert_is_left_alone_by_normal_form_c() -> None:
    """Alone, and behind every character that composes with anything."""
    seconds = set()
    for c in map(chr, range(0x110000)):
        parts = unicodedata.normalize("NFD", c)
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) == c:
            seconds.update(parts[1:])
    for first, last in INERT:
        for c in map(chr, range(first, last + 1)):
            assert unicodedata.combining(c) == 0 and unicodedata.normalize("NFC", c) == c and c not in seconds, hex(
                ord(c)
            )


def test_refuses_other_types() -> None:
    with pytest.raises(ValueError, match="StringArray given; want an array of large_string"):
        normalised_hash(pa.array(["a"]))
