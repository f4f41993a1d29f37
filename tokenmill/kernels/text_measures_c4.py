"""Lines as `str.splitlines` cuts them: which of them C4 keeps, their sentences, and Gopher's bullets and ellipses.

Source: C4 (arXiv:1910.10683) as datatrove 0.10's C4QualityFilter reads it with filter_no_terminal_punct=False,
which is FineWeb's way. A line, white space at its ends removed, goes if
- it has a word of over 1000 characters, or fewer than 3 words (here: what white space separates); else, after
  citations ([12], [], [edit], [citation needed]) were cut out of it, if
- it contains "javascript" or a phrase about policies, ASCII letters in any case.

datatrove counts sentences with spaCy's sentencizer. Here a line has one sentence, and one more for every word
character that is the first behind an end. An end is a character of TERMINAL, except
- a full stop beside another one, or right behind a single letter ("U.S.", "J.");
- an ASCII one right in front of a word character ("3.14"), unless that is upper-case behind lower-case ("end.Next").
"""

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.text_measures_flags import DIGIT, LETTER, LOWERCASE, NOTABLE, SPACE, STOP, UPPERCASE, WORD
from tokenmill.kernels.text_measures_names import TextMeasure
from tokenmill.kernels.text_measures_utf8 import Integer, code_point

WORDS_PER_LINE = 3
CHARS_PER_WORD = 1000

# What a line contains.
_CITATION, _LOREM_IPSUM, _JAVASCRIPT, _CURLY_BRACKET, _POLICY = 1, 2, 4, 8, 16
_FULL_STOP, _ELLIPSIS, _BULLET, _HYPHEN = 0x2E, 0x2026, 0x2022, 0x2D
_NEWLINE, _RETURN, _CURLY, _BRACKET, _CLOSING, _HASH = 10, 13, 0x7B, 0x5B, 0x5D, 0x23


@compiled
def _spells(data: NDArray[np.uint8], p: Integer, start: Integer, end: Integer, phrase: bytes) -> bool:
    """Does data[p:] begin with `phrase` (lower-case ASCII), its case aside, within start..end?"""
    if p < start or p + len(phrase) > end:
        return False
    for i in range(len(phrase)):
        b = data[p + i]
        if 0x41 <= b <= 0x5A:
            b |= 0x20
        if b != phrase[i]:
            return False
    return True


@compiled
def _phrases_at(data: NDArray[np.uint8], p: Integer, start: Integer, end: Integer) -> Integer:
    """The phrases that the letter at `p` (v, k or m) stands in, at the place where we look for it."""
    letter = data[p] | 0x20
    if letter == 0x76:
        if _spells(data, p - 2, start, end, b"javascript"):
            return _JAVASCRIPT
        return _POLICY if _spells(data, p - 3, start, end, b"privacy policy") else 0
    if letter == 0x6D:
        if _spells(data, p - 3, start, end, b"terms of use"):
            return _POLICY
        return _LOREM_IPSUM if _spells(data, p - 4, start, end, b"lorem ipsum") else 0
    if not _spells(data, p - 3, start, end, b"cookie"):
        return 0
    if (
        _spells(data, p - 3, start, end, b"cookie policy")
        or _spells(data, p - 7, start, end, b"use cookies")
        or _spells(data, p - 8, start, end, b"uses cookies")
        or _spells(data, p - 10, start, end, b"use of cookies")
    ):
        return _POLICY
    return 0


@compiled
def _citation_at(data: NDArray[np.uint8], p: Integer, end: Integer, flags: NDArray[np.uint16]) -> Integer:
    """The end of the citation that begins with the bracket at `p`; `p` if none does. Cost: the digits in it."""
    q = p + 1
    while q < end:
        c, width = code_point(data, q, end)
        if not flags[c] & DIGIT:
            break
        q += width
    if q < end and data[q] == _CLOSING:
        return q + 1
    # Case matters here, as in the source.
    for phrase in (b"[edit]", b"[citation needed]"):
        if p + len(phrase) <= end:
            same = True
            for i in range(len(phrase)):
                same &= data[p + i] == phrase[i]
            if same:
                return p + len(phrase)
    return p


@compiled
def _scan(
    data: NDArray[np.uint8], start: Integer, end: Integer, flags: NDArray[np.uint16]
) -> tuple[Integer, Integer, Integer, Integer, Integer, Integer, Integer, Integer]:
    """One line: what it contains, words, longest word, sentences, number signs, ellipses, and its stripped extent."""
    words = hashes = ellipses = 0
    found: Integer = 0
    longest: Integer = 0
    sentences = 1
    length: Integer = 0  # of the word so far, as white space cuts words
    run = 0  # word characters since the last other one
    last = np.uint16(0)  # flags of the character before
    stops = 0  # full stops right before, if there is no other character between
    pending = 0  # 1: an ASCII end right before; 2: an end before
    before_end = np.uint16(0)  # flags of what stands in front of the end
    first: Integer = -1
    behind = start
    p = start
    while p < end:
        b = data[p]
        if b >= 0x80:
            c, width = code_point(data, p, end)
        else:  # most of all text
            c, width = np.int64(b), 1
        flag = flags[c]
        if flag & SPACE:
            if length:
                words += 1
                longest = max(longest, length)
                length = 0
            if pending:
                pending = 2
            run = stops = 0
        else:
            if first < 0:
                first = p
            length += 1
            behind = p + width
            if flag & NOTABLE:
                if c == _CURLY:
                    found |= _CURLY_BRACKET
                elif c == _HASH:
                    hashes += 1
                elif c == _ELLIPSIS:
                    ellipses += 1
                elif c == _BRACKET:
                    if not found & _CITATION and _citation_at(data, p, end, flags) > p:
                        found |= _CITATION
                else:
                    found |= _phrases_at(data, p, start, end)
            if flag & WORD:
                if pending:
                    joined = pending == 1 and not (before_end & LOWERCASE and flag & UPPERCASE)
                    sentences += not joined
                    pending = 0
                run += 1
                stops = 0
            elif c == _FULL_STOP:
                stops += 1
                ellipses += stops % 3 == 0
                if stops > 1:
                    pending = 0
                elif not (run == 1 and last & LETTER):
                    pending = 1
                    before_end = last
                elif pending:
                    pending = 2
                run = 0
            else:
                if flag & STOP:
                    pending = 1 if c < 0x80 else 2
                    before_end = np.uint16(0)
                elif pending:
                    pending = 2
                run = stops = 0
        last = flag
        p += width
    if length:
        words += 1
        longest = max(longest, length)
    return found, words, longest, sentences, hashes, ellipses, max(first, start), behind


@compiled
def _line_end(data: NDArray[np.uint8], start: Integer, end: Integer) -> tuple[Integer, Integer]:
    """Where the line that begins at `start` ends, and where the next one begins."""
    p = start
    while p < end:
        b = data[p]
        if b < 0x20:
            if b == _RETURN and p + 1 < end and data[p + 1] == _NEWLINE:
                return p, p + 2
            if _NEWLINE <= b <= _RETURN or 0x1C <= b <= 0x1E:
                return p, p + 1
        elif b == 0xC2:
            if p + 1 < end and data[p + 1] == 0x85:
                return p, p + 2
        elif b == 0xE2 and p + 2 < end and data[p + 1] == 0x80 and data[p + 2] & 0xFE == 0xA8:
            return p, p + 3  # U+2028 and U+2029
        p += 1
    return end, end


@compiled
def _without_citations(
    data: NDArray[np.uint8],
    start: Integer,
    end: Integer,
    flags: NDArray[np.uint16],
    dest: NDArray[np.uint8],
    at: Integer,
) -> Integer:
    """Copy data[start:end] but its citations to dest[at:]; the end of the copy."""
    p = start
    while p < end:
        q = _citation_at(data, p, end, flags) if data[p] == _BRACKET else p
        if q > p:
            p = q
        else:
            dest[at] = data[p]
            at += 1
            p += 1
    return at


@compiled
def keep_lines(
    data: NDArray[np.uint8],
    start: Integer,
    end: Integer,
    flags: NDArray[np.uint16],
    dest: NDArray[np.uint8],
    at: Integer,
    write: bool,
    out: NDArray[np.float64],
) -> Integer:
    """Measure the lines of data[start:end] into `out`, by TextMeasure but for `tokens`; the end of what was written.

    With `write`, the lines that stay are written to dest[at:], each with a newline behind it. Without, `dest` is
    scratch. It needs room for one more byte than the text has, either way.
    """
    lines = bullets = elliptic = hashes = ellipses = sentences = lorem_lines = curly_lines = 0
    p = start
    while p < end:
        stop, following = _line_end(data, p, end)
        found, words, longest, line_sentences, h, e, first, behind = _scan(data, p, stop, flags)
        lines += 1
        hashes += h
        ellipses += e
        p = following
        if first < behind:
            c, _ = code_point(data, first, behind)
            bullets += c in (_BULLET, _HYPHEN)
            if behind - first >= 3:
                x, y, z = data[behind - 3], data[behind - 2], data[behind - 1]
                elliptic += (x == _FULL_STOP and y == _FULL_STOP and z == _FULL_STOP) or (
                    x == 0xE2 and y == 0x80 and z == 0xA6
                )
        if longest > CHARS_PER_WORD or words < WORDS_PER_LINE:
            continue
        written = at
        if found & _CITATION:
            written = _without_citations(data, first, behind, flags, dest, at)
            found, _, _, line_sentences, _, _, _, _ = _scan(dest, at, written, flags)
        elif write:
            for i in range(behind - first):
                dest[at + i] = data[first + i]
            written = at + behind - first
        lorem_lines += found & _LOREM_IPSUM != 0
        if found & _JAVASCRIPT:
            continue
        curly_lines += found & _CURLY_BRACKET != 0
        if found & _POLICY:
            continue
        sentences += line_sentences
        if write:
            dest[written] = _NEWLINE
            at = written + 1
    out[TextMeasure.HASHES_PER_WORD_OR_SYMBOL] = hashes
    out[TextMeasure.ELLIPSES_PER_WORD_OR_SYMBOL] = ellipses
    out[TextMeasure.SHARE_OF_LINES_STARTING_WITH_BULLET] = bullets / lines if lines else 0.0
    out[TextMeasure.SHARE_OF_LINES_ENDING_WITH_ELLIPSIS] = elliptic / lines if lines else 0.0
    out[TextMeasure.C4_LOREM_IPSUM_LINES] = lorem_lines
    out[TextMeasure.C4_CURLY_BRACKET_LINES] = curly_lines
    out[TextMeasure.C4_SENTENCES] = sentences
    return at
