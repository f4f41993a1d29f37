"""The pinned Unicode table."""

import io
import sys
import unicodedata

import numpy as np
import pytest

from tokenmill.kernels import unicode_classes as u

same_version = pytest.mark.skipif(
    unicodedata.unidata_version != u.UNICODE_VERSION, reason=f"unicodedata is not {u.UNICODE_VERSION} here"
)


@pytest.mark.parametrize(
    ("character", "bits"),
    [
        pytest.param("a", u.LETTER | u.LOWERCASE, id="small letter"),
        pytest.param("É", u.LETTER | u.UPPERCASE, id="capital with accent"),
        pytest.param("ǅ", u.LETTER | u.UPPERCASE, id="title case"),
        pytest.param("中", u.LETTER, id="letter without case"),
        pytest.param("\u0301", u.MARK, id="combining acute"),
        pytest.param("7", u.NUMBER | u.DIGIT, id="ASCII digit"),
        pytest.param("٣", u.NUMBER | u.DIGIT, id="Arabic digit"),
        pytest.param("Ⅷ", u.NUMBER, id="Roman numeral is no decimal digit"),
        pytest.param("_", u.SYMBOL, id="underscore"),
        pytest.param("…", u.SYMBOL, id="ellipsis"),
        pytest.param("😀", u.SYMBOL, id="emoji"),
        pytest.param("€", u.SYMBOL, id="currency"),
        pytest.param("\u3000", u.SPACE, id="ideographic space"),
        pytest.param("\x85", u.SPACE, id="next line"),
        pytest.param("\x1c", 0, id="file separator has no White_Space property"),
        pytest.param("\u200b", 0, id="zero width space neither"),
        pytest.param("\x00", 0, id="NUL"),
        pytest.param("\U0010ffff", 0, id="the last code point"),
    ],
)
def test_class_of_a_code_point(character: str, bits: int) -> None:
    assert u.CLASSES[ord(character)] == bits


@pytest.mark.parametrize(("upper", "lower"), ["Aa", "Éé", "Σσ", "Жж", "İi", "aa", "中中", "ẞß", "ǅǆ"])
def test_lower_case_is_one_code_point_for_one(upper: str, lower: str) -> None:
    assert u.LOWER[ord(upper)] == ord(lower)


def test_white_space_is_the_25_code_points_of_the_property() -> None:
    spaces = [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
    assert np.flatnonzero(u.CLASSES & u.SPACE).tolist() == spaces


@same_version
def test_the_table_equals_unicodedata() -> None:
    characters = [chr(c) for c in range(sys.maxunicode + 1)]
    assert np.array_equal(u.CLASSES, np.array([u.class_of(c) for c in characters], np.uint8))
    assert np.array_equal(u.LOWER, np.array([u.lower_of(c) for c in characters], np.int32))


@same_version
def test_generating_again_gives_the_data_file() -> None:
    made = io.BytesIO()
    u.generate(made)
    made.seek(0)
    with np.load(made) as new, np.load(u._DATA) as shipped:
        assert set(new) == set(shipped)
        assert all(np.array_equal(new[k], shipped[k]) for k in shipped)
    assert u._DATA.stat().st_size < 40_000


def test_generating_under_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unicodedata, "unidata_version", "99.0.0")
    with pytest.raises(ValueError, match=r"99\.0\.0, want 14\.0\.0"):
        u.generate(io.BytesIO())


def test_the_table_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(ValueError, match="read-only"):
        u.CLASSES[0] = 1
