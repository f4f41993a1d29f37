"""Drop documents that repeat themselves: lines, paragraphs, n-grams.

Source: Gopher (Rae et al. 2021, arXiv:2112.11446), table A1, in datatrove 0.10's reading and its order of rules.
Its first check, that the text is not empty, is `chars_at_least`.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.stage import Filter, Rule
from tokenmill.kernels.text_measures import TEXT_MEASURES

_SOURCE = "Gopher, arXiv:2112.11446, table A1"
_NAMES = (
    "chars",
    "share_of_paragraphs_repeated",
    "share_of_chars_in_repeated_paragraphs",
    "share_of_lines_repeated",
    "share_of_chars_in_repeated_lines",
    *(f"share_of_chars_in_top_{n}_gram" for n in (2, 3, 4)),
    *(f"share_of_chars_in_repeated_{n}_grams" for n in range(5, 11)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherRepetition(Filter):
    """Keeps a document if each measure is at most its bound; a null text is dropped."""

    name: ClassVar[str] = "gopher_repetition"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([TEXT_MEASURES.field(n) for n in _NAMES])

    chars_at_least: float = 1
    paragraphs_repeated_at_most: float = 0.30
    chars_in_repeated_paragraphs_at_most: float = 0.20
    lines_repeated_at_most: float = 0.30
    chars_in_repeated_lines_at_most: float = 0.20
    top_2_gram_at_most: float = 0.20
    top_3_gram_at_most: float = 0.18
    top_4_gram_at_most: float = 0.16
    repeated_5_grams_at_most: float = 0.15
    repeated_6_grams_at_most: float = 0.14
    repeated_7_grams_at_most: float = 0.13
    repeated_8_grams_at_most: float = 0.12
    repeated_9_grams_at_most: float = 0.11
    repeated_10_grams_at_most: float = 0.10

    @property
    def rules(self) -> tuple[Rule, ...]:
        def at_most(name: str, measure: str, bound: float) -> Rule:
            return Rule(name=name, measure=measure, op="at_most", bound=bound, source=_SOURCE)

        return (
            Rule(
                name="chars_at_least",
                measure="chars",
                op="at_least",
                bound=self.chars_at_least,
                source="datatrove 0.10, gopher_repetition_filter.py: empty",
            ),
            at_most("paragraphs_repeated_at_most", "share_of_paragraphs_repeated", self.paragraphs_repeated_at_most),
            at_most(
                "chars_in_repeated_paragraphs_at_most",
                "share_of_chars_in_repeated_paragraphs",
                self.chars_in_repeated_paragraphs_at_most,
            ),
            at_most("lines_repeated_at_most", "share_of_lines_repeated", self.lines_repeated_at_most),
            at_most(
                "chars_in_repeated_lines_at_most",
                "share_of_chars_in_repeated_lines",
                self.chars_in_repeated_lines_at_most,
            ),
            at_most("top_2_gram_at_most", "share_of_chars_in_top_2_gram", self.top_2_gram_at_most),
            at_most("top_3_gram_at_most", "share_of_chars_in_top_3_gram", self.top_3_gram_at_most),
            at_most("top_4_gram_at_most", "share_of_chars_in_top_4_gram", self.top_4_gram_at_most),
            at_most("repeated_5_grams_at_most", "share_of_chars_in_repeated_5_grams", self.repeated_5_grams_at_most),
            at_most("repeated_6_grams_at_most", "share_of_chars_in_repeated_6_grams", self.repeated_6_grams_at_most),
            at_most("repeated_7_grams_at_most", "share_of_chars_in_repeated_7_grams", self.repeated_7_grams_at_most),
            at_most("repeated_8_grams_at_most", "share_of_chars_in_repeated_8_grams", self.repeated_8_grams_at_most),
            at_most("repeated_9_grams_at_most", "share_of_chars_in_repeated_9_grams", self.repeated_9_grams_at_most),
            at_most("repeated_10_grams_at_most", "share_of_chars_in_repeated_10_grams", self.repeated_10_grams_at_most),
        )
