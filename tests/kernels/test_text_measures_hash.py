"""Hashing of byte ranges, and counting of repeated hashes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.kernels.text_measures_hash import hash_bytes, hash_pair, hash_short, repeated, table_size


def padded(before: bytes, content: bytes, after: bytes) -> tuple[np.ndarray, int, int]:
    return np.frombuffer(before + content + after, np.uint8), len(before), len(before) + len(content)


@settings(deadline=None)  # the first call compiles
@given(st.binary(max_size=40), st.binary(max_size=9), st.binary(max_size=9))
def test_a_hash_depends_on_the_bytes_alone_not_on_what_stands_around_them(
    content: bytes, before: bytes, after: bytes
) -> None:
    alone = hash_bytes(*padded(b"", content, b""))
    assert hash_bytes(*padded(before, content, after)) == alone
    if 1 <= len(content) <= 8:
        assert hash_short(*padded(before, content, b"12345678")) == alone


def test_zeros_count() -> None:
    zeros = np.zeros(64, np.uint8)
    assert len({int(hash_bytes(zeros, 0, n)) for n in range(65)}) == 65


def test_every_bit_of_the_input_moves_about_half_of_the_hash() -> None:
    """Mean over the inputs of each bit's flips: 32 of 64, within 5 standard errors (4 / sqrt(200))."""
    random = np.random.default_rng(0)
    for length in (3, 8, 20):
        for bit in range(8 * length):
            moved = 0
            for _ in range(200):
                data = random.integers(0, 256, length, np.uint8)
                other = data.copy()
                other[bit // 8] ^= np.uint8(1 << bit % 8)
                moved += int(hash_bytes(data, 0, length) ^ hash_bytes(other, 0, length)).bit_count()
            assert moved / 200 == pytest.approx(32, abs=5 * 4 / 200**0.5)


def test_a_pair_has_an_order() -> None:
    assert hash_pair(np.uint64(1), np.uint64(2)) != hash_pair(np.uint64(2), np.uint64(1))


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 9), max_size=30))
def test_repeated_counts_all_but_the_first(values: list[int]) -> None:
    hashes = np.array(values, np.uint64) * np.uint64(1 << 40)  # all of them want the same slot
    chars = np.array(values, np.int32)
    table = np.full(table_size(len(values)), 99, np.int32)  # what an earlier document left there
    distinct = set(values)
    assert repeated(hashes, chars, len(values), table) == (len(values) - len(distinct), sum(values) - sum(distinct))


@pytest.mark.parametrize(("entries", "slots"), [(0, 2), (1, 2), (2, 4), (3, 8), (1000, 2048)])
def test_a_table_is_at_most_half_full(entries: int, slots: int) -> None:
    assert table_size(entries) == slots
