"""Who had each run of 13 tokens first: the filter that ngram_bloom asks, in as many bytes as the recipe allows.

A Bloom filter of bits, as DCLM's bff (arXiv:2406.11794), remembers what it saw in the order of arrival: two workers, or
one task run twice, give other answers. Here each cell holds the smallest rank of a document that has an n-gram there
(kernels/bloom_ngrams.py), which is the same in any order and however often a document is seen. The price is 64 bits a
cell for one.

Ranks: a source's priority first (up to 65,534; all above that are one), then 48 bits of a hash of the id. Documents
with the same id have the same rank, and are not compared: exact_dedup is for them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import Summary
from tokenmill.core.errors import RecipeError
from tokenmill.kernels.bloom_ngrams import NOBODY, cells_of, fill
from tokenmill.kernels.hashing import hash64

PARTS = pa.schema([pa.field("cell", pa.uint32(), nullable=False), pa.field("owner", pa.uint64(), nullable=False)])
FILTER = pa.schema(
    [
        pa.field("owners", pa.large_binary(), nullable=False),  # uint64 of each cell, little-endian; one row
        pa.field("tokens", pa.int32(), nullable=False),  # of an n-gram
        pa.field("hashes", pa.int32(), nullable=False),
        pa.field("one_in", pa.int32(), nullable=False),  # n-grams: those that were looked at
        pa.field("share_filled", pa.float64(), nullable=False),  # of the cells
    ]
)
CELLS_AT_MOST = 1 << 27  # 1 GiB: every worker has the filter in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramFilter(Summary):
    """Gives FILTER: 8 bytes a cell. The odds of taking a new n-gram for a seen one are (share of cells filled)^hashes.

    With 3 hashes they are 10% where there are 4.8 cells for each different n-gram, and 1% with 12.4. So the default,
    128 MB, is for 3.5 million n-grams: 17 MB of English prose. ngram_bloom refuses a filter that is too full.

    The cheap way is a sample: with `one_in` 16 a cell holds for 16 n-grams, 40 bytes of filter for a page of prose
    instead of 640, and a share over n of them has a standard error of sqrt(s (1 - s) / n): .09 at .8 and 20.
    """

    name: ClassVar[str] = "ngram_filter"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("priority", pa.int32())])

    tokens: int = 13  # DCLM's, there of words
    hashes: int = 3
    cells: int = 1 << 24  # a power of two
    one_in: int = 1  # n-grams, chosen by their hash; a power of two

    def __post_init__(self) -> None:
        for field in ("tokens", "hashes"):
            if getattr(self, field) < 1:
                raise RecipeError(f"{self.name}: {field}={getattr(self, field)}, want at least 1")
        if not 2 <= self.cells <= CELLS_AT_MOST or self.cells & (self.cells - 1):
            raise RecipeError(f"{self.name}: cells={self.cells}, want a power of two, 2..{CELLS_AT_MOST}")

        if self.one_in < 1 or self.one_in & (self.one_in - 1):
            raise RecipeError(f"{self.name}: one_in={self.one_in}, want a power of two")

    def observe(self, batch: pa.RecordBatch) -> pa.Table:
        bits = self.cells.bit_length() - 1
        cells, owners = cells_of(batch["text"], ranks_of(batch), self.tokens, self.hashes, bits, self.one_in)
        return pa.table([pa.array(cells), pa.array(owners)], schema=PARTS)

    def merge(self, parts: pa.Table) -> pa.Table:
        """The filled cells, in order. Cost: one pass over all cells."""
        owners = self._owners(parts)
        cells = np.flatnonzero(owners != np.uint64(NOBODY))
        return pa.table([pa.array(cells.astype(np.uint32)), pa.array(owners[cells])], schema=PARTS)

    def nothing(self) -> pa.Table:
        return PARTS.empty_table()

    def finish(self, merged: pa.Table) -> pa.Table:
        owners = self._owners(merged)
        share = np.count_nonzero(owners != np.uint64(NOBODY)) / self.cells
        offsets = pa.py_buffer(np.array([0, owners.nbytes], np.int64))
        packed = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(owners)])
        return pa.table([packed, [self.tokens], [self.hashes], [self.one_in], [share]], schema=FILTER)

    def _owners(self, parts: pa.Table) -> npt.NDArray[np.uint64]:
        owners = np.full(self.cells, NOBODY, np.uint64)
        fill(owners, parts["cell"].to_numpy(), parts["owner"].to_numpy())
        return owners


def ranks_of(batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
    """Of each document, smaller for a preferred one."""
    priority = np.clip(batch["priority"].to_numpy(), 0, 65_534).astype(np.uint64)
    hashes: npt.NDArray[np.uint64] = pc.fill_null(hash64(batch["id"], "ngram_filter"), 0).to_numpy()
    ranks: npt.NDArray[np.uint64] = (priority << np.uint64(48)) | (hashes >> np.uint64(16))
    return ranks
