"""Lines and paragraphs between newlines: Gopher's repetition of them, and FineWeb's rules about lines.

Source: datatrove 0.10, gopher_repetition_filter.py and fineweb_quality_filter.py.
"""

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.text_measures_flags import SPACE, STOP
from tokenmill.kernels.text_measures_hash import hash_bytes, hash_pair, repeated
from tokenmill.kernels.text_measures_names import LineMeasure, TextMeasure
from tokenmill.kernels.text_measures_utf8 import Integer, code_point

_NEWLINE = 10
SHORT_LINE = 30  # characters: FineWeb, arXiv:2406.17557


@compiled
def characters(data: NDArray[np.uint8], start: Integer, end: Integer) -> Integer:
    """How many characters data[start:end] has: the bytes that do not continue one."""
    count = 0
    for p in range(start, end):
        count += (data[p] & 0xC0) != 0x80
    return count


@compiled
def stripped(
    data: NDArray[np.uint8], start: Integer, end: Integer, flags: NDArray[np.uint16]
) -> tuple[Integer, Integer]:
    """data[start:end] without white space at either end, as `str.strip` does it."""
    while start < end:
        c, width = code_point(data, start, end)
        if not flags[c] & SPACE:
            break
        start += width
    while start < end:
        p = end - 1
        while p > start and data[p] & 0xC0 == 0x80:
            p -= 1
        if not flags[code_point(data, p, end)[0]] & SPACE:
            break
        end = p
    return start, end


@compiled
def measure_repetition(
    data: NDArray[np.uint8],
    start: Integer,
    end: Integer,
    flags: NDArray[np.uint16],
    line_hashes: NDArray[np.uint64],
    line_chars: NDArray[np.int32],
    paragraph_hashes: NDArray[np.uint64],
    paragraph_chars: NDArray[np.int32],
    table: NDArray[np.int32],
    out: NDArray[np.float64],
) -> Integer:
    """The characters of data[start:end], not empty; repeated lines and paragraphs go to `out`.

    The four arrays are scratch with room for two more entries than half the bytes.
    """
    first, last = stripped(data, start, end, flags)
    lines = paragraphs = chars = 0
    open_chars = 0  # of the paragraph that is being read
    open_hash = np.uint64(0)
    newlines = 0  # in front of the line
    p = start
    while p < end:
        line = p
        while p < end and data[p] != _NEWLINE:
            p += 1
        h, count = hash_bytes(data, line, p), characters(data, line, p)
        line_hashes[lines] = h
        line_chars[lines] = count
        lines += 1
        chars += count
        begins, stops = max(line, first), min(p, last)
        if begins < stops:  # not all of it was stripped
            if begins > line or stops < p:
                h, count = hash_bytes(data, begins, stops), characters(data, begins, stops)
            if newlines == 1 and open_chars:
                open_chars += 1
            elif open_chars:
                paragraph_hashes[paragraphs] = open_hash
                paragraph_chars[paragraphs] = open_chars
                paragraphs += 1
                open_chars = 0
                open_hash = np.uint64(0)
            open_hash = hash_pair(open_hash, h)
            open_chars += count
        newlines = 0
        while p < end and data[p] == _NEWLINE:
            p += 1
            newlines += 1
        chars += newlines
    if newlines:  # an empty line ends the text
        line_hashes[lines], line_chars[lines] = hash_bytes(data, end, end), 0
        lines += 1
    paragraph_hashes[paragraphs] = open_hash
    paragraph_chars[paragraphs] = open_chars
    paragraphs += 1
    count, total = repeated(line_hashes, line_chars, lines, table)
    out[TextMeasure.SHARE_OF_LINES_REPEATED] = count / lines
    out[TextMeasure.SHARE_OF_CHARS_IN_REPEATED_LINES] = total / chars
    count, total = repeated(paragraph_hashes, paragraph_chars, paragraphs, table)
    out[TextMeasure.SHARE_OF_PARAGRAPHS_REPEATED] = count / paragraphs
    out[TextMeasure.SHARE_OF_CHARS_IN_REPEATED_PARAGRAPHS] = total / chars
    out[TextMeasure.CHARS] = chars
    return chars


@compiled
def measure_fineweb(
    data: NDArray[np.uint8],
    start: Integer,
    end: Integer,
    flags: NDArray[np.uint16],
    n_tokens: Integer,
    line_hashes: NDArray[np.uint64],
    line_chars: NDArray[np.int32],
    table: NDArray[np.int32],
    out: NDArray[np.float64],
) -> None:
    """FineWeb's measures of data[start:end], which has `n_tokens` tokens, into `out`, by LineMeasure."""
    lines = newlines = 0
    punctuated: Integer = 0
    short: Integer = 0
    chars: Integer = 0
    p = start
    while p < end:
        line = p
        while p < end and data[p] != _NEWLINE:
            p += 1
        stop = p
        if p < end:
            newlines += 1
            p += 1
        h, count = hash_bytes(data, line, stop), characters(data, line, stop)
        chars += count
        begins, _ = stripped(data, line, stop, flags)
        if begins == stop:
            continue
        line_hashes[lines] = h
        line_chars[lines] = count
        lines += 1
        short += count <= SHORT_LINE
        last = stop - 1
        while last > line and data[last] & 0xC0 == 0x80:
            last -= 1
        punctuated += flags[code_point(data, last, stop)[0]] & STOP != 0
    _, total = repeated(line_hashes, line_chars, lines, table)
    out[LineMeasure.SHARE_OF_LINES_ENDING_WITH_PUNCTUATION] = punctuated / lines if lines else 0.0
    out[LineMeasure.SHARE_OF_LINES_SHORT] = short / lines if lines else 0.0
    out[LineMeasure.SHARE_OF_CHARS_IN_DUPLICATE_LINES] = total / chars if chars else 0.0
    out[LineMeasure.NEWLINES_PER_WORD_OR_SYMBOL] = newlines / n_tokens if n_tokens else 0.0
