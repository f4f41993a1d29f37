"""The filter `fineweb`: every bound, at it and beyond it, and documents it drops."""

import math

import pyarrow as pa
import pytest

from tokenmill.core.stage import Filter, Rule
from tokenmill.filters.fineweb import FineWeb
from tokenmill.filters.measure_lines import MeasureLines

GOOD = "A line that has more than thirty characters.\nAnother line of more than thirty characters."


def measured(text: str | None) -> pa.RecordBatch:
    return MeasureLines().apply(pa.record_batch({"text": pa.array([text], pa.large_string())}))


def first_failing(filter: Filter, batch: pa.RecordBatch) -> str | None:
    rule: str | None = filter.decide(batch).rule[0].as_py()
    return rule


def with_value(measure: str, value: float) -> pa.RecordBatch:
    """A document that passes, but for one measure."""
    batch = measured(GOOD)
    return batch.set_column(
        batch.schema.get_field_index(measure), pa.field(measure, pa.float64()), pa.array([value], pa.float64())
    )


def test_the_good_document_is_kept() -> None:
    assert first_failing(FineWeb(), measured(GOOD)) is None


@pytest.mark.parametrize("rule", FineWeb().rules, ids=lambda rule: rule.name)
def test_equality_passes_and_the_next_number_fails(rule: Rule) -> None:
    worse = math.nextafter(rule.bound, -math.inf if rule.op == "at_least" else math.inf)
    assert first_failing(FineWeb(), with_value(rule.measure, rule.bound)) is None
    decision = FineWeb().decide(with_value(rule.measure, worse))
    assert decision.rule.to_pylist() == [rule.name]
    assert decision.value.to_pylist() == [worse]
    assert decision.bound.to_pylist() == [rule.bound]


@pytest.mark.parametrize("rule", FineWeb().rules, ids=lambda rule: rule.name)
def test_a_rule_is_moved_by_the_field_of_its_name(rule: Rule) -> None:
    moved = FineWeb(**{rule.name: rule.bound + 0.5})
    assert {r.name: r.bound for r in moved.rules} == {r.name: r.bound for r in FineWeb().rules} | {
        rule.name: rule.bound + 0.5
    }
    assert moved.version != FineWeb().version


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param(None, "punctuated_lines_at_least", id="null"),
        pytest.param("", "punctuated_lines_at_least", id="empty"),
        pytest.param("\n \n", "punctuated_lines_at_least", id="no line"),
        pytest.param("a line without an end\n" * 9 + "one with.", "punctuated_lines_at_least", id="1 of 10 lines"),
        pytest.param(GOOD + "\nshort.\nshorts.\nshorter.\nb.\nc.", "short_lines_at_most", id="5 of 7 lines"),
        pytest.param(GOOD + "\n" + GOOD, "chars_in_duplicate_lines_at_most", id="half of it twice"),
        pytest.param(GOOD + "\n" * 10, "newlines_at_most", id="11 newlines, 16 words and symbols"),
    ],
)
def test_drops_lists_and_boilerplate(text: str | None, rule: str | None) -> None:
    assert first_failing(FineWeb(), measured(text)) == rule
