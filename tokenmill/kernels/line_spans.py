"""The lines or paragraphs of many texts: where each is, and a hash of 128 bits to compare it by.

A line is what stands between newlines, without the white space (unicode_classes.SPACE) at its ends, so that CRLF and
LF give the same lines. A line of white space alone is blank. A paragraph is a run of lines that are not blank; it is
compared by these lines, so again not by how they end. Blank lines are in neither, and are never compared.

The hash of a paragraph is XXH64 of its lines, each under the hash of the one before as its seed, twice under unrelated
first seeds; that of a line is that of a paragraph of it alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.hashing import data_and_offsets, seeds
from tokenmill.kernels.hashing_xxh64 import xxh64
from tokenmill.kernels.minhash_shingles import code_point
from tokenmill.kernels.unicode_classes import CLASSES, SPACE

SALT = "line"
_NEWLINE = ord("\n")


@dataclass(frozen=True, slots=True)
class Spans:
    """One entry for each line or paragraph, in the order of texts and of places in them."""

    rows: npt.NDArray[np.int64]  # places in the array of texts
    starts: npt.NDArray[np.int64]  # bytes of that text, [start, stop), without white space at the ends
    stops: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]  # [n, 2]


def line_spans(texts: pa.LargeStringArray, *, paragraphs: bool, chars_at_least: int) -> Spans:
    """Those of `chars_at_least` characters or more; the white space at the ends of lines does not count.

    A null has none. Cost: one pass; 40 bytes for each newline. Raises ValueError on another type of array.
    """
    if not isinstance(texts, pa.LargeStringArray):
        raise ValueError(f"{type(texts).__name__} given; want an array of large_string")
    data, offsets = data_and_offsets(texts)
    null = texts.is_null().to_numpy(zero_copy_only=False)
    most = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == _NEWLINE)) + len(texts)
    places = np.empty((3, most), np.int64)
    hashes = np.empty((most, 2), np.uint64)
    n = _spans(data, offsets, null, CLASSES, seeds(SALT), paragraphs, chars_at_least, places, hashes)
    return Spans(places[0, :n], places[1, :n], places[2, :n], hashes[:n])


@compiled
def _spans(
    data: Any,
    offsets: Any,
    null: Any,
    classes: Any,
    seeds: Any,
    paragraphs: Any,
    chars_at_least: Any,
    places: Any,
    hashes: Any,
) -> Any:
    n = 0
    for i in range(len(null)):
        begin, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
        at = begin if not null[i] else end + 1
        chars, first, second = np.int64(0), seeds[0], seeds[1]
        while at <= end:
            line_end = end_of_line(data, at, end)
            start = skip_space(data, at, line_end, classes)
            stop = end_without_space(data, start, line_end, classes)
            if start < stop:
                if chars == 0:
                    places[1, n] = start - begin
                places[2, n] = stop - begin
                for k in range(start, stop):
                    chars += np.int64((data[k] & 0xC0) != 0x80)
                first, second = xxh64(data, start, stop, first), xxh64(data, start, stop, second)
            at = line_end + 1
            if start == stop or not paragraphs or at > end:  # what was open ends here
                if chars > 0 and chars >= chars_at_least:
                    places[0, n] = i
                    hashes[n, 0], hashes[n, 1] = first, second
                    n += 1
                chars, first, second = np.int64(0), seeds[0], seeds[1]
    return n


@compiled
def end_of_line(data: Any, at: Any, stop: Any) -> Any:
    """Where the next newline is; `stop` where there is none before."""
    while at < stop and data[at] != _NEWLINE:
        at += 1
    return at


@compiled
def skip_space(data: Any, at: Any, stop: Any, classes: Any) -> Any:
    """Where white space ends."""
    while at < stop:
        if data[at] < 0x80:
            if not classes[data[at]] & SPACE:
                break
            at += 1
        else:
            point, width = code_point(data, at, stop)
            if point < 0 or not classes[point] & SPACE:
                break
            at += width
    return at


@compiled
def end_without_space(data: Any, at: Any, stop: Any, classes: Any) -> Any:
    """Where data[at:stop] ends without the white space behind it."""
    while stop > at:
        last = stop - 1
        while last > at and stop - last < 4 and (data[last] & 0xC0) == 0x80:
            last -= 1
        point, _ = code_point(data, last, stop)
        if point < 0 or not classes[point] & SPACE:
            break
        stop = last
    return stop
