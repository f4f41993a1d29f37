"""What all duplicate barriers share: who a document is, in 16 bytes, and how a verdict is written down."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.barrier import VERDICTS
from tokenmill.core.errors import DataError
from tokenmill.kernels.hashing import bytes16_from_hex, hash128, hex_from_bytes16

Integers = npt.NDArray[np.integer[Any]]

BYTES16 = pa.binary(16)


def narrow_ids(ids: pa.StringArray, step: str) -> pa.FixedSizeBinaryArray:
    """Ids as 16 bytes. Raises DataError for one that is not 32 hex digits."""
    try:
        return bytes16_from_hex(ids)
    except ValueError as error:
        raise DataError(f"{step}: {error}; the source that reads these documents must give ids") from error


def content_hash(texts: pa.LargeStringArray) -> pa.FixedSizeBinaryArray:
    """16 bytes over the UTF-8 as it stands, null for null. Odds that any two of 10^11 different texts meet: 1e-17."""
    return hash128(texts, "text")


def first_half(values: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    """The first 8 of each 16 bytes as a number; anything where null."""
    return _halves(values)[:, 0].astype(np.uint64)


def column(rows: pa.Table, name: str, taken: Integers | None = None) -> Integers:
    """A column of numbers, of all rows or of those `taken`."""
    values: Integers = rows[name].to_numpy()
    return values if taken is None else values[taken]


def halves(rows: pa.Table, name: str, taken: Integers) -> list[Integers]:
    """A column of 16 bytes at the rows `taken`, as the keys that sort it: [second half, first half]."""
    both = _halves(rows[name].combine_chunks())[taken]
    return [both[:, 1].astype(np.uint64), both[:, 0].astype(np.uint64)]


def matrix(signatures: pa.FixedSizeBinaryArray, hashes: int) -> npt.NDArray[np.uint32]:
    """uint32[n, hashes]: a view of one array of packed signatures."""
    places = np.frombuffer(signatures.buffers()[1] if len(signatures) else b"", "<u4")
    return places[signatures.offset * hashes : (signatures.offset + len(signatures)) * hashes].reshape(-1, hashes)


def matrix_of(signatures: pa.ChunkedArray, hashes: int) -> npt.NDArray[np.uint32]:
    """uint32[n, hashes]: a view of the column where it is one chunk, else its only copy."""
    chunks = [matrix(chunk, hashes) for chunk in signatures.chunks if len(chunk)]
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate([np.zeros((0, hashes), np.uint32), *chunks])


def verdicts(
    rows: pa.Table,
    removed: Integers,
    keepers: Integers,
    similarity: npt.NDArray[np.float32],
    band: Integers | None = None,
) -> pa.Table:
    """VERDICTS about the rows `removed`, each beside the row that is kept for it; ordered by address."""
    shard, row = column(rows, "shard"), column(rows, "row")
    order = np.lexsort((row[removed], shard[removed]))
    removed, keepers, similarity = removed[order], keepers[order], similarity[order]
    bands = pa.nulls(len(removed), pa.int32()) if band is None else pa.array(band[order].astype(np.int32))
    ids = hex_from_bytes16(pc.take(rows["id"].combine_chunks(), pa.array(keepers)))
    return pa.table(
        [shard[removed], row[removed], ids, shard[keepers], row[keepers], similarity, bands], schema=VERDICTS
    )


def _halves(values: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    data = values.buffers()[1] if len(values) else b""
    numbers = np.frombuffer(data, ">u8").reshape(-1, 2)
    return numbers[values.offset : values.offset + len(values)]
