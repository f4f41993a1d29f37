"""Keep documents in the languages that are wanted, where the identifier is sure enough.

Source: FineWeb (Penedo et al. 2024, arXiv:2406.17557): English, fastText score at least .65.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Decision, Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(Filter):
    """Drops by "languages" (another language, or none) and by "at_least" (one of them, but too unsure)."""

    name: ClassVar[str] = "language"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema(
        [pa.field("language", pa.string()), pa.field("language_score", pa.float64())]
    )

    languages: tuple[str, ...] = ("en",)  # codes as the identifier gives them
    at_least: float = 0.65  # 0..1

    def __post_init__(self) -> None:
        if not self.languages:
            raise RecipeError(f"{self.name}: languages=(), want at least one")
        if not 0 <= self.at_least <= 1:
            raise RecipeError(f"{self.name}: at_least={self.at_least}, want 0..1")

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_null(self.decide(batch).rule)

    def decide(self, batch: pa.RecordBatch) -> Decision:
        """A null language is another one; a null or NaN score is too unsure."""
        wanted = pc.fill_null(pc.is_in(batch["language"], value_set=pa.array(self.languages, pa.string())), False)
        sure = pc.fill_null(pc.greater_equal(batch["language_score"], self.at_least), False)
        unsure = pc.and_(wanted, pc.invert(sure))
        no_rule, no_number = pa.scalar(None, pa.string()), pa.scalar(None, pa.float64())
        return Decision(
            rule=pc.if_else(wanted, pc.if_else(unsure, "at_least", no_rule), "languages"),
            value=pc.if_else(unsure, batch["language_score"], no_number),
            bound=pc.if_else(unsure, pa.scalar(self.at_least, pa.float64()), no_number),
        )
