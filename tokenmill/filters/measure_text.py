"""Measure what the rules of Gopher and C4 ask about a text: words, repetition, symbols, lines, sentences.

Definitions: `kernels/text_measures_names.py`. They follow datatrove 0.10, which FineWeb was made with, but for the
splitting into words and sentences (`kernels/text_measures_tokens.py`, `kernels/text_measures_c4.py`).
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.stage import Measure
from tokenmill.kernels.text_measures import TEXT_MEASURES, measure_text


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureText(Measure):
    """Adds every TextMeasure as a column, in one go over the bytes of the text."""

    name: ClassVar[str] = "measure_text"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = TEXT_MEASURES

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(
            [*batch.columns, *measure_text(batch["text"])], schema=pa.schema([*batch.schema, *self.adds])
        )
