"""Hashes of text, bytes and ids, 64 or 128 bits wide: the same on every machine, run and engine.

XXH64 over Arrow's buffers, no Python object per value. Odds that any two of n different values meet, were
the function random: n^2 / 2^65 for 64 bits (3% at a billion values), n^2 / 2^129 for 128 bits (1e-17 at a
hundred billion). So 64 bits only bring values together; 128 bits may stand for them. Neither withstands
somebody who builds colliding values on purpose: XXH64 is no cryptographic hash.

Sources: XXH64 (hashing_xxh64.py). The seeds are the first two little-endian words of SHA-256(salt), so the
128-bit hash is two XXH64 of the same bytes under unrelated seeds.
"""

import hashlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing_xxh64 import xxh64

Values: TypeAlias = pa.StringArray | pa.LargeStringArray | pa.BinaryArray | pa.LargeBinaryArray


def hash64(values: Values, salt: str) -> pa.UInt64Array:
    """One hash per value, null for null; equal bytes give equal hashes whatever the Arrow type.

    Documents go to shard hash64(id, salt) mod K. Raises ValueError for any other type.
    Cost: one read of the bytes, up to 10 GB/s on long values, 60 million short values a second.
    """
    data, offsets = data_and_offsets(values)
    hashes = np.empty(len(values), np.uint64)
    _hash64(data, offsets, seeds(salt)[0], hashes)
    return pa.array(hashes, mask=_mask(values))


def hash128(values: Values, salt: str) -> pa.FixedSizeBinaryArray:
    """16 bytes per value, null for null: two XXH64 digests, big-endian, the first of them hash64(values, salt)."""
    halves = _halves(values, salt)
    return pa.Array.from_buffers(
        pa.binary(16), len(values), [_validity(values), pa.py_buffer(halves.byteswap())], values.null_count
    )


def hash128_hex(values: Values, salt: str) -> pa.StringArray:
    """hash128 as 32 lower-case hex digits, null for null: the form of a document's id."""
    return hex_from_bytes16(hash128(values, salt))


def uniform_from_id(ids: pa.StringArray, seed: int) -> pa.DoubleArray:
    """A number in [0, 1) per id, in steps of 2^-53, null for null: the only randomness a stage may use.

    Seeds give unrelated numbers. Unrelated too to where `hash64` under another salt sends the same id.
    """
    hashes = hash64(ids, f"uniform:{seed}")
    numbers = (np.asarray(hashes.fill_null(0)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return pa.array(numbers, mask=_mask(ids))


def hex_from_bytes16(values: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """32 lower-case hex digits per value of 16 bytes, null for null.

    Raises ValueError for another width, and beyond 67,108,863 values (2 GB of digits: Arrow's limit for string).
    """
    if values.type != pa.binary(16):
        raise ValueError(f"type is {values.type}, want fixed_size_binary[16]")
    if len(values) > (2**31 - 1) // 32:
        raise ValueError(f"{len(values):,} values make more than 2 GB of digits; give them in parts")
    data = np.frombuffer(values.buffers()[1] or b"", np.uint8)[values.offset * 16 : (values.offset + len(values)) * 16]
    lengths = np.where(_null(values), 0, 32)
    offsets = np.concatenate((np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)))
    digits = np.empty(offsets[-1], np.uint8)
    _to_hex(data, offsets, digits)
    buffers = [_validity(values), pa.py_buffer(offsets), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.string(), len(values), buffers, values.null_count)


def bytes16_from_hex(values: pa.StringArray) -> pa.FixedSizeBinaryArray:
    """The way back. Null for null; raises ValueError for whatever is not 32 lower-case hex digits, quoting it."""
    data, offsets = data_and_offsets(values)
    halves = np.zeros((len(values), 16), np.uint8)
    if (wrong := _from_hex(data, offsets, _null(values), halves)) >= 0:
        raise ValueError(f"{values[wrong].as_py()!r} is no id; want 32 hex digits in lower case")
    return pa.Array.from_buffers(
        pa.binary(16), len(values), [_validity(values), pa.py_buffer(halves)], values.null_count
    )


def seeds(salt: str) -> npt.NDArray[np.uint64]:
    """Two seeds from a salt, uint64[2]."""
    return np.frombuffer(hashlib.sha256(salt.encode()).digest()[:16], "<u8").astype(np.uint64)


def data_and_offsets(values: Values) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer[Any]]]:
    """The bytes (uint8) and len+1 offsets into them, without a copy: value i is data[offsets[i]:offsets[i + 1]].

    Offsets are int32 or int64, as the type has them. The extent of a null may hold anything.
    Raises ValueError for other types and chunked arrays.
    """
    if not isinstance(values, Values):
        raise ValueError(
            f"{type(values).__name__} given; want an array of string, large_string, binary or large_binary"
        )
    width: Any = np.int64 if isinstance(values, pa.LargeStringArray | pa.LargeBinaryArray) else np.int32
    _, offsets, data = values.buffers()
    if len(values) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(1, width)
    return (
        np.frombuffer(data if data is not None else b"", np.uint8),
        np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1],
    )


def _halves(values: Values, salt: str) -> npt.NDArray[np.uint64]:
    data, offsets = data_and_offsets(values)
    halves = np.empty((len(values), 2), np.uint64)
    _hash128(data, offsets, seeds(salt), halves)
    return halves


def _null(values: pa.Array) -> npt.NDArray[np.bool_]:
    """True where null."""
    null: npt.NDArray[np.bool_] = values.is_null().to_numpy(zero_copy_only=False)
    return null


def _mask(values: pa.Array) -> npt.NDArray[np.bool_] | None:
    """True where null; None where nothing is."""
    return _null(values) if values.null_count else None


def _validity(values: pa.Array) -> pa.Buffer | None:
    """The validity bitmap from bit 0 on, for an array that is not sliced."""
    return pa.array(~_null(values)).buffers()[1] if values.null_count else None


@compiled
def _hash64(data: Any, offsets: Any, seed: Any, hashes: Any) -> None:
    for i in range(len(hashes)):
        hashes[i] = xxh64(data, offsets[i], offsets[i + 1], seed)


@compiled
def _hash128(data: Any, offsets: Any, seeds: Any, halves: Any) -> None:
    for i in range(len(halves)):
        start, stop = offsets[i], offsets[i + 1]
        halves[i, 0] = xxh64(data, start, stop, seeds[0])
        halves[i, 1] = xxh64(data, start, stop, seeds[1])  # the bytes are still in cache


@compiled
def _to_hex(data: Any, offsets: Any, digits: Any) -> None:
    for i in range(len(offsets) - 1):
        at = np.int64(offsets[i])
        if offsets[i + 1] == offsets[i]:
            continue
        for k in range(16):
            high, low = data[i * 16 + k] >> 4, data[i * 16 + k] & 15
            digits[at + 2 * k] = high + 48 if high < 10 else high + 87
            digits[at + 2 * k + 1] = low + 48 if low < 10 else low + 87


@compiled
def _from_hex(data: Any, offsets: Any, null: Any, halves: Any) -> int:
    """Index of the first value that is no id, or -1."""
    for i in range(len(halves)):
        if null[i]:
            continue
        at = np.int64(offsets[i])
        if offsets[i + 1] - offsets[i] != 32:
            return i
        for k in range(32):
            c = np.int64(data[at + k])
            if 48 <= c <= 57:
                digit = c - 48
            elif 97 <= c <= 102:
                digit = c - 87
            else:
                return i
            halves[i, k >> 1] = (np.int64(halves[i, k >> 1]) << 4) | digit
    return -1
