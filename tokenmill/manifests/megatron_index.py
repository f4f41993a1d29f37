"""Read and check Megatron's `.idx`: what a pair of `.bin` and `.idx` holds, without torch.

Megatron itself checks little: a short `.bin` opens without a word and fails, or not, when its last document is read.
So everything is checked here, before anything is trained. Layout: megatron-core 0.16.1, indexed_dataset.py.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.errors import DataError

MAGIC = b"MMIDIDX\0\0"
HEADER = struct.Struct("<9sQBQQ")  # magic, version, dtype, sequences, document boundaries
# Megatron's codes for what holds ids; the others we never write.
DTYPES: dict[int, np.dtype[np.generic]] = {4: np.dtype("<i4"), 8: np.dtype("<u2")}
BLOCK = 1 << 22  # tokens read at once by a check


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenShard:
    """What the header and the file sizes say. `prefix` is the path without `.bin` or `.idx`."""

    prefix: Path
    dtype: np.dtype[np.generic]
    documents: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A whole `.idx`: its shard, the tokens of each document (int32), and the first sequence of each (int64, n+1)."""

    shard: TokenShard
    lengths: npt.NDArray[np.int32]
    boundaries: npt.NDArray[np.int64]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first token of each document, and the number of all tokens: int64[n+1]."""
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(self.lengths, dtype=np.int64)))


def read_header(prefix: Path) -> TokenShard:
    """Cost: 34 bytes and two file sizes. Raises DataError, naming the file, unless those fit each other."""
    index, tokens = index_of(prefix), tokens_of(prefix)
    try:
        with index.open("rb") as file:
            header = file.read(HEADER.size)
            index_bytes = os.fstat(file.fileno()).st_size
        token_bytes = tokens.stat().st_size
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); restore it or tokenize again") from error
    if len(header) < HEADER.size:
        raise DataError(f"{index}: {len(header)} bytes, a header alone has {HEADER.size}; tokenize again")
    magic, version, code, sequences, boundaries = HEADER.unpack(header)
    if magic != MAGIC:
        raise DataError(f"{index}: begins with {magic!r}, want {MAGIC!r}: not an index of Megatron's")
    if version != 1:
        raise DataError(f"{index}: version {version}, want 1")
    if code not in DTYPES:
        raise DataError(f"{index}: type {code} of the ids, want one of {sorted(DTYPES)} (4: int32, 8: uint16)")
    if boundaries != sequences + 1:
        raise DataError(f"{index}: {sequences:,} sequences, {boundaries:,} document boundaries; want one more of these")
    if index_bytes != (wanted := HEADER.size + 12 * sequences + 8 * boundaries):
        raise DataError(f"{index}: {index_bytes:,} bytes, {sequences:,} sequences make {wanted:,}; tokenize again")
    dtype = DTYPES[code]
    if token_bytes % dtype.itemsize:
        raise DataError(f"{tokens}: {token_bytes:,} bytes are no whole number of {dtype.name} ids; tokenize again")
    return TokenShard(prefix=prefix, dtype=dtype, documents=sequences, tokens=token_bytes // dtype.itemsize)


def read_index(prefix: Path) -> Index:
    """Cost: reads the `.idx`, 20 bytes a document. Raises DataError unless it describes the whole `.bin`, in order."""
    shard = read_header(prefix)
    index, n = index_of(prefix), shard.documents
    with index.open("rb") as file:
        file.seek(HEADER.size)
        lengths = np.frombuffer(file.read(4 * n), "<i4").astype(np.int32)
        pointers = np.frombuffer(file.read(8 * n), "<i8")
        boundaries = np.frombuffer(file.read(8 * (n + 1)), "<i8").astype(np.int64)
    found = Index(shard=shard, lengths=lengths, boundaries=boundaries)
    if (bad := np.flatnonzero(lengths < 0)).size:
        raise DataError(f"{index}: document {bad[0]:,} has {lengths[bad[0]]} tokens")
    starts = found.starts
    if (bad := np.flatnonzero(pointers != starts[:-1] * shard.dtype.itemsize)).size:
        at = bad[0]
        raise DataError(
            f"{index}: document {at:,} begins at byte {pointers[at]:,}, the lengths before it make "
            f"{starts[at] * shard.dtype.itemsize:,}; restore it or tokenize again"
        )
    if (bad := np.flatnonzero(boundaries != np.arange(n + 1))).size:
        at = bad[0]
        raise DataError(f"{index}: document boundary {at:,} is at sequence {boundaries[at]:,}; want one sequence each")
    if starts[-1] != shard.tokens:
        raise DataError(
            f"{tokens_of(prefix)}: {shard.tokens:,} tokens, its index says {starts[-1]:,}; restore it or tokenize again"
        )
    return found


def check_token_shard(prefix: Path, eod: int | None) -> list[str]:
    """What is wrong with a shard, as sentences that name the file; empty where nothing is.

    The header, the boundaries, the size of the `.bin`, `eod` (if given) at the end of every document and nowhere
    else, and the map. Cost: one pass over the `.bin`, 32 MB, and about 60 bytes of memory a document.
    """
    try:
        index = read_index(prefix)
    except DataError as error:
        return [str(error)]
    problems = [] if eod is None or not index.shard.tokens else _misplaced_ends(index, eod)
    return problems + _map_problems(index)


def index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".idx")


def tokens_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".bin")


def map_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".map.parquet")


def _misplaced_ends(index: Index, eod: int) -> list[str]:
    """Read in blocks: a shard may be larger than memory."""
    path, ends = tokens_of(index.shard.prefix), index.starts[1:] - 1
    lacking, stray = np.zeros(0, np.int64), np.zeros(0, np.int64)
    with path.open("rb") as file:
        for first in range(0, index.shard.tokens, BLOCK):
            found = first + np.flatnonzero(np.fromfile(file, index.shard.dtype, BLOCK) == eod)
            wanted = ends[np.searchsorted(ends, first) : np.searchsorted(ends, first + BLOCK)]
            lacking = np.concatenate((lacking, np.setdiff1d(wanted, found)))
            stray = np.concatenate((stray, np.setdiff1d(found, wanted)))
    problems = []
    if lacking.size:
        first = int(np.searchsorted(ends, lacking[0]))
        problems.append(f"{path}: {lacking.size:,} documents do not end with id {eod}, the first is document {first:,}")
    if stray.size:
        problems.append(
            f"{path}: id {eod}, the end of a document, stands inside one {stray.size:,} times, "
            f"first at token {stray[0]:,}"
        )
    return problems


def _map_problems(index: Index) -> list[str]:
    path = map_of(index.shard.prefix)
    try:
        rows = pq.read_table(path, columns=["position", "start", "length"])
    except (OSError, pa.ArrowException) as error:
        return [f"{path}: cannot be read ({error}); restore it or tokenize again"]
    wanted: tuple[npt.NDArray[Any], ...] = (np.arange(index.shard.documents), index.starts[:-1], index.lengths)
    for name, values in zip(rows.column_names, wanted, strict=True):
        found = rows[name].to_numpy()
        if len(found) != len(values):
            return [f"{path}: {len(found):,} documents, the index has {len(values):,}"]
        if (bad := np.flatnonzero(found != values)).size:
            at = bad[0]
            return [f"{path}: document {at:,} has {name} {found[at]:,}, the index says {values[at]:,}"]
    return []
