"""A Bloom filter whose cells say who was there first: runs of tokens of paragraphs, and which were seen before.

A paragraph is a line with at least `tokens` tokens (substring_units.py); its n-grams are the runs of so many. Each
n-gram has `hashes` cells of 2^bits: the highest bits of h + j * g (Kirsch and Mitzenmacher 2006), where h is the
finished polynomial of its token hashes modulo 2^64 and g = finish(h) | 1. Each cell holds the smallest rank of the
texts that have an n-gram there: minima may be taken in any order, and more than once. An n-gram counts as seen before
where all of its cells have a smaller rank than its own text. So what an earlier text has is always seen. What none has
is seen with odds of at most (share of cells that are filled)^hashes: about (1 - e^(-hashes * n / cells))^hashes, where
n is how many different n-grams the texts of smaller rank have.

Of the n-grams one in `one_in`, a power of two, is looked at: those whose h has that many lowest bits 0. Texts agree on
which, so a filter for an eighth of them does for shares, with the error of a sample.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets
from tokenmill.kernels.minhash_shingles import BASE, finish
from tokenmill.kernels.substring_units import KINDS, read_units
from tokenmill.kernels.substring_winnow import grown

NOBODY = 0xFFFFFFFFFFFFFFFF  # the rank in an empty cell
_NOBODY, _BASE, _ONE = np.uint64(NOBODY), np.uint64(BASE), np.uint64(1)
_LINE_FEED = 10
Uint64s = npt.NDArray[np.uint64]


class Paragraphs(NamedTuple):
    """One entry for each paragraph, in order."""

    owners: npt.NDArray[np.int64]  # which text
    starts: npt.NDArray[np.int64]  # bytes of the text, from its first token to its last, [start, stop)
    stops: npt.NDArray[np.int64]
    ngrams: npt.NDArray[np.int64]  # of the sample, at least one
    seen: npt.NDArray[np.int64]  # of them
    firsts: Uint64s  # the rank that most of the seen ones have as the largest of their cells, else NOBODY


def cells_of(
    texts: pa.LargeStringArray, ranks: Uint64s, tokens: int, hashes: int, bits: int, one_in: int = 1
) -> tuple[Any, Uint64s]:
    """(cells uint32, ranks uint64) of all n-grams: `hashes` entries each."""
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    cells, owners = _cells_of(data, offsets, null, KINDS, ranks, tokens, hashes, bits, one_in)
    return cells, owners


def fill(owners: Uint64s, cells: npt.NDArray[np.uint32], ranks: Uint64s) -> None:
    """Put the smaller rank into owners[cells]."""
    _fill(owners, cells, ranks)


def paragraphs(
    texts: pa.LargeStringArray, ranks: Uint64s, tokens: int, hashes: int, owners: Uint64s, one_in: int = 1
) -> Paragraphs:
    """What was seen of each paragraph before its text. `owners` has a power of two of cells."""
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    bits = len(owners).bit_length() - 1
    return Paragraphs(*_paragraphs(data, offsets, null, KINDS, ranks, tokens, hashes, bits, owners, one_in))


@compiled
def _fill(owners: Any, cells: Any, ranks: Any) -> None:
    for i in range(len(cells)):
        owners[cells[i]] = min(owners[cells[i]], ranks[i])


@compiled
def _line_ends(data: Any, at: Any, stop: Any) -> Any:
    while at < stop and data[at] != _LINE_FEED:
        at += 1
    return at


@compiled
def _read_line(data: Any, at: Any, stop: Any, kinds: Any, hashes: Any, starts: Any, stops: Any) -> Any:
    """(tokens, hashes, starts, stops) of one line: the arrays, or larger ones where they were too small."""
    n = 0
    while at < stop:
        if n == len(hashes):
            hashes, starts, stops = grown(hashes, n + 1), grown(starts, n + 1), grown(stops, n + 1)
        n, at = read_units(data, at, stop, kinds, False, n, hashes, starts, stops)
    return n, hashes, starts, stops


@compiled
def _to_ngrams(hashes: Any, n: Any, tokens: Any, one_in: Any, ngrams: Any) -> Any:
    """How many n-grams of the sample: finished, in `ngrams`, which is as long as `hashes`."""
    leaving, total, count, others = _ONE, np.uint64(0), 0, np.uint64(one_in - 1)
    for _ in range(tokens):
        leaving *= _BASE
    for i in range(n):
        total = total * _BASE + hashes[i]
        if i >= tokens:
            total -= hashes[i - tokens] * leaving
        if i >= tokens - 1:
            ngrams[count] = finish(total)
            count += (ngrams[count] & others) == 0
    return count


@compiled
def _cells_of(
    data: Any, offsets: Any, null: Any, kinds: Any, ranks: Any, tokens: Any, times: Any, bits: Any, one_in: Any
) -> Any:
    hashes, starts, stops = np.empty(256, np.uint64), np.empty(256, np.int64), np.empty(256, np.int64)
    ngrams = np.empty(256, np.uint64)
    cells, owners, count = np.empty(4096, np.uint32), np.empty(4096, np.uint64), 0
    shift = np.uint64(64 - bits)
    for i in range(len(null)):
        if null[i]:
            continue
        at, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        while at < stop:
            end = _line_ends(data, at, stop)
            n, hashes, starts, stops = _read_line(data, at, end, kinds, hashes, starts, stops)
            at = end + 1
            if len(ngrams) < len(hashes):
                ngrams = np.empty(len(hashes), np.uint64)
            n = _to_ngrams(hashes, n, tokens, one_in, ngrams)
            if count + n * times > len(cells):
                cells, owners = grown(cells, count + n * times), grown(owners, count + n * times)
            for k in range(n):
                h, step = ngrams[k], finish(ngrams[k]) | _ONE
                for _ in range(times):
                    cells[count], owners[count] = np.uint32(h >> shift), ranks[i]
                    count += 1
                    h += step
    return cells[:count].copy(), owners[:count].copy()


@compiled
def _paragraphs(
    data: Any,
    offsets: Any,
    null: Any,
    kinds: Any,
    ranks: Any,
    tokens: Any,
    times: Any,
    bits: Any,
    owners: Any,
    one_in: Any,
) -> Any:
    hashes, starts, stops = np.empty(256, np.uint64), np.empty(256, np.int64), np.empty(256, np.int64)
    ngrams, firsts = np.empty(256, np.uint64), np.empty(256, np.uint64)
    of, begins, ends = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    total, seen, most = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.uint64)
    count = 0
    shift = np.uint64(64 - bits)
    for i in range(len(null)):
        if null[i]:
            continue
        at, stop = np.int64(offsets[i]), np.int64(offsets[i + 1])
        while at < stop:
            end = _line_ends(data, at, stop)
            tokens_read, hashes, starts, stops = _read_line(data, at, end, kinds, hashes, starts, stops)
            at = end + 1
            if len(ngrams) < len(hashes):
                ngrams, firsts = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.uint64)
            n = _to_ngrams(hashes, tokens_read, tokens, one_in, ngrams)
            if n == 0:
                continue
            found = 0
            for k in range(n):
                h, step = ngrams[k], finish(ngrams[k]) | _ONE
                largest = np.uint64(0)
                for _ in range(times):
                    largest = max(largest, owners[h >> shift])
                    h += step
                if largest < ranks[i]:
                    firsts[found] = largest
                    found += 1
            if count == len(of):
                of, begins, ends = grown(of, count + 1), grown(begins, count + 1), grown(ends, count + 1)
                total, seen, most = grown(total, count + 1), grown(seen, count + 1), grown(most, count + 1)
            of[count], begins[count], ends[count] = i, starts[0] - offsets[i], stops[tokens_read - 1] - offsets[i]
            total[count], seen[count], most[count] = n, found, _most_frequent(firsts, found)
            count += 1
    return (
        of[:count].copy(),
        begins[:count].copy(),
        ends[:count].copy(),
        total[:count].copy(),
        seen[:count].copy(),
        most[:count].copy(),
    )


@compiled
def _most_frequent(values: Any, n: Any) -> Any:
    """The smallest of the most frequent values[:n]; NOBODY of none. Sorts them."""
    best, times_best, times = _NOBODY, 0, 0
    values[:n].sort()
    for k in range(n):
        times = times + 1 if k and values[k] == values[k - 1] else 1
        if times > times_best:
            best, times_best = values[k], times
    return best
