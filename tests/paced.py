"""A stage that a test can hold up in the middle, in whatever process it runs."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from tokenmill.core.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced(Stage):
    """Takes as many seconds for each batch as the file `pace` says; none once that is gone."""

    name: ClassVar[str] = "paced"
    revision: ClassVar[int] = 1

    pace: str

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if Path(self.pace).exists():
            time.sleep(float(Path(self.pace).read_text()))
        return batch
