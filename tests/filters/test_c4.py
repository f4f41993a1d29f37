"""The filter `c4`: every bound, at it and beyond it, and documents it drops."""

import math

import pyarrow as pa
import pytest

from tokenmill.core.stage import Filter, Rule
from tokenmill.filters.c4 import C4
from tokenmill.filters.measure_text import MeasureText

GOOD = "One is here. Two is here. Three is here. Four is here. Five is here."


def measured(text: str | None) -> pa.RecordBatch:
    return MeasureText().apply(pa.record_batch({"text": pa.array([text], pa.large_string())}))


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
    assert first_failing(C4(), measured(GOOD)) is None


@pytest.mark.parametrize("rule", C4().rules, ids=lambda rule: rule.name)
def test_equality_passes_and_the_next_number_fails(rule: Rule) -> None:
    worse = math.nextafter(rule.bound, -math.inf if rule.op == "at_least" else math.inf)
    assert first_failing(C4(), with_value(rule.measure, rule.bound)) is None
    decision = C4().decide(with_value(rule.measure, worse))
    assert decision.rule.to_pylist() == [rule.name]
    assert decision.value.to_pylist() == [worse]
    assert decision.bound.to_pylist() == [rule.bound]


@pytest.mark.parametrize("rule", C4().rules, ids=lambda rule: rule.name)
def test_a_rule_is_moved_by_the_field_of_its_name(rule: Rule) -> None:
    moved = C4(**{rule.name: rule.bound + 0.5})
    assert {r.name: r.bound for r in moved.rules} == {r.name: r.bound for r in C4().rules} | {
        rule.name: rule.bound + 0.5
    }
    assert moved.version != C4().version


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param(None, "lorem_ipsum_lines_at_most", id="null"),
        pytest.param("", "sentences_at_least", id="empty"),
        pytest.param("One is here. Two. Three. Four.", "sentences_at_least", id="4 sentences"),
        pytest.param(GOOD + "\nLorem ipsum dolor sit", "lorem_ipsum_lines_at_most", id="placeholder"),
        pytest.param(GOOD + "\nif (x) { y }", "curly_bracket_lines_at_most", id="code"),
        pytest.param(GOOD + "\n{ y", None, id="a bracket on a line that goes anyway"),
        pytest.param("\n".join(["Two words."] * 9), "sentences_at_least", id="sentences on lines that go"),
        pytest.param("\n".join(["a line of prose"] * 5), None, id="5 lines are 5 sentences"),
    ],
)
def test_drops_placeholders_code_and_scraps(text: str | None, rule: str | None) -> None:
    assert first_failing(C4(), measured(text)) == rule
