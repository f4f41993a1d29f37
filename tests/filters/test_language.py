"""Which languages stay."""

import pyarrow as pa
import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.filters.language import Language


def measured(*rows: tuple[str | None, float | None]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "language": pa.array([language for language, _ in rows], pa.string()),
            "language_score": pa.array([score for _, score in rows], pa.float64()),
        }
    )


@pytest.mark.parametrize(
    ("language", "score", "rule", "value", "bound"),
    [
        pytest.param("en", 0.9, None, None, None, id="sure"),
        pytest.param("en", 0.65, None, None, None, id="equality passes"),
        pytest.param("en", 0.6499, "at_least", 0.6499, 0.65, id="unsure"),
        pytest.param("de", 0.99, "languages", None, None, id="another language"),
        pytest.param("de", 0.1, "languages", None, None, id="another and unsure is another"),
        pytest.param(None, None, "languages", None, None, id="no text"),
        pytest.param("en", None, "at_least", None, 0.65, id="no score"),
        pytest.param("en", float("nan"), "at_least", pytest.approx(float("nan"), nan_ok=True), 0.65, id="NaN"),
    ],
)
def test_the_ledger_says_what_was_missing(language, score, rule, value, bound):
    decision = Language().decide(measured((language, score)))
    assert decision.rule.to_pylist() == [rule]
    assert decision.value.to_pylist() == [value]
    assert decision.bound.to_pylist() == [bound]


def test_apply_keeps_the_rows_that_no_rule_drops():
    batch = measured(("en", 0.9), ("fr", 0.9), ("de", 0.9), ("fr", 0.2))
    assert Language(languages=("fr", "en")).apply(batch)["language"].to_pylist() == ["en", "fr"]
    assert Language(languages=("fr",), at_least=0.0).apply(batch.slice(1))["language"].to_pylist() == ["fr", "fr"]
    assert Language().apply(batch.slice(0, 0)).num_rows == 0


@pytest.mark.parametrize(
    "wrong", [{"languages": ()}, {"at_least": 1.1}, {"at_least": -0.1}, {"at_least": float("nan")}]
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(RecipeError, match=r"^language: "):
        Language(**wrong)
