"""A rule is a closed bound on a measure; what cannot be measured fails it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa
import pytest

from tokenmill.core.errors import DataError
from tokenmill.core.stage import Filter, Rule

NAN = float("nan")


def rule(op: Literal["at_least", "at_most"], bound: float, name: str = "words") -> Rule:
    return Rule(name=name, measure="words", op=op, bound=bound, source="this test")


@pytest.mark.parametrize(
    ("op", "value", "passes"),
    [
        pytest.param("at_least", 5.0, True, id="equality passes"),
        pytest.param("at_most", 5.0, True, id="equality passes above too"),
        pytest.param("at_least", 4.9, False, id="below the least"),
        pytest.param("at_most", 5.1, False, id="above the most"),
        pytest.param("at_least", None, False, id="null fails"),
        pytest.param("at_most", None, False, id="null fails at most"),
        pytest.param("at_least", NAN, False, id="NaN fails"),
        pytest.param("at_most", NAN, False, id="NaN fails at most"),
        pytest.param("at_least", float("inf"), True, id="infinity is large"),
    ],
)
def test_passes(op: Literal["at_least", "at_most"], value: float | None, passes: bool) -> None:
    assert rule(op, 5).passes(pa.array([value], pa.float64())).to_pylist() == [passes]


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float32(), pa.uint8(), pa.float64()], ids=str)
def test_measures_of_any_number_type_are_compared(kind: pa.DataType) -> None:
    assert rule("at_least", 2.5).passes(pa.array([2, 3], kind)).to_pylist() == [False, True]


@dataclass(frozen=True, slots=True, kw_only=True)
class Between(Filter):
    name: ClassVar[str] = "between"
    revision: ClassVar[int] = 1
    least: float = 2
    most: float = 4

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (rule("at_least", self.least, "least"), rule("at_most", self.most, "most"))


def test_the_first_rule_that_fails_is_the_reason() -> None:
    batch = pa.record_batch({"words": pa.array([1.0, 2.0, 5.0, None], pa.float64())})
    decision = Between().decide(batch)
    assert decision.rule.to_pylist() == ["least", None, "most", "least"]
    assert decision.value.to_pylist() == [1.0, None, 5.0, None]
    assert decision.bound.to_pylist() == [2.0, None, 4.0, 2.0]
    assert Between().apply(batch).to_pylist() == [{"words": 2.0}]
    assert Between().decide(pa.record_batch({"words": [9.0]})).rule.to_pylist() == ["most"]


def test_when_all_rules_fail_the_first_in_order_is_recorded() -> None:
    impossible = Between(least=5, most=1)
    assert impossible.decide(pa.record_batch({"words": [3.0]})).rule.to_pylist() == ["least"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Filter):
    """Keeps what it is told to."""

    name: ClassVar[str] = "answers"
    revision: ClassVar[int] = 1
    mask: tuple[bool | None, ...]

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pa.array(self.mask, pa.bool_())


def test_a_filter_without_rules_is_its_own_reason() -> None:
    decision = Answers(mask=(True, False)).decide(pa.record_batch({"words": [1, 2]}))
    assert decision.rule.to_pylist() == [None, "answers"]
    assert decision.value.to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        pytest.param((True,), "answers: keep() must return 2 non-null booleans, got 1 with 0 nulls", id="too few"),
        pytest.param((True, None), "answers: keep() must return 2 non-null booleans, got 2 with 1 nulls", id="a null"),
    ],
)
def test_a_filter_that_does_not_answer_for_every_row_is_caught(mask: tuple[bool | None, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        Answers(mask=mask).apply(pa.record_batch({"words": [1, 2]}))
    assert str(caught.value) == message
