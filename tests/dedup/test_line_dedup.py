"""All copies of a line or a paragraph are cut out but one, and what is left is worth keeping or leaves."""

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from equal_documents import documents
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_runs import run_verdict

from tokenmill.core.barrier import SPANS
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.stage import Decision
from tokenmill.dedup.lines import LineDedup
from tokenmill.dedup.paragraphs import ParagraphDedup
from tokenmill.dedup.repeated_passages import RepeatedPassages
from tokenmill.kernels import cut_lines_reference, line_spans_reference

LENIENT = {"chars_at_least": 1, "chars_left_at_least": 0, "share_left_at_least": 0.0}
LINES, PARAGRAPHS = LineDedup(**LENIENT), ParagraphDedup(**LENIENT)  # type: ignore[arg-type]


def spans_of(step: RepeatedPassages, batch: pa.RecordBatch, **how: Any) -> pa.Table:
    table, _ = run_verdict(step, batch, **({"parts": 3} | how))
    assert table.schema.equals(SPANS)
    return table


def cut(step: RepeatedPassages, batch: pa.RecordBatch, **how: Any) -> tuple[pa.RecordBatch, Decision]:
    spans = spans_of(step, batch, **how)
    result, decision = step.cut(batch, pa.record_batch(_columns(spans), SPANS))
    result.validate(full=True)
    return result, decision


def _columns(table: pa.Table) -> list[pa.Array]:
    return [
        column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in table.combine_chunks().columns
    ]


def left(step: RepeatedPassages, *texts: str | None, **columns: Any) -> list[str | None]:
    result, _ = cut(step, documents(texts, **columns))
    texts_left: list[str | None] = result["text"].to_pylist()
    return texts_left


def test_the_first_copy_stays_and_the_others_are_cut() -> None:
    assert left(LINES, "menu\none story", "menu\nanother story, longer") == ["one story", "menu\nanother story, longer"]
    assert left(PARAGRAPHS, "menu\n\none", "menu\n\nanother") == ["one", "menu\n\nanother"]


@pytest.mark.parametrize(
    ("texts", "lines", "paragraphs"),
    [
        pytest.param(["a\nb", "a\nc"], ["a\nb", "c"], ["a\nb", "a\nc"], id="a paragraph goes whole or not at all"),
        pytest.param(["a\nb\n\nc", "a\nb\n\nd"], ["a\nb\n\nc", "d"], ["a\nb\n\nc", "d"], id="of several lines"),
        pytest.param(["a\r\nb\r\n", "x\na\n\nb\n"], ["", "x\na\n\nb\n"], ["a\r\nb\r\n", "x\na\n\nb\n"], id="CRLF"),
        pytest.param(
            ["  a \n\nb", "a\n\nccccc"], ["b", "a\n\nccccc"], ["b", "a\n\nccccc"], id="white space at the ends"
        ),
        pytest.param(["a\n\na\n\nb\n\na"], ["a\n\nb\n"], ["a\n\nb\n"], id="within one document the first stays"),
        pytest.param(["\n\n\n", "\n\n\n"], ["\n\n\n"] * 2, ["\n\n\n"] * 2, id="blank lines are no duplicates"),
        pytest.param([" \u3000", " \u3000"], [" \u3000"] * 2, [" \u3000"] * 2, id="nor is white space"),
        pytest.param(["", "", None, None], ["", "", None, None], ["", "", None, None], id="empty and null"),
        pytest.param(["é😀\n中文", "中文\n\nxyz"], ["é😀", "中文\n\nxyz"], ["é😀\n中文", "中文\n\nxyz"], id="scripts"),
    ],
)
def test_what_is_cut(texts: list[str | None], lines: list[str | None], paragraphs: list[str | None]) -> None:
    assert left(LINES, *texts) == lines
    assert left(PARAGRAPHS, *texts) == paragraphs


@pytest.mark.parametrize(
    ("columns", "prefer", "stays"),
    [
        pytest.param({}, ("priority", "-chars"), 1, id="in the longer text"),
        pytest.param({"priority": [0, 1]}, ("priority", "-chars"), 0, id="in the preferred source before that"),
        pytest.param({"id": [2, 1]}, ("priority",), 1, id="in the document of the smaller id"),
    ],
)
def test_whose_copy_stays_is_a_policy(columns: dict[str, Any], prefer: tuple[str, ...], stays: int) -> None:
    texts = left(dataclasses.replace(LINES, prefer=prefer), "x\na", "x\nbcd", **columns)
    assert ["x" in (text or "") for text in texts] == [stays == 0, stays == 1]


def test_sources_with_priorities_keep_one_copy_between_them() -> None:
    assert left(LINES, "a\n1", "a\nb\n2", "b\nc\n3", priority=[2, 0, 1]) == ["1", "a\nb\n2", "c\n3"]


def test_only_what_is_frequent_is_cut() -> None:
    step = dataclasses.replace(LINES, occurrences_at_least=3)
    assert left(step, "a\nb\n1", "a\nb\n2", "a\n3") == ["a\nb\n1", "b\n2", "3"]
    assert left(step, "a\na\na\n1") == ["a\n1"]


def test_short_lines_are_left_alone() -> None:
    assert left(dataclasses.replace(LINES, chars_at_least=3), "äöü\nab\n1", "äöü\nab\n12") == ["ab\n1", "äöü\nab\n12"]
    brace, page = "}\n", "The notice that stands on every page.\n"
    assert left(dataclasses.replace(LINES, chars_at_least=20), (brace + page) * 2) == [brace + page + brace]


def test_a_span_says_where_it_was_and_who_keeps_it() -> None:
    batch = documents(["é\n same \nx", "same\nlonger text", "same"], shards=2, id=[5, 6, 7])
    table, counts = run_verdict(LINES, batch, parts=2)
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (0, 0, 4, 8, f"{6:032x}", 1, 0, 3),
        (0, 1, 0, 4, f"{6:032x}", 1, 0, 3),
    ]
    assert counts == {"repeated": 1, "copies": 2}


def test_columns_say_what_was_removed() -> None:
    result, _ = cut(LINES, documents(["a\n\nb\n\nü", "a\nb\n123456789", "own", None]))
    assert result.schema.names[-2:] == ["line_dedup_lines_removed", "line_dedup_chars_removed"]
    assert result["text"].to_pylist() == ["ü", "a\nb\n123456789", "own", None]
    assert result["line_dedup_lines_removed"].to_pylist() == [2, 0, 0, None]
    assert result["line_dedup_chars_removed"].to_pylist() == [6, 0, 0, None]
    result, _ = cut(PARAGRAPHS, documents(["a\nb\n\nü", "a\nb\n\n123456789"]))
    assert result["paragraph_dedup_paragraphs_removed"].to_pylist() == [1, 0]
    assert result["paragraph_dedup_chars_removed"].to_pylist() == [5, 0]


def test_a_document_of_which_too_little_is_left_goes_with_its_text() -> None:
    step = LineDedup(chars_at_least=1, chars_left_at_least=3, share_left_at_least=0.25)
    menu = "a menu of 20 letters"
    texts = [f"{menu}\nabcd", f"{menu}\nab", f"{menu}\nabcdefgh", "xy", f"{menu}\nthe longest of them"]
    result, decision = cut(step, documents(texts))
    assert result["text"].to_pylist() == [texts[0], texts[1], "abcdefgh", "xy", texts[4]]
    assert decision.rule.to_pylist() == ["share_left_at_least", "chars_left_at_least", None, None, None]
    assert decision.value.to_pylist() == [4 / 25, 2, None, None, None]
    assert decision.bound.to_pylist() == [0.25, 3, None, None, None]
    assert result["line_dedup_chars_removed"].to_pylist() == [21, 21, 21, 0, 0]


def test_a_copy_of_a_document_leaves_whole_by_default() -> None:
    text = "A sentence that is long enough to be compared.\n" * 2 + "And another one, which is too.\n"
    _, decision = cut(LineDedup(), documents([text, text]))
    assert decision.rule.to_pylist() == ["chars_left_at_least", "chars_left_at_least"]
    text = "\n".join(f"A sentence that is long enough to be compared, the {n}th of ten." for n in range(10))
    _, decision = cut(LineDedup(), documents([text, text]))
    assert decision.rule.to_pylist() == [None, "chars_left_at_least"]


def test_a_hot_line_leaves_one_copy() -> None:
    n = 200_000
    batch = documents(["hot\n" * n, "hot"])
    table = spans_of(LINES, batch, seed=1)
    assert table.num_rows == n
    assert set(table["keeper_row"].to_pylist()) == {0}
    assert table["occurrences"].unique().to_pylist() == [n + 1]
    assert cut(LINES, batch)[0]["text"].to_pylist() == ["hot\n", ""]


def test_lines_of_100_kb() -> None:
    long = "é" * 50_000
    assert left(LINES, f"{long}\na", f"{long}\nbc") == ["a", f"{long}\nbc"]


def test_a_batch_without_spans_gets_the_columns_too() -> None:
    batch = documents(["a", None]).slice(0, 2)
    result, decision = LINES.cut(batch, pa.record_batch(_columns(SPANS.empty_table()), SPANS))
    assert result["text"].equals(batch["text"])
    assert result["line_dedup_lines_removed"].to_pylist() == [0, None]
    assert decision.rule.null_count == 2


def test_slices_of_documents_are_cut_as_the_whole_is() -> None:
    batch = documents(["a\n1", "a\n22", "a\n333", None, "a\n4444"])
    spans = pa.record_batch(_columns(spans_of(LINES, batch)), SPANS)
    whole, _ = LINES.cut(batch, spans)
    for start, stop in ((0, 2), (2, 5)):
        rows = spans["row"].to_numpy()
        part, _ = LINES.cut(batch.slice(start, stop - start), spans.filter(pa.array((rows >= start) & (rows < stop))))
        assert part.equals(whole.slice(start, stop - start))


@pytest.mark.parametrize("row", [{"row": 7}, {"start": 2, "stop": 9}, {"start": 1}])
def test_spans_of_other_documents_are_an_error(row: dict[str, int]) -> None:
    span = {"shard": 0, "row": 0, "start": 0, "stop": 2, "keeper": "k", "keeper_shard": 0, "keeper_row": 1} | row
    spans = pa.RecordBatch.from_pylist([span | {"occurrences": 2}], SPANS)
    if row == {"start": 1}:  # within a character: whole lines go, so that nothing is broken
        assert LINES.cut(documents(["é\nb"]), spans)[0]["text"].to_pylist() == ["b"]
    else:
        with pytest.raises(DataError, match="line_dedup: "):
            LINES.cut(documents(["é\nb"]), spans)


some_texts = st.lists(
    st.none() | st.lists(st.sampled_from(["a", "b", " a", "é", "", " ", "b\r"]), max_size=6).map("\n".join), max_size=6
)


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(some_texts, st.booleans(), st.integers(2, 3), st.integers(2, 4), st.integers(0, 9))
def test_equals_a_dictionary_of_passages(
    texts: list[str | None], paragraphs: bool, occurrences: int, parts: int, seed: int
) -> None:
    step = dataclasses.replace(PARAGRAPHS if paragraphs else LINES, occurrences_at_least=occurrences)
    found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for row in sorted(range(len(texts)), key=lambda row: (-len(texts[row] or ""), row)):
        for start, stop, *key in line_spans_reference.line_spans(texts[row], paragraphs=paragraphs, chars_at_least=1):
            found.setdefault((key[0], key[1]), []).append((row, start, stop))
    goes = [span for copies in found.values() if len(copies) >= occurrences for span in copies[1:]]
    batch = documents(texts)
    table = spans_of(step, batch, parts=parts, seed=seed)
    assert [(v["row"], v["start"], v["stop"]) for v in table.to_pylist()] == sorted(goes)
    want = [
        t if t is None else cut_lines_reference.cut_lines(t, [span[1:] for span in goes if span[0] == row])
        for row, t in enumerate(texts)
    ]
    assert cut(step, batch)[0]["text"].to_pylist() == want


def test_batches_may_be_cut_anywhere() -> None:
    texts = [f"{n % 7} of seven\n{n % 5} of five\n\n{n}" for n in range(50)]
    batch = documents(texts)
    whole = spans_of(LINES, batch)
    assert whole.num_rows == 50 - 7 + 50 - 5
    assert spans_of(LINES, [batch.slice(0, 13), batch.slice(13, 0), batch.slice(13)]).equals(whole)


@pytest.mark.parametrize(
    "wrong",
    [{"occurrences_at_least": 1}, {"chars_at_least": 0}, {"chars_left_at_least": -1}, {"share_left_at_least": 10}],
)
def test_refuses_parameters_that_mean_nothing(wrong: dict[str, Any]) -> None:
    (field,) = wrong
    for cls in (LineDedup, ParagraphDedup):
        with pytest.raises(RecipeError, match=f"{cls.name}: {field}={wrong[field]}, want "):
            cls(**wrong)


def test_emits_a_row_for_each_line_with_its_address() -> None:
    batch = documents(["a\n\nb", None, "c"])
    kept = LINES.observe(batch, None)
    for name in ("shard", "row"):
        kept = kept.append_column(name, batch[name])
    (round_,) = LINES.rounds
    rows = round_.emit(kept, batch, None)
    assert rows.select(round_.emits.names).schema.equals(round_.emits)
    assert rows["row"].to_pylist() == [0, 0, 2]
    assert np.array_equal(rows["start"], [0, 3, 0])
    assert LINES.index is None
