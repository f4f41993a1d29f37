"""XXH64 by numba equals the reference C library; Arrow's layouts (slices, nulls, types) do not show."""

import hashlib
import random
import struct

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.hashing import bytes16_from_hex, hash64, hash128, hash128_hex, hex_from_bytes16, uniform_from_id
from tokenmill.kernels.hashing_xxh64 import xxh64

TYPES = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]


def seeds_of(salt: str) -> tuple[int, int]:
    first, second = struct.unpack("<QQ", hashlib.sha256(salt.encode()).digest()[:16])
    return first, second


def test_equals_xxhash_on_all_short_lengths_and_some_long_ones() -> None:
    rng = random.Random(1)
    values = [rng.randbytes(n) for n in (*range(201), 1000, 4095, 4096, 4097, 1_000_003)]
    binary = pa.array(values, pa.binary())
    seed, other = seeds_of("salt")
    assert hash64(binary, "salt").to_pylist() == [xxhash.xxh64_intdigest(v, seed) for v in values]
    assert hash128(binary, "salt").to_pylist() == [
        xxhash.xxh64_digest(v, seed) + xxhash.xxh64_digest(v, other) for v in values
    ]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.none() | st.text()), st.data())
def test_slices_and_types_do_not_show(values: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    seed, other = seeds_of("s")
    raw = [None if v is None else v.encode() for v in values[start:stop]]
    want64 = [None if v is None else xxhash.xxh64_intdigest(v, seed) for v in raw]
    want_hex = [None if v is None else xxhash.xxh64_hexdigest(v, seed) + xxhash.xxh64_hexdigest(v, other) for v in raw]
    for kind in TYPES:
        array = pa.array([None if v is None else v.encode() for v in values], pa.large_binary()).cast(kind)
        array = array.slice(start, stop - start)
        assert hash64(array, "s").to_pylist() == want64
        hexed = hash128_hex(array, "s")
        hexed.validate(full=True)
        assert hexed.to_pylist() == want_hex
        raw16 = hash128(array, "s")
        raw16.validate(full=True)
        assert raw16.to_pylist() == [None if v is None else bytes.fromhex(v) for v in want_hex]


def test_a_value_inside_a_null_is_nobodys() -> None:
    hidden = pa.Array.from_buffers(
        pa.large_string(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(struct.pack("<qqq", 0, 1, 2)), pa.py_buffer(b"ab")]
    )
    assert hidden.to_pylist() == ["a", None]
    assert hash64(hidden, "s").to_pylist() == [xxhash.xxh64_intdigest(b"a", seeds_of("s")[0]), None]
    assert hash128_hex(hidden, "s").null_count == 1


def test_gives_the_published_hash_of_nothing() -> None:
    assert xxh64(np.zeros(0, np.uint8), 0, 0, np.uint64(0)) == 0xEF46DB3751D8E999


@pytest.mark.parametrize(
    "wrong", [pa.array([1]), pa.array([None]), pa.chunked_array([["a"]]), pa.array([b"a"], pa.binary(1))]
)
def test_other_types_are_refused(wrong: pa.Array) -> None:
    with pytest.raises(ValueError, match="want an array of string"):
        hash64(wrong, "s")


def test_uniform_fills_0_to_1_evenly_and_seeds_are_unrelated() -> None:
    ids = pa.array([f"{i:032x}" for i in range(100_000)])
    a, b = np.asarray(uniform_from_id(ids, 1)), np.asarray(uniform_from_id(ids, 2))
    assert a.min() >= 0.0 and a.max() < 1.0
    per_bin = np.histogram(a, 100, (0, 1))[0]
    # Chi-square with 99 degrees of freedom: mean 99, standard deviation 14; 6 deviations.
    assert ((per_bin - 1000) ** 2 / 1000).sum() < 99 + 6 * 14
    assert abs(np.corrcoef(a, b)[0, 1]) < 6 / np.sqrt(len(ids))


def test_uniform_of_null_is_null_and_of_a_slice_the_same() -> None:
    ids = pa.array(["x", None, "y"])
    whole = uniform_from_id(ids, 7).to_pylist()
    assert whole[1] is None and whole[0] != whole[2]
    assert uniform_from_id(ids.slice(1), 7).to_pylist() == whole[1:]


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.none() | st.binary(min_size=16, max_size=16)), st.integers(0, 3))
def test_hex_and_bytes_go_round(values: list[bytes | None], start: int) -> None:
    array = pa.array(values, pa.binary(16)).slice(start)
    digits = hex_from_bytes16(array)
    assert digits.to_pylist() == [None if v is None else v.hex() for v in values[start:]]
    assert bytes16_from_hex(digits).equals(array)
    assert bytes16_from_hex(digits.slice(1)).equals(array.slice(1))


@pytest.mark.parametrize("wrong", ["", "0" * 31, "0" * 33, "0" * 31 + "G", "0" * 31 + "A", "é" * 16])
def test_what_is_no_id_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no id"):
        bytes16_from_hex(pa.array(["0" * 32, None, wrong]))
