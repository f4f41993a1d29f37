"""Documents share a bucket where all hashes of a band are equal; keys of equal bands are equal, of others not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill.kernels.lsh_buckets import band_keys, buckets_of

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), max_size=20)


def matrix(rows: list[list[int]], width: int = 6) -> np.ndarray:
    return np.array(rows, np.uint32).reshape(-1, width)


@given(ROWS, st.sampled_from([1, 2, 3, 6]))
def test_keys_are_equal_exactly_where_bands_are(rows, bands):
    keys = band_keys(matrix(rows), bands)
    width = 6 // bands
    told: dict[int, tuple[int, tuple[int, ...]]] = {}
    for i, row in enumerate(rows):
        for band in range(bands):
            what = (band, tuple(row[band * width : (band + 1) * width]))
            assert told.setdefault(int(keys[i, band]), what) == what
    assert len(set(told.values())) == len(told)


@given(ROWS, st.sampled_from([1, 2, 3, 6]), st.data())
def test_buckets_hold_those_that_agree_and_nobody_is_alone(rows, bands, data):
    part = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    buckets, sizes = buckets_of(matrix(rows), part, bands)
    width = 6 // bands
    for band in range(bands):
        for i in range(len(rows)):
            places = rows[i][band * width : (band + 1) * width]
            mates = [j for j in range(len(rows)) if part[j] and rows[j][band * width : (band + 1) * width] == places]
            if part[i] and len(mates) > 1:
                assert sizes[buckets[i, band]] == len(mates)
                assert all(buckets[j, band] == buckets[i, band] for j in mates)
            else:
                assert buckets[i, band] == -1
    assert len(np.unique(buckets[buckets >= 0])) == len(sizes), "no bucket is in two bands"


@pytest.mark.parametrize("bands", [0, 4])
def test_bands_that_do_not_divide_a_signature_are_refused(bands):
    with pytest.raises(ValueError, match=f"bands={bands}"):
        band_keys(matrix([[1] * 6]), bands)


def test_a_million_random_bands_have_keys_of_their_own():
    rng = np.random.default_rng(1)
    keys = band_keys(rng.integers(0, 1 << 32, (100_000, 80), np.uint32), 10)
    assert len(np.unique(keys)) == 1_000_000
