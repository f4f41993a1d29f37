"""The column `embedding`: what a document means, as one signed byte per dimension.

Bytes, because cosines of bytes are exact (kernels/int8_vectors.py), and a fourth of float32: 384 dimensions are 384
bytes a document. `numpy.frombuffer(value, numpy.int8)` reads one. All of a run have the same width, that of its model.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.core.errors import DataError
from tokenmill.kernels.int8_vectors import Int8

EMBEDDING = pa.field("embedding", pa.large_binary())  # null where a document has nothing to embed


def vectors_of(embeddings: pa.Array | pa.ChunkedArray, step: str) -> Int8:
    """int8[n, d] of the values that are not null; d is 0 where there are none. No copy where no value is null.

    Raises DataError where widths differ.
    """
    if isinstance(embeddings, pa.ChunkedArray):
        embeddings = embeddings.combine_chunks()
    present = embeddings.cast(EMBEDDING.type).drop_null()
    if not len(present):
        return np.zeros((0, 0), np.int8)
    _, ends, data = present.buffers()
    offsets = np.frombuffer(ends, np.int64)[present.offset : present.offset + len(present) + 1]
    width = int(offsets[1] - offsets[0])
    if (np.diff(offsets) != width).any():
        other = int(np.diff(offsets)[np.diff(offsets) != width][0])
        raise DataError(f"{step}: embeddings of {width} and of {other} dimensions; embed all documents with one model")
    values = np.frombuffer(data if data is not None else b"", np.int8)
    return values[int(offsets[0]) : int(offsets[-1])].reshape(len(present), width)


def embeddings_of(vectors: Int8, present: npt.NDArray[np.bool_]) -> pa.LargeBinaryArray:
    """One value per entry of `present`, the next of `vectors` where it is true, else null."""
    offsets = np.zeros(len(present) + 1, np.int64)
    np.cumsum(present, out=offsets[1:])
    data = np.ascontiguousarray(vectors)
    validity = pa.array(present).buffers()[1]
    buffers = [validity, pa.py_buffer(offsets * data.shape[1]), pa.py_buffer(data)]
    return pa.Array.from_buffers(EMBEDDING.type, len(present), buffers)
