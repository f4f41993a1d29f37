"""Drop documents whose lines are not prose: few end in punctuation, many are short, repeated, or there are too many.

Source: FineWeb (Penedo et al. 2024, arXiv:2406.17557), 3.6, as in datatrove 0.10's FineWebQualityFilter. Its check
for an empty text is not needed: the share of punctuated lines is 0 then.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from tokenmill.core.stage import Filter, Rule
from tokenmill.kernels.text_measures import LINE_MEASURES


@dataclass(frozen=True, slots=True, kw_only=True)
class FineWeb(Filter):
    """Keeps a document if every measure is within its bound; a null text is dropped."""

    name: ClassVar[str] = "fineweb"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = LINE_MEASURES

    punctuated_lines_at_least: float = 0.12  # share of lines
    short_lines_at_most: float = 0.67  # share of lines; short: at most 30 characters
    chars_in_duplicate_lines_at_most: float = 0.01
    newlines_at_most: float = 0.3  # per word or symbol

    @property
    def rules(self) -> tuple[Rule, ...]:
        def rule(name: str, measure: str, op: Literal["at_least", "at_most"], bound: float) -> Rule:
            return Rule(name=name, measure=measure, op=op, bound=bound, source="FineWeb, arXiv:2406.17557, 3.6")

        return (
            rule(
                "punctuated_lines_at_least",
                "share_of_lines_ending_with_punctuation",
                "at_least",
                self.punctuated_lines_at_least,
            ),
            rule("short_lines_at_most", "share_of_lines_short", "at_most", self.short_lines_at_most),
            rule(
                "chars_in_duplicate_lines_at_most",
                "share_of_chars_in_duplicate_lines",
                "at_most",
                self.chars_in_duplicate_lines_at_most,
            ),
            rule("newlines_at_most", "newlines_per_word_or_symbol", "at_most", self.newlines_at_most),
        )
