"""Write shards that Megatron reads: `.bin` (the ids), `.idx` (where documents begin), and a map back to documents.

The layout is that of megatron-core's IndexedDataset, byte for byte (tested against its own builder, 0.16.1); we write
it ourselves because the core installs without torch and because that builder keeps a Python object per document.
Every document is one sequence that ends with its EOD.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.document import SHARD_NAME
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.format import Format

MAP = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),  # where the run that tokenized it read the document,
        pa.field("row", pa.int64(), nullable=False),  # as in its ledger
        pa.field("position", pa.int64(), nullable=False),  # 0, 1, ...: the document's number in this token shard
        pa.field("start", pa.int64(), nullable=False),  # its first token, counted in tokens from the shard's first
        pa.field("length", pa.int32(), nullable=False),  # tokens, EOD included
    ]
)
MAP_ROWS = 1 << 16  # per row group: a lookup reads about 1 MB; the files do not depend on how batches were cut
UINT16_BELOW = 65_500  # vocabulary; Megatron's DType.optimal_dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class MegatronShards(Format):
    """Ids as uint16 where the vocabulary is below 65,500, else int32. Memory: one batch, a row group of the map
    (about 8 MB) and 4 bytes per document of the shard.

    Raises DataError, naming the document, for an id outside the vocabulary and for a document without ids.
    """

    name: ClassVar[str] = "megatron"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema(
        [*(MAP.field(name) for name in ("id", "source", "row")), SHARD_NAME, ("ids", pa.large_list(pa.int32()))]
    )
    folder: ClassVar[str] = "tokens"
    suffixes: ClassVar[tuple[str, ...]] = (".bin", ".idx", ".map.parquet")

    vocabulary_size: int  # highest id plus one

    def __post_init__(self) -> None:
        if not 1 <= self.vocabulary_size <= 2**31:
            raise RecipeError(f"{self.name}: vocabulary_size={self.vocabulary_size}, want 1..2**31")

    def write(self, batches: Iterable[pa.RecordBatch], create: Callable[[str], BinaryIO]) -> None:
        dtype = np.dtype("<u2" if self.vocabulary_size < UINT16_BELOW else "<i4")
        lengths = [np.zeros(0, np.int32)]
        with create(".bin") as tokens, create(".map.parquet") as places:
            with pq.ParquetWriter(places, MAP, compression="zstd", compression_level=1) as writer:
                for rows in _in_row_groups(self._batch(b, dtype, tokens, lengths) for b in batches):
                    writer.write_table(rows, row_group_size=MAP_ROWS)
        with create(".idx") as index:
            _write_index(index, np.concatenate(lengths), dtype)

    def _batch(
        self, batch: pa.RecordBatch, dtype: np.dtype[np.generic], tokens: BinaryIO, lengths: list[npt.NDArray[np.int32]]
    ) -> pa.Table:
        """Append the ids of `batch` to `tokens` and its lengths to `lengths`; the rows of the map, without places."""
        lists = batch["ids"]
        ids = lists.flatten().to_numpy()
        ends = np.cumsum(lists.value_lengths().fill_null(0).to_numpy())
        here = np.diff(ends, prepend=0)
        if (bad := np.flatnonzero((here < 1) | (here >= 2**31))).size:
            raise DataError(f"{_document(batch, bad[0])}: {here[bad[0]]:,} ids; want 1..2**31-1, the last one its EOD")
        if (bad := np.flatnonzero((ids < 0) | (ids >= self.vocabulary_size))).size:
            document = int(np.searchsorted(ends, bad[0], side="right"))
            raise DataError(
                f"{_document(batch, document)}: id {ids[bad[0]]} is outside the vocabulary of "
                f"{self.vocabulary_size:,}; the ids were made with another tokenizer"
            )
        tokens.write(ids.astype(dtype).tobytes())
        lengths.append(here.astype(np.int32))
        columns = [batch[name] for name in ("id", "source", SHARD_NAME.name, "row")]
        return pa.table([*columns, pa.array(here, pa.int32())], names=["id", "source", "shard", "row", "length"])


def _in_row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of MAP_ROWS, the last one shorter, with `position` and `start` filled in."""
    waiting: list[pa.Table] = []
    count = position = start = 0

    def placed(rows: pa.Table) -> pa.Table:
        nonlocal position, start
        lengths = rows["length"].to_numpy().astype(np.int64)
        ends = start + np.cumsum(lengths)
        rows = rows.append_column("position", pa.array(np.arange(position, position + len(lengths))))
        rows = rows.append_column("start", pa.array(ends - lengths))
        position, start = position + len(lengths), int(ends[-1])
        return rows.select(MAP.names).cast(MAP)

    for table in tables:
        waiting.append(table)
        count += table.num_rows
        while count >= MAP_ROWS:
            whole = pa.concat_tables(waiting)
            yield placed(whole.slice(0, MAP_ROWS).combine_chunks())
            waiting, count = [whole.slice(MAP_ROWS)], count - MAP_ROWS
    if count:
        yield placed(pa.concat_tables(waiting).combine_chunks())


def _write_index(file: BinaryIO, lengths: npt.NDArray[np.int32], dtype: np.dtype[np.generic]) -> None:
    n = len(lengths)
    file.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8 if dtype.itemsize == 2 else 4, n, n + 1))
    file.write(lengths.astype("<i4").tobytes())
    offset = 0
    for block in (lengths[i : i + MAP_ROWS] for i in range(0, n, MAP_ROWS)):
        ends = offset + np.cumsum(block, dtype=np.int64) * dtype.itemsize
        file.write((ends - block.astype(np.int64) * dtype.itemsize).astype("<i8").tobytes())
        offset = int(ends[-1])
    for first in range(0, n + 1, MAP_ROWS):
        file.write(np.arange(first, min(first + MAP_ROWS, n + 1), dtype="<i8").tobytes())


def _document(batch: pa.RecordBatch, row: int) -> str:
    """For an error: which document, and where it was read."""
    id, shard, number = (batch[name][int(row)].as_py() for name in ("id", SHARD_NAME.name, "row"))
    return f"document {id} (shard {shard}, row {number})"
