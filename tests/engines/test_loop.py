"""The inner loop: what leaves is told, what stays is whole."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest
from toys import Count, Fragile, Length, Loses

from tokenmill.core.document import RECORD, TRAVELLING
from tokenmill.core.errors import DataError, EngineError
from tokenmill.core.stage import Stage
from tokenmill.engines.loop import Leaving, count_chars_in, run_stages, take_errors


def batch(*texts: str | None, error: tuple[str | None, ...] = ()) -> pa.RecordBatch:
    rows = [
        {
            "id": f"{n:032x}",
            "text": t,
            "source": "s",
            "shard": 0,
            "row": n,
            "priority": 0,
            "error": error[n] if error else None,
        }
        for n, t in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, pa.schema([*RECORD, *TRAVELLING]))


def walk(stages: list[Stage], given: pa.RecordBatch) -> tuple[list[int], list[tuple[int, str, str, str]]]:
    """Rows that stay, and (row, fate, stage, rule) of those that leave."""
    left: list[Leaving] = []
    stay = run_stages(stages, given, left.append)
    told = [
        (row, leaving.fate, leaving.stage, rule)
        for leaving in left
        for row, rule in zip(leaving.batch["row"].to_pylist(), leaving.rule.to_pylist(), strict=True)
    ]
    return stay["row"].to_pylist(), told


def test_a_filter_tells_who_goes_and_why():
    assert walk([Count(), Length()], batch("a b", "a", "c d e")) == (
        [0, 2],
        [(1, "dropped", "length", "words_at_least")],
    )


def test_one_bad_document_in_a_batch_costs_itself():
    stay, told = walk([Fragile(), Count()], batch("fine", "a bomb", None, "fine too"))
    assert (stay, told) == ([0, 2, 3], [(1, "error", "fragile", "ZeroDivisionError: a bomb")])


def test_a_batch_of_bad_documents_alone_goes_whole():
    stay, told = walk([Fragile(), Count(), Length()], batch("bomb", "bomb"))
    assert (stay, [t[0] for t in told]) == ([], [0, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class MarksErrors(Stage):
    """Sets `error` itself, as extraction does."""

    name: ClassVar[str] = "marks"
    revision: ClassVar[int] = 1

    def apply(self, given: pa.RecordBatch) -> pa.RecordBatch:
        errors = ["too odd" if t == "odd" else None for t in given["text"].to_pylist()]
        return given.set_column(given.schema.get_field_index("error"), "error", pa.array(errors, pa.string()))


def test_a_stage_may_mark_single_documents():
    assert walk([MarksErrors()], batch("odd", "even")) == ([1], [(0, "error", "marks", "too odd")])


def test_a_stage_that_loses_a_row_is_stopped():
    with pytest.raises(DataError, match="loses: given 2 rows, returned 1"):
        walk([Loses()], batch("a", "b"))


def test_errors_of_reading_leave_first():
    left: list[Leaving] = []
    stay = take_errors(batch("a", None, error=(None, "cut short")), "read", left.append)
    assert (stay.num_rows, left[0].fate, left[0].stage, left[0].rule.to_pylist()) == (1, "error", "read", ["cut short"])


def test_characters_are_counted_once_when_there_is_a_text():
    counted = count_chars_in(batch("déjà", None, "👩‍👩‍👧"))
    assert counted["chars_in"].to_pylist() == [4, None, 5]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsALibrary(Stage):
    """As a step of somebody else's that imports when it is first used."""

    name: ClassVar[str] = "needs"
    revision: ClassVar[int] = 1

    def apply(self, given: pa.RecordBatch) -> pa.RecordBatch:
        raise ImportError("Please install `spacy`")


def test_a_library_that_is_missing_is_no_documents_fault():
    with pytest.raises(EngineError, match="needs: Please install `spacy`; install that where workers run"):
        walk([NeedsALibrary()], batch("a", "b"))
