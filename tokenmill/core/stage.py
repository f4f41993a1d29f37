"""A stage is a pure function from RecordBatch to RecordBatch that says what it reads and adds."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import DataError
from tokenmill.core.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Step):
    """Changes or adds columns; keeps every row, in order, and gives the same however batches are cut.

    A row that a stage cannot handle gets a reason in the column `error` (where `adds` names it);
    the engine takes it out and records it. The other rows go on.
    """

    edits: ClassVar[bool] = False  # changes `text`: what was measured before no longer describes it

    @abstractmethod
    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Stage):
    """A stage whose added columns are measures: recorded for every document that reaches it, under measures/.

    Measures do not judge. They are null only where there is nothing to measure: no text, or for a language blank text.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A closed bound on one measure, and where it is published. A null or NaN measure fails."""

    name: str  # a field of the filter that owns it, so that `--set filter.name=bound` moves it
    measure: str
    op: Literal["at_least", "at_most"]
    bound: float
    source: str

    def passes(self, value: pa.Array) -> pa.BooleanArray:
        """True where the document may stay. Equality passes, as in every published filter we follow."""
        test = pc.greater_equal if self.op == "at_least" else pc.less_equal
        return pc.fill_null(test(pc.cast(value, pa.float64()), self.bound), False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a filter decided, one entry per row: `rule` is null where the document stays."""

    rule: pa.StringArray
    value: pa.DoubleArray  # the measure that failed; null where there is none
    bound: pa.DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter(Stage):
    """A stage that only drops rows. Write `keep`, or give `rules` and let them decide."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The bounds that decide, in order: the first that fails is the one in the ledger."""
        return ()

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """One non-null boolean per row. The default asks the rules."""
        return pc.is_null(self._by_rules(batch).rule)

    def decide(self, batch: pa.RecordBatch) -> Decision:
        """Which rows go, and why. Raises DataError if `keep` breaks its promise."""
        if self.rules:
            return self._by_rules(batch)
        mask = self.keep(batch)
        if len(mask) != batch.num_rows or mask.null_count:
            raise DataError(
                f"{self.name}: keep() must return {batch.num_rows} non-null booleans, "
                f"got {len(mask)} with {mask.null_count} nulls"
            )
        nothing = pa.nulls(batch.num_rows, pa.float64())
        return Decision(pc.if_else(mask, pa.scalar(None, pa.string()), self.name), nothing, nothing)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pc.is_null(self.decide(batch).rule))

    def _by_rules(self, batch: pa.RecordBatch) -> Decision:
        rule = pa.nulls(batch.num_rows, pa.string())
        value = bound = pa.nulls(batch.num_rows, pa.float64())
        for r in self.rules:
            measure = pc.cast(batch[r.measure], pa.float64())
            fails = pc.and_(pc.is_null(rule), pc.invert(r.passes(measure)))
            rule = pc.if_else(fails, r.name, rule)
            value = pc.if_else(fails, measure, value)
            bound = pc.if_else(fails, r.bound, bound)
        return Decision(rule, value, bound)
