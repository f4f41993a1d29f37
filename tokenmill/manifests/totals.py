"""What a run did, in numbers that must balance."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import DataError
from tokenmill.manifests import ledger


@dataclass(slots=True, kw_only=True)
class Totals:
    """Counts over a ledger, addable over shards. `dropped`, `duplicates` and `errors` are by stage and rule."""

    documents_in: int = 0
    made: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)  # what was read and is no document, by kind
    chars_in: int = 0
    chars_out: int = 0
    tokens: int = 0

    @classmethod
    def of(cls, rows: pa.Table) -> "Totals":
        """The totals of ledger rows (schema LEDGER); `records` is not in a ledger and stays empty."""
        made = rows.num_rows - rows["parent"].null_count
        totals = cls(
            documents_in=rows.num_rows - made,
            made=made,
            chars_in=pc.sum(rows["chars_in"]).as_py() or 0,
            chars_out=pc.sum(rows["chars_out"]).as_py() or 0,
            tokens=pc.sum(rows["tokens"]).as_py() or 0,
        )
        for group in rows.group_by(["fate", "stage", "rule"]).aggregate([([], "count_all")]).to_pylist():
            n = group["count_all"]
            match group["fate"]:
                case ledger.KEPT:
                    totals.kept += n
                case ledger.DROPPED:
                    totals.dropped[f"{group['stage']}.{group['rule']}"] += n
                case ledger.DUPLICATE:
                    totals.duplicates[group["stage"]] += n
                case ledger.ERROR:
                    totals.errors[f"{group['stage']}: {group['rule']}"] += n
        return totals

    def add(self, other: "Totals") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: dict(sorted(v.items())) if isinstance(v, Counter) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Totals":
        totals = cls()
        for name, value in values.items():
            setattr(totals, name, Counter(value) if isinstance(value, dict) else value)
        return totals

    def check_balance(self) -> None:
        """Raises DataError unless every document that came in or was made has exactly one fate."""
        left = self.kept + self.dropped.total() + self.duplicates.total() + self.errors.total()
        if self.documents_in + self.made != left:
            raise DataError(
                f"{self.documents_in:,} documents in + {self.made:,} made, but {self.kept:,} kept + "
                f"{self.dropped.total():,} dropped + {self.duplicates.total():,} duplicates + "
                f"{self.errors.total():,} errors: the run does not balance"
            )
