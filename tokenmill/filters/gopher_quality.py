"""Drop documents that do not look like prose: too short or long, odd words, symbols, bullets, no function words.

Source: Gopher (Rae et al. 2021, arXiv:2112.11446), A.1.1, in datatrove 0.10's reading and its order of rules.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from tokenmill.core.stage import Filter, Rule
from tokenmill.kernels.text_measures import TEXT_MEASURES

_NAMES = (
    "words",
    "mean_word_length",
    "hashes_per_word_or_symbol",
    "ellipses_per_word_or_symbol",
    "share_of_lines_starting_with_bullet",
    "share_of_lines_ending_with_ellipsis",
    "share_of_words_and_symbols_with_letter",
    "stop_words",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GopherQuality(Filter):
    """Keeps a document if every measure is within its bound; a null text is dropped."""

    name: ClassVar[str] = "gopher_quality"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([TEXT_MEASURES.field(n) for n in _NAMES])

    words_at_least: float = 50
    words_at_most: float = 100_000
    mean_word_length_at_least: float = 3  # characters
    mean_word_length_at_most: float = 10
    hashes_at_most: float = 0.1  # per word or symbol
    ellipses_at_most: float = 0.1  # per word or symbol
    bullet_lines_at_most: float = 0.9  # share of lines
    ellipsis_lines_at_most: float = 0.3  # share of lines
    with_letter_at_least: float = 0.8  # share of words and symbols
    stop_words_at_least: float = 2  # different ones of 8

    @property
    def rules(self) -> tuple[Rule, ...]:
        def rule(name: str, measure: str, op: Literal["at_least", "at_most"], bound: float) -> Rule:
            return Rule(name=name, measure=measure, op=op, bound=bound, source="Gopher, arXiv:2112.11446, A.1.1")

        return (
            rule("words_at_least", "words", "at_least", self.words_at_least),
            rule("words_at_most", "words", "at_most", self.words_at_most),
            rule("mean_word_length_at_least", "mean_word_length", "at_least", self.mean_word_length_at_least),
            rule("mean_word_length_at_most", "mean_word_length", "at_most", self.mean_word_length_at_most),
            rule("hashes_at_most", "hashes_per_word_or_symbol", "at_most", self.hashes_at_most),
            rule("ellipses_at_most", "ellipses_per_word_or_symbol", "at_most", self.ellipses_at_most),
            rule("bullet_lines_at_most", "share_of_lines_starting_with_bullet", "at_most", self.bullet_lines_at_most),
            rule(
                "ellipsis_lines_at_most", "share_of_lines_ending_with_ellipsis", "at_most", self.ellipsis_lines_at_most
            ),
            rule(
                "with_letter_at_least",
                "share_of_words_and_symbols_with_letter",
                "at_least",
                self.with_letter_at_least,
            ),
            rule("stop_words_at_least", "stop_words", "at_least", self.stop_words_at_least),
        )
