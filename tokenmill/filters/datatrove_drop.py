"""Drop the documents that a datatrove step before gave a reason for."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.stage import Decision, Filter


class CalledName:
    """A name per instance, and one of the class for those who list classes: a recipe may hold several."""

    def __init__(self, of_class: str, suffix: str = "") -> None:
        self._of_class = of_class
        self._suffix = suffix

    def __get__(self, step: Any, owner: type) -> str:
        return self._of_class if step is None else f"{step.called}{self._suffix}"


def reason_of(called: str) -> pa.Field:
    """The column in which the stage tells the filter."""
    return pa.field(f"{called}_reason", pa.string())


@dataclass(frozen=True, slots=True, kw_only=True)
class DatatroveDrop(Filter):
    """The reason is the rule in the ledger."""

    name: ClassVar[str] = CalledName("datatrove")  # type: ignore[assignment]
    revision: ClassVar[int] = 1

    called: str

    @property
    def reads(self) -> pa.Schema:
        return pa.schema([reason_of(self.called)])

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(self.decide(batch).rule)

    def decide(self, batch: pa.RecordBatch) -> Decision:
        nothing = pa.nulls(batch.num_rows, pa.float64())
        return Decision(rule=batch[reason_of(self.called).name], value=nothing, bound=nothing)
