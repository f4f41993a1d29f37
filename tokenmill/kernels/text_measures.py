"""Everything that the rules of Gopher, C4 and FineWeb ask about a text, over whole Arrow columns.

One call goes over each document a few times while it is in the cache: lines and paragraphs, tokens, n-grams, C4's
lines. Names and definitions of the measures are in `text_measures_names.py`. `text_measures_reference.py` says the
same on Python strings.

Memory: at most 48 bytes per token of the longest document, its lines and the results; reused from document to document.
Address space for as many tokens as it has bytes is reserved, and not touched. Time is linear in the bytes.
Raises ValueError for a document of 2 GiB or more.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.text_measures_c4 import keep_lines
from tokenmill.kernels.text_measures_flags import flags
from tokenmill.kernels.text_measures_hash import table_size
from tokenmill.kernels.text_measures_lines import measure_fineweb, measure_repetition, stripped
from tokenmill.kernels.text_measures_names import LineMeasure, TextMeasure
from tokenmill.kernels.text_measures_ngrams import measure_ngrams
from tokenmill.kernels.text_measures_tokens import split_tokens

TEXT_MEASURES = pa.schema([m.field for m in TextMeasure])
LINE_MEASURES = pa.schema([m.field for m in LineMeasure])
_N_TEXT = len(TextMeasure)


def measure_text(texts: pa.LargeStringArray) -> list[pa.Array]:
    """One column per TextMeasure, in their order; null where the text is null, all zero where it is empty."""
    data, offsets = _buffers(texts)
    out = np.zeros((len(TextMeasure), len(texts)), np.float64)
    _measure_text(data, offsets, _valid(texts), flags(), out)
    return _columns(out, texts, TEXT_MEASURES)


def measure_lines(texts: pa.LargeStringArray) -> list[pa.Array]:
    """One column per LineMeasure, in their order; null where the text is null, all zero where it is empty."""
    data, offsets = _buffers(texts)
    out = np.zeros((len(LineMeasure), len(texts)), np.float64)
    _measure_lines(data, offsets, _valid(texts), flags(), out)
    return _columns(out, texts, LINE_MEASURES)


def keep_c4_lines(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The lines that C4 keeps, without citations, joined by newlines and stripped; null stays null."""
    data, offsets = _buffers(texts)
    kept = np.empty(int(offsets[-1] - offsets[0]) + len(texts), np.uint8)
    kept_offsets = np.empty(len(texts) + 1, np.int64)
    _keep_lines(data, offsets, _valid(texts), flags(), kept, kept_offsets)
    buffers = [pa.py_buffer(kept_offsets), pa.py_buffer(kept[: kept_offsets[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(texts), [_validity(texts), *buffers])


@compiled
def _measure_text(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    valid: NDArray[np.bool_],
    flags: NDArray[np.uint16],
    out: NDArray[np.float64],
) -> None:
    longest = np.int64(0)
    for d in range(len(valid)):
        longest = max(longest, offsets[d + 1] - offsets[d])
    if longest >= 1 << 31:
        raise ValueError("a document of 2 GiB or more cannot be measured; split it")
    hashes = np.empty(longest + 2, np.uint64)
    keys = np.empty(longest + 2, np.uint64)
    ends = np.empty(longest + 2, np.int32)
    groups = np.empty(longest + 2, np.int32)
    counts = np.empty(longest + 2, np.int32)
    places = np.empty(longest + 2, np.int32)
    table = np.empty(table_size(longest + 2), np.int32)
    scratch = np.empty(longest + 1, np.uint8)
    row = np.zeros(len(out), np.float64)
    for d in range(len(valid)):
        start, end = offsets[d], offsets[d + 1]
        if not valid[d] or start == end:
            continue
        row[:] = 0.0
        chars = measure_repetition(data, start, end, flags, hashes, ends, keys, groups, table, row)
        keep_lines(data, start, end, flags, scratch, 0, False, row)
        n = split_tokens(data, start, end, flags, hashes, ends, row)
        row[TextMeasure.HASHES_PER_WORD_OR_SYMBOL] /= max(n, 1)
        row[TextMeasure.ELLIPSES_PER_WORD_OR_SYMBOL] /= max(n, 1)
        measure_ngrams(n, hashes, ends, chars, keys, groups, counts, places, table, row)
        out[:, d] = row


@compiled
def _measure_lines(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    valid: NDArray[np.bool_],
    flags: NDArray[np.uint16],
    out: NDArray[np.float64],
) -> None:
    longest = np.int64(0)
    for d in range(len(valid)):
        longest = max(longest, offsets[d + 1] - offsets[d])
    if longest >= 1 << 31:
        raise ValueError("a document of 2 GiB or more cannot be measured; split it")
    hashes = np.empty(longest + 2, np.uint64)
    ends = np.empty(longest + 2, np.int32)
    table = np.empty(table_size(longest + 2), np.int32)
    row = np.zeros(_N_TEXT, np.float64)
    for d in range(len(valid)):
        start, end = offsets[d], offsets[d + 1]
        if valid[d] and start < end:
            n = split_tokens(data, start, end, flags, hashes, ends, row)
            measure_fineweb(data, start, end, flags, n, hashes, ends, table, out[:, d])


@compiled
def _keep_lines(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    valid: NDArray[np.bool_],
    flags: NDArray[np.uint16],
    kept: NDArray[np.uint8],
    kept_offsets: NDArray[np.int64],
) -> None:
    row = np.zeros(_N_TEXT, np.float64)
    at = np.int64(0)
    kept_offsets[0] = 0
    for d in range(len(valid)):
        if valid[d]:
            end = keep_lines(data, offsets[d], offsets[d + 1], flags, kept, at, True, row)
            first, last = stripped(kept, at, end, flags)
            for i in range(last - first):
                kept[at + i] = kept[first + i]
            at += last - first
        kept_offsets[d + 1] = at


def _buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes and the offsets into them of a large_string array, sliced or not. No copies."""
    _, offsets, data = texts.buffers()
    if offsets is None or not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    ends = np.frombuffer(offsets, np.int64, len(texts) + 1, texts.offset * 8)
    return np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), ends


def _valid(texts: pa.LargeStringArray) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = texts.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _validity(texts: pa.LargeStringArray) -> pa.Buffer | None:
    return texts.is_valid().buffers()[1] if texts.null_count else None


def _columns(out: NDArray[np.float64], texts: pa.LargeStringArray, schema: pa.Schema) -> list[pa.Array]:
    null = ~_valid(texts) if texts.null_count else None
    dtypes = {pa.float64(): np.float64, pa.int64(): np.int64}
    return [
        pa.array(column.astype(dtypes[field.type], copy=False), field.type, mask=null)
        for column, field in zip(out, schema, strict=True)
    ]
