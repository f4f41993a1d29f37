"""The filter `gopher_repetition`: every bound, at it and beyond it, and documents it drops."""

import math

import pyarrow as pa
import pytest

from tokenmill.core.stage import Filter, Rule
from tokenmill.filters.gopher_repetition import GopherRepetition
from tokenmill.filters.measure_text import MeasureText

GOOD = "The quick brown fox jumps over the lazy dog while a cat sleeps under seven old trees "
GOOD += "near our house, where nobody has ever seen them do anything else on such mild summer evenings."


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
    assert first_failing(GopherRepetition(), measured(GOOD)) is None


@pytest.mark.parametrize("rule", GopherRepetition().rules, ids=lambda rule: rule.name)
def test_equality_passes_and_the_next_number_fails(rule: Rule) -> None:
    worse = math.nextafter(rule.bound, -math.inf if rule.op == "at_least" else math.inf)
    assert first_failing(GopherRepetition(), with_value(rule.measure, rule.bound)) is None
    decision = GopherRepetition().decide(with_value(rule.measure, worse))
    assert decision.rule.to_pylist() == [rule.name]
    assert decision.value.to_pylist() == [worse]
    assert decision.bound.to_pylist() == [rule.bound]


@pytest.mark.parametrize("rule", GopherRepetition().rules, ids=lambda rule: rule.name)
def test_a_rule_is_moved_by_the_field_of_its_name(rule: Rule) -> None:
    moved = GopherRepetition(**{rule.name: rule.bound + 0.5})
    assert {r.name: r.bound for r in moved.rules} == {r.name: r.bound for r in GopherRepetition().rules} | {
        rule.name: rule.bound + 0.5
    }
    assert moved.version != GopherRepetition().version


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param(None, "chars_at_least", id="null"),
        pytest.param("", "chars_at_least", id="empty"),
        pytest.param("ab\n\nab\n\ncd", "paragraphs_repeated_at_most", id="1 of 3 paragraphs"),
        pytest.param("x\n\ny\n\nz\n\nlong one\n\nlong one", "chars_in_repeated_paragraphs_at_most", id="8 of 26"),
        pytest.param("ab\nab\ncd", "lines_repeated_at_most", id="1 of 3 lines"),
        pytest.param("x\ny\nz\nlong one\nlong one", "chars_in_repeated_lines_at_most", id="8 of 23 characters"),
        pytest.param("ab cd ab cd efgh ijkl mnop", "top_2_gram_at_most", id="10 of 26 characters"),
    ],
)
def test_drops_what_repeats_itself(text: str | None, rule: str | None) -> None:
    assert first_failing(GopherRepetition(), measured(text)) == rule


@pytest.mark.parametrize("n", range(3, 11))
def test_each_length_of_n_gram_is_seen(n: int) -> None:
    """n words twice in a text so long that only the rule in question has its bound set below the share."""
    words = " ".join(f"w{i}" for i in range(n))
    text = f"{words} between {words}"
    field = f"top_{n}_gram_at_most" if n < 5 else f"repeated_{n}_grams_at_most"
    others = {rule.name: 1.0 for rule in GopherRepetition().rules if rule.op == "at_most" and rule.name != field}
    assert first_failing(GopherRepetition(**others), measured(text)) == field
    assert first_failing(GopherRepetition(**others, **{field: 1.0}), measured(text)) is None
