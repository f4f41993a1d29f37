"""Remove the lines that C4 rejects, and Wikipedia's citation marks, from the documents that are kept.

Source: C4 (arXiv:1910.10683), 2.2, as datatrove 0.10 reads it with filter_no_terminal_punct=False.
`kernels/text_measures_c4.py` says which lines go.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.stage import Stage
from tokenmill.kernels.text_measures import keep_c4_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class C4Edit(Stage):
    """The kept lines, stripped, joined by newlines; a text of which none is kept becomes empty, null stays null."""

    name: ClassVar[str] = "c4_edit"
    revision: ClassVar[int] = 1
    edits: ClassVar[bool] = True
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = reads

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index("text")
        return batch.set_column(place, batch.schema.field(place), keep_c4_lines(batch["text"]))
