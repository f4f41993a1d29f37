"""Drop placeholder text, code and what has too few sentences left once C4's line rules are applied.

Source: C4 (Raffel et al. 2020, arXiv:1910.10683), 2.2, as datatrove 0.10 reads it with filter_no_terminal_punct=False,
FineWeb's way. The lines themselves are removed by `c4_edit`, behind this filter: a dropped document keeps its text.
datatrove stops at the first line with either fault, so where a text has both its reason can be the other one.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.stage import Filter, Rule
from tokenmill.kernels.text_measures import TEXT_MEASURES

_SOURCE = "C4, arXiv:1910.10683, 2.2"
_NAMES = ("c4_lorem_ipsum_lines", "c4_curly_bracket_lines", "c4_sentences")


@dataclass(frozen=True, slots=True, kw_only=True)
class C4(Filter):
    """Keeps a document without such lines and with enough sentences; a null text is dropped."""

    name: ClassVar[str] = "c4"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([TEXT_MEASURES.field(n) for n in _NAMES])

    lorem_ipsum_lines_at_most: float = 0
    curly_bracket_lines_at_most: float = 0
    sentences_at_least: float = 5

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule(
                name="lorem_ipsum_lines_at_most",
                measure="c4_lorem_ipsum_lines",
                op="at_most",
                bound=self.lorem_ipsum_lines_at_most,
                source=_SOURCE,
            ),
            Rule(
                name="curly_bracket_lines_at_most",
                measure="c4_curly_bracket_lines",
                op="at_most",
                bound=self.curly_bracket_lines_at_most,
                source=_SOURCE,
            ),
            Rule(
                name="sentences_at_least",
                measure="c4_sentences",
                op="at_least",
                bound=self.sentences_at_least,
                source=_SOURCE,
            ),
        )
