"""Add what each document means, as a local model says it: the input of semantic deduplication.

A document is known by the beginning of its text: the first `max_tokens` tokens of its first 32 * max_tokens
characters (no need to tokenize a book for its first page). Documents that begin with the same page of boilerplate are
alike, whatever follows: take that off first.

A model's numbers depend on the processor, the libraries and, in their last bits, on how many documents go through it
at once. So: the libraries are pinned into the version, and the device is a parameter; on a CPU each document goes
through alone, on one thread, without padding, so that its embedding depends on its text only (embed_model.py has what
that costs, and what holds on a GPU). What is left is the processor: another one may round a byte another way. So a
run's embeddings are recorded with its documents, and all that follows from them is exact.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.asset import Asset
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.stage import Stage
from tokenmill.dedup.embed_model import need_models_extra, text_model
from tokenmill.dedup.embedding import EMBEDDING, embeddings_of
from tokenmill.kernels.int8_vectors import quantised

CHARS_PER_TOKEN_AT_MOST = 32  # beyond it, less than `max_tokens` tokens are embedded; prose has 4 to 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed(Stage):
    """Adds `embedding`: null where the text is null or has no token. `embed_from` (embed_directory.py) makes one.

    Normalising is no parameter: a cosine does not ask for the length. Cost: benchmarks/semantic.py; memory: the model.
    """

    name: ClassVar[str] = "embed"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("text", pa.large_string())])
    adds: ClassVar[pa.Schema] = pa.schema([EMBEDDING])
    pins: ClassVar[tuple[str, ...]] = ("tokenizers", "torch", "transformers")

    config: Asset  # config.json of a transformers model
    tokenizer: Asset  # tokenizer.json
    weights: tuple[Asset, ...]  # model.safetensors, or model.safetensors.index.json and what it names
    pooling: Literal["mean", "cls", "last"] = "mean"  # of all tokens' states, or the first one's, or the last one's
    max_tokens: int = 256  # with those that the tokenizer puts around a text
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.pooling not in ("mean", "cls", "last"):
            raise RecipeError(f"{self.name}: pooling={self.pooling}, want mean, cls or last")
        if self.device not in ("cpu", "cuda"):
            raise RecipeError(f"{self.name}: device={self.device}, want cpu or cuda")
        if self.max_tokens < 8:
            raise RecipeError(f"{self.name}: max_tokens={self.max_tokens}, want at least 8")
        if not self.weights:
            raise RecipeError(f"{self.name}: no weights; want model.safetensors")
        need_models_extra(self.name)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        model = text_model(self.config, self.tokenizer, self.weights, self.max_tokens, self.device)
        beginnings = pc.utf8_slice_codeunits(batch["text"], 0, CHARS_PER_TOKEN_AT_MOST * self.max_tokens)
        texts = [text or "" for text in beginnings.to_pylist()]
        vectors, present = model.embed(texts, self.pooling)
        try:
            bytes_ = quantised(vectors)
        except ValueError as error:
            rows = batch.filter(pa.array(present))["id"] if "id" in batch.schema.names else "?"
            where = rows[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
            raise DataError(f"{self.name}: document {where}: the model gives NaN or infinity") from error
        return batch.append_column(EMBEDDING, embeddings_of(bytes_, present))
