"""The 64-bit hash by which tokens, lines and paragraphs are compared within one document, and its table."""

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.memory import load64
from tokenmill.kernels.text_measures_utf8 import Integer

_BEGIN = np.uint64(0x2545F4914F6CDD1D)  # any number but 0
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd: the golden ratio
_MIX = np.uint64(0xD6E8FEB86659FD93)  # of rrmxmx (Pelle Evensen), found by search for avalanche


@compiled
def mixed(value: Integer) -> np.uint64:
    """A bijection of 64 bits under which all bits depend on all bits."""
    h = np.uint64(value)
    h = (h ^ h >> np.uint64(32)) * _MIX
    h = (h ^ h >> np.uint64(29)) * _MIX
    return h ^ h >> np.uint64(32)


@compiled
def hash_pair(first: Integer, second: Integer) -> np.uint64:
    """The hash of two hashes, in this order."""
    return mixed(mixed(np.uint64(first) + _STEP) ^ np.uint64(second))


@compiled
def hash_short(data: NDArray[np.uint8], start: Integer, end: Integer) -> np.uint64:
    """What `hash_bytes` gives, for 1 to 8 bytes that have 8 readable ones behind `start`. No branches."""
    h = _BEGIN + np.uint64(end - start) * _STEP
    return mixed(h ^ (load64(data, start) & (_ALL >> np.uint64(64 - 8 * (end - start)))))


@compiled
def hash_bytes(data: NDArray[np.uint8], start: Integer, end: Integer) -> np.uint64:
    """The hash of data[start:end]. Cost: one mixing for 8 bytes."""
    h = _BEGIN + np.uint64(end - start) * _STEP
    p = start
    while p + 8 <= end:
        h = mixed(h ^ load64(data, p))
        p += 8
    if p == end:
        return mixed(h) if start == end else h
    rest = np.uint64(0)
    if p + 8 <= len(data):
        rest = load64(data, p) & (_ALL >> np.uint64(64 - 8 * (end - p)))
    else:
        for i in range(end - p):
            rest |= np.uint64(data[p + i]) << np.uint64(8 * i)
    return mixed(h ^ rest)


@compiled
def table_size(entries: Integer) -> int:
    """A power of two, at least twice `entries`: how many slots of a table to use. At most 4 * entries + 2."""
    size = 2
    while size < 2 * entries:
        size *= 2
    return size


@compiled
def repeated(hashes: NDArray[np.uint64], chars: NDArray[np.int32], n: int, table: NDArray[np.int32]) -> tuple[int, int]:
    """How many of the first `n` hashes equal an earlier one, and the sum of `chars` over these.

    `table` needs table_size(n) slots. Cost: O(n).
    """
    size = table_size(n)
    table[:size] = 0
    mask = size - 1
    count = total = 0
    for i in range(n):
        slot = np.int64(hashes[i] & np.uint64(mask))
        while True:
            j = table[slot] - 1
            if j < 0:
                table[slot] = i + 1
                break
            if hashes[j] == hashes[i]:
                count += 1
                total += chars[i]
                break
            slot = (slot + 1) & mask
    return count, total
