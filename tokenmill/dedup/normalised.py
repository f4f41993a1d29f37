"""Keep one of each set of documents with the same words in the same order.

Case, punctuation, white space, symbols and the way in which accents are encoded do not count
(kernels/normalised_hash.py says exactly what does). It finds the copies that exact_dedup misses because an extractor
broke lines elsewhere or a site wrote other quotation marks. Texts without any word are compared byte for byte, empty
ones are equal to each other, and a null text is compared with nothing.

Not for code, where punctuation carries meaning: `a = b + c` and `a == b - c` have the same words.

Nothing is bounded by default: what leaves has all its words in a document that stays.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from tokenmill.dedup.equal_keys import OneOfEachKey
from tokenmill.dedup.preference import POLICY
from tokenmill.kernels.normalised_hash import normalised_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedDedup(OneOfEachKey):
    """One stays of the documents with equal words, by default that of the preferred source, then the longest.

    The pinned Unicode table says what a word is: when it changes, so must `revision`. Similarity is 1: of the words.
    """

    name: ClassVar[str] = "normalised_dedup"
    revision: ClassVar[int] = 1

    prefer: tuple[str, ...] = POLICY

    def hashes(self, batch: pa.RecordBatch, content: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
        return normalised_hash(batch["text"])
