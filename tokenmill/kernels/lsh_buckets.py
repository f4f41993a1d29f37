"""Which signatures share a band: the keys by which documents meet, and their buckets once they have met.

Two documents are candidates if all hashes of some band are equal: of similarity s, with odds 1 - (1 - s^rows)^bands
(Leskovec et al., Mining of Massive Datasets, 3.4). A key is a hash of a band, so that unlike bands may meet by a key
(with odds of n^2 / 2^65 among n); a bucket is decided by the hashes themselves.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tokenmill.kernels.compiled import compiled

_AHEAD = 256  # rows hashed before any is looked up: the look-ups then wait for memory side by side
_SEED, _K = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


def band_keys(signatures: npt.NDArray[np.uint32], bands: int) -> npt.NDArray[np.uint64]:
    """uint64[n, bands]: a hash of each band of each signature ([n, bands * rows]), the number of the band within."""
    check_shape(signatures, bands)
    keys = np.empty((len(signatures), bands), np.uint64)
    _band_keys(signatures, keys)
    return keys


def buckets_of(
    signatures: npt.NDArray[np.uint32], taking_part: npt.NDArray[np.bool_], bands: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """(int32[n, bands]: the bucket of each row, -1 where it is alone or takes no part; documents in each bucket).

    Memory: 4 bytes per row and band, and 16 to 32 per row for a table. 14 bands of a million rows take 1.3 s.
    """
    check_shape(signatures, bands)
    if len(signatures) * bands >= 1 << 32:  # buckets are numbered in int32, and each has two documents or more
        raise ValueError(f"{len(signatures):,} documents in {bands} bands; want fewer than 2^32 places, so divide them")
    buckets, sizes = _buckets(signatures, taking_part, bands)
    return buckets, sizes


def check_shape(signatures: npt.NDArray[np.uint32], bands: int) -> None:
    """Raises ValueError unless signatures are C-contiguous [n, a multiple of bands]."""
    if signatures.ndim != 2 or bands < 1 or signatures.shape[1] % bands or not signatures.flags.c_contiguous:
        raise ValueError(f"signatures are {signatures.shape}, want C-contiguous [n, a multiple of bands={bands}]")


@compiled
def _band_keys(signatures: Any, keys: Any) -> None:
    n, bands = keys.shape
    rows = signatures.shape[1] // bands
    for i in range(n):
        for band in range(bands):
            h = _SEED * np.uint64(band + 1)
            for k in range(band * rows, (band + 1) * rows):
                h = (h ^ np.uint64(signatures[i, k])) * _K
                h ^= h >> np.uint64(32)
            keys[i, band] = (h * _K) ^ (h >> np.uint64(29))


@compiled
def _buckets(signatures: Any, taking_part: Any, bands: Any) -> Any:
    """(int32[n, bands]: the bucket of each row, -1 where it is alone or takes no part; documents per bucket).

    Open addressing, one band after another in the same table, rows in the order of memory. They share a bucket
    where all hashes of the band are equal, never by a hash of them alone.
    """
    n = len(signatures)
    rows = signatures.shape[1] // bands
    size = 16
    while size < 2 * n:
        size *= 2
    table = np.empty(size, np.uint64)  # 0, or 32 bits of hash above 1 + the first row of the bucket
    hashes = np.empty(_AHEAD, np.uint64)
    buckets = np.full((n, bands), -1, np.int32)
    sizes = np.zeros(1024, np.int64)
    used = 0
    low = np.uint64(0xFFFFFFFF)
    for band in range(bands):
        table[:] = 0
        for begin in range(0, n, _AHEAD):
            end = min(begin + _AHEAD, n)
            for i in range(begin, end):
                h = _SEED
                for k in range(band * rows, (band + 1) * rows):
                    h = (h ^ np.uint64(signatures[i, k])) * _K
                    h ^= h >> np.uint64(32)
                hashes[i - begin] = h
            for i in range(begin, end):
                if not taking_part[i]:
                    continue
                h = hashes[i - begin]
                slot = np.int64(h >> np.uint64(32)) & (size - 1)
                tag = h << np.uint64(32)
                other = np.int64(-1)
                while table[slot] != 0:
                    if (table[slot] & ~low) == tag:
                        other = np.int64(table[slot] & low) - 1
                        for k in range(band * rows, (band + 1) * rows):
                            if signatures[i, k] != signatures[other, k]:
                                other = np.int64(-1)
                                break
                        if other >= 0:
                            break
                    slot = (slot + 1) & (size - 1)
                if other < 0:
                    table[slot] = tag | np.uint64(i + 1)
                    continue
                if buckets[other, band] < 0:
                    if used == len(sizes):
                        larger = np.zeros(2 * used, np.int64)
                        larger[:used] = sizes
                        sizes = larger
                    buckets[other, band] = used
                    sizes[used] = 1
                    used += 1
                buckets[i, band] = buckets[other, band]
                sizes[buckets[other, band]] += 1
    return buckets, sizes[:used]
