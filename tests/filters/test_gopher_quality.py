"""The filter `gopher_quality`: every bound, at it and beyond it, and documents it drops."""

import math

import pyarrow as pa
import pytest

from tokenmill.core.stage import Filter, Rule
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.measure_text import MeasureText

GOOD = "Stop and look at the river that runs by us. " * 6


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
    assert first_failing(GopherQuality(), measured(GOOD)) is None


@pytest.mark.parametrize("rule", GopherQuality().rules, ids=lambda rule: rule.name)
def test_equality_passes_and_the_next_number_fails(rule: Rule) -> None:
    worse = math.nextafter(rule.bound, -math.inf if rule.op == "at_least" else math.inf)
    assert first_failing(GopherQuality(), with_value(rule.measure, rule.bound)) is None
    decision = GopherQuality().decide(with_value(rule.measure, worse))
    assert decision.rule.to_pylist() == [rule.name]
    assert decision.value.to_pylist() == [worse]
    assert decision.bound.to_pylist() == [rule.bound]


@pytest.mark.parametrize("rule", GopherQuality().rules, ids=lambda rule: rule.name)
def test_a_rule_is_moved_by_the_field_of_its_name(rule: Rule) -> None:
    moved = GopherQuality(**{rule.name: rule.bound + 0.5})
    assert {r.name: r.bound for r in moved.rules} == {r.name: r.bound for r in GopherQuality().rules} | {
        rule.name: rule.bound + 0.5
    }
    assert moved.version != GopherQuality().version


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param(None, "words_at_least", id="null"),
        pytest.param("", "words_at_least", id="empty"),
        pytest.param("the and word " * 17, None, id="51 words"),
        pytest.param("the and , " * 24 + "word", "words_at_least", id="49 words, symbols aside"),
        pytest.param("the and " * 50_001, "words_at_most", id="100,002 words"),
        pytest.param("to be " * 30, "mean_word_length_at_least", id="2 characters"),
        pytest.param("the and " + "eleven11111 " * 1000, "mean_word_length_at_most", id="nearly 11 characters"),
        pytest.param("the and word " * 20 + "# " * 8, "hashes_at_most", id="8 of 68"),
        pytest.param("the and word " * 20 + "... " * 8, "ellipses_at_most", id="8 of 68 ellipses"),
        pytest.param("- the and word\n" * 20, "bullet_lines_at_most", id="bullets"),
        pytest.param(
            "the and with that have word word word\n" * 7 + "the and...\n" * 4, "ellipsis_lines_at_most", id="4 of 11"
        ),
        pytest.param("the and word 1000 " * 20, "with_letter_at_least", id="3 of 4 have a letter"),
        pytest.param("the word The AND " * 20, "stop_words_at_least", id="one stop word in lower case"),
    ],
)
def test_drops_what_is_no_prose(text: str | None, rule: str | None) -> None:
    assert first_failing(GopherQuality(), measured(text)) == rule
