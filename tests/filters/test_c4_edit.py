"""The stage that removes C4's lines."""

import pyarrow as pa
import pytest

from tokenmill.filters.c4_edit import C4Edit


def edited(*texts: str | None) -> list[str | None]:
    batch = pa.record_batch({"text": pa.array(texts, pa.large_string()), "n": list(range(len(texts)))})
    after = C4Edit().apply(batch)
    assert after.schema == batch.schema
    assert after["n"] == batch["n"]
    kept: list[str | None] = after["text"].to_pylist()
    return kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("Home\nOne two three.\nAbout us\nFour five six.", "One two three.\nFour five six.", id="menus go"),
        pytest.param("Tokyo[1] is a city[citation needed].", "Tokyo is a city.", id="citations go"),
        pytest.param("Turn on Javascript to see this.\nOne two three.", "One two three.", id="javascript"),
        pytest.param("See our TERMS OF USE first.\nOne two three.", "One two three.", id="policies"),
        pytest.param("  One two three.\t\r\n\r\n", "One two three.", id="white space goes"),
        pytest.param("Ich trinke Öl 😀", "Ich trinke Öl 😀", id="Unicode stays"),
        pytest.param("Menu", "", id="nothing is left"),
        pytest.param("", "", id="empty"),
        pytest.param(None, None, id="null"),
    ],
)
def test_keeps_lines_of_prose(text: str | None, kept: str | None) -> None:
    assert edited(text) == [kept]


def test_every_text_goes_back_to_its_own_row() -> None:
    assert edited("a b c", None, "x", "d e f\ng", "") == ["a b c", None, "", "d e f", ""]


def test_an_edited_text_is_left_as_it_is() -> None:
    once = edited("Home\n one two[1] three \nfour five six")[0]
    assert edited(once) == [once]


def test_tells_the_engine_that_it_edits() -> None:
    assert C4Edit.edits
    assert C4Edit.adds.field("text").type == pa.large_string()
