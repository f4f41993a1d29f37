"""Turn each document's text into token ids, its end of document included.

The ids are those of Hugging Face `tokenizers`, except that no text becomes a special token (see library_encoder.py).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pyarrow as pa

from tokenmill.core.asset import Asset
from tokenmill.core.document import TOKENS
from tokenmill.core.stage import Stage
from tokenmill.tokenize.encoder import Encoder

IDS = pa.field("ids", pa.large_list(pa.int32()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenize(Stage):
    """Adds `ids` and `tokens`, their number. A null or empty text has one id: its end of document.

    `eod` is a token, never "find it yourself": the files beside a tokenizer that may name one are not part of
    this step's version, so `pipelines/tokens.py` asks them before.
    """

    name: ClassVar[str] = "tokenize"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = pa.schema([IDS, TOKENS])
    pins: ClassVar[tuple[str, ...]] = ("tokenizers",)

    tokenizer: Asset
    eod: str

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        encoder = encoder_of(self.tokenizer, self.eod)
        ids, lengths = encoder.encode(batch["text"])
        ends = np.cumsum(lengths)
        ids = np.insert(ids, ends, np.int32(encoder.eod))
        offsets = np.zeros(batch.num_rows + 1, np.int64)
        offsets[1:] = ends + np.arange(1, batch.num_rows + 1)
        lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids, pa.int32()))
        return batch.append_column(IDS, lists).append_column(TOKENS, pa.array(lengths + 1))


@lru_cache(maxsize=2)
def encoder_of(tokenizer: Asset, eod: str) -> Encoder:
    """Loaded once per process: reading a vocabulary takes about half a second."""
    return Encoder(tokenizer.path(), eod)
