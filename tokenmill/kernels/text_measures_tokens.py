"""Splitting a text into tokens, and what Gopher asks about them.

datatrove splits with spaCy's English rules, which need a Python object per token and a list of exceptions.
These rules are as close as one pass without a list comes; `benchmarks/results/filters.md` has the agreement.

1. A word is a run of letters, marks and numbers. It goes on across a run of ASCII symbols with a word character on
   both sides ("1,000.5", "a_b", "http://a.b/c?d"), but not across one that begins with
   - an apostrophe, "..", a hyphen, comma or tilde between letters, or one of + - * ^ between decimal digits;
   - one of : < > = / between a letter or decimal digit and a letter;
   - a full stop between a lower-case and an upper-case letter.
2. An apostrophe (' or U+2019) between word characters begins a new word: "it" "'s".
3. A full stop right behind a single letter belongs to the word: "U.S.", "e.g.", "J.".
4. A run of full stops is one token; so is a run of hyphens. Any other character but white space is one by itself.
"""

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.text_measures_flags import (
    CONTENT,
    DIGIT,
    JOINER,
    LETTER,
    LOWERCASE,
    SPACE,
    UPPERCASE,
    WORD,
)
from tokenmill.kernels.text_measures_hash import hash_bytes, hash_short
from tokenmill.kernels.text_measures_names import TextMeasure
from tokenmill.kernels.text_measures_utf8 import Integer, code_point

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher, arXiv:2112.11446, A.1.1
_THE, _BE, _TO, _OF, _AND, _THAT, _HAVE, _WITH = (int.from_bytes(w.encode(), "big") for w in STOP_WORDS)

_BLANK, _APOSTROPHE, _CURLY_APOSTROPHE, _HYPHEN, _FULL_STOP = 0x20, 0x27, 0x2019, 0x2D, 0x2E
_ASTERISK, _PLUS, _COMMA, _SLASH, _COLON, _LESS, _EQUALS, _GREATER, _CARET, _TILDE = (ord(c) for c in "*+,/:<=>^~")


@compiled
def _joined(data: NDArray[np.uint8], p: Integer, end: Integer, flags: NDArray[np.uint16], before: Integer) -> Integer:
    """Where the word goes on behind the symbols that begin at `p`; `p` itself if it ends there (rule 1).

    `before` is the flags of the word character in front of them. Cost: the length of the run of symbols.
    """
    symbol = data[p]
    after = p + 1
    while after < end and flags[data[after]] & JOINER:
        after += 1
    if after == end or symbol == _APOSTROPHE:
        return p
    c, _ = code_point(data, after, end)
    if not flags[c] & WORD:
        return p
    if after > p + 1:
        return p if symbol == _FULL_STOP and data[p + 1] == _FULL_STOP else after
    behind = flags[c]
    if symbol in (_HYPHEN, _COMMA, _TILDE) and before & LETTER and behind & LETTER:
        return p
    if symbol in (_HYPHEN, _PLUS, _ASTERISK, _CARET):
        if before & DIGIT and behind & DIGIT:
            return p
    elif symbol in (_COLON, _SLASH, _LESS, _EQUALS, _GREATER):
        if before & (LETTER | DIGIT) and behind & LETTER:
            return p
    elif symbol == _FULL_STOP and before & LOWERCASE and behind & UPPERCASE:
        return p
    return after


@compiled
def _stop_word(data: NDArray[np.uint8], p: Integer, length: Integer) -> Integer:
    """The bit of the stop word that the `length` bytes (2 to 4) at `p` spell, or 0."""
    spelt = np.int64(0)
    for i in range(length):
        spelt = spelt << 8 | np.int64(data[p + i])
    if length == 2:
        return 2 if spelt == _BE else 4 if spelt == _TO else 8 if spelt == _OF else 0
    if length == 3:
        return 1 if spelt == _THE else 16 if spelt == _AND else 0
    return 32 if spelt == _THAT else 64 if spelt == _HAVE else 128 if spelt == _WITH else 0


@compiled
def split_tokens(
    data: NDArray[np.uint8],
    start: Integer,
    end: Integer,
    flags: NDArray[np.uint16],
    hashes: NDArray[np.uint64],
    ends: NDArray[np.int32],
    out: NDArray[np.float64],
) -> Integer:
    """How many tokens data[start:end] has; the measures that concern them go to `out`, by TextMeasure.

    hashes[i] is the hash of token i; ends[i + 1] the characters of tokens 0..i, ends[0] is 0. Both need room
    for one more entry than there are bytes.
    """
    n = words = with_letter = 0
    word_chars: Integer = 0
    chars: Integer = 0
    stop_words: Integer = 0
    ends[0] = 0
    after_word = False  # the character before p is of WORD
    p = start
    while p < end:
        b = data[p]
        if b >= 0x80:
            c, width = code_point(data, p, end)
        else:  # most of all text
            c, width = np.int64(b), 1
        flag = flags[c]
        if flag & SPACE:
            p += width
            after_word = False
            continue
        q = p + width
        length = 1
        seen = flag
        is_word = flag & WORD != 0
        if after_word and not is_word and (c in (_APOSTROPHE, _CURLY_APOSTROPHE)) and q < end:
            is_word = flags[code_point(data, q, end)[0]] & WORD != 0
        if is_word:
            last = flag
            run = 1  # word characters since the last symbol
            while True:
                ascii_from = q
                while q < end and data[q] < 0x80 and flags[data[q]] & WORD:
                    seen |= flags[data[q]]
                    q += 1
                if q > ascii_from:
                    length += q - ascii_from
                    run += q - ascii_from
                    last = flags[data[q - 1]]
                if q == end:
                    break
                if data[q] >= 0x80:
                    c, width = code_point(data, q, end)
                    flag = flags[c]
                    if not flag & WORD:
                        break
                    q += width
                    length += 1
                    run += 1
                    seen |= flag
                    last = flag
                    continue
                c = np.int64(data[q])
                if not flags[c] & JOINER:
                    break
                # a shortcut: before a space nothing is joined
                until = q if q + 1 == end or data[q + 1] == _BLANK else _joined(data, q, end, flags, last)
                if until == q:
                    if c == _FULL_STOP and run == 1 and last & LETTER:
                        until = q + 1
                        last = np.uint16(0)
                    else:
                        break
                for i in range(q, until):
                    seen |= flags[data[i]]
                length += until - q
                run = 0
                q = until
                if last == 0:
                    break
            after_word = last & WORD != 0
        else:
            after_word = False
            if c in (_FULL_STOP, _HYPHEN):
                while q < end and data[q] == c:
                    length += 1
                    q += 1
        if seen & CONTENT:
            words += 1
            word_chars += length
        if seen & LETTER:
            with_letter += 1
            if 2 <= length <= 4 and q - p == length:
                stop_words |= _stop_word(data, p, length)
        if q - p <= 8 and p + 8 <= len(data):
            hashes[n] = hash_short(data, p, q)
        else:
            hashes[n] = hash_bytes(data, p, q)
        chars += length
        n += 1
        ends[n] = chars
        p = q
    distinct = 0
    while stop_words:
        distinct += stop_words & 1
        stop_words >>= 1
    out[TextMeasure.WORDS_AND_SYMBOLS] = n
    out[TextMeasure.WORDS] = words
    out[TextMeasure.MEAN_WORD_LENGTH] = word_chars / words if words else 0.0
    out[TextMeasure.SHARE_OF_WORDS_AND_SYMBOLS_WITH_LETTER] = with_letter / n if n else 0.0
    out[TextMeasure.STOP_WORDS] = distinct
    return n
