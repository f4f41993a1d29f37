"""Measure what FineWeb's rules ask about the lines of a text, behind the edit that removes some of them.

Definitions: `kernels/text_measures_names.py`, LineMeasure.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.stage import Measure
from tokenmill.kernels.text_measures import LINE_MEASURES, measure_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureLines(Measure):
    """Adds every LineMeasure as a column."""

    name: ClassVar[str] = "measure_lines"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = LINE_MEASURES

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(
            [*batch.columns, *measure_lines(batch["text"])], schema=pa.schema([*batch.schema, *self.adds])
        )
