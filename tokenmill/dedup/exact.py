"""Keep one of each set of documents with the same text, byte for byte.

Who stays is a policy (preference.py): by default the document of the preferred source, then a choice that depends on
the documents alone. Documents with empty text are equal to each other, so one of them stays. A null text is no text:
it is compared with nothing and never removed here.

Nothing is bounded by default: what leaves has an equal that stays, and a source may rightly be all copies of another.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.dedup.equal_keys import OneOfEachKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactDedup(OneOfEachKey):
    """One stays of the documents with equal `text`, compared by 128 bits of hash. Cost: one read of the text."""

    name: ClassVar[str] = "exact_dedup"
    revision: ClassVar[int] = 1

    prefer: tuple[str, ...] = ("priority",)  # equal texts are equally long

    def hashes(self, batch: pa.RecordBatch, content: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
        return content
