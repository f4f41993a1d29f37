"""The measures of a text: every name, its slot in the kernels' output and its definition, in this one place.

To add one: add a line here, store it in the kernel that sees what it needs, compute it in
`text_measures_reference.py`. Its column, schema and place in the report follow.

Words used below. A character is a code point. White space is what `str.isspace` means. A token is a word or a
symbol as `text_measures_tokens.py` splits them. A token is a word of the document if it holds a character
that is not in datatrove's punctuation (`text_measures_flags.PUNCTUATION`). 0/0 is 0.
"""

from enum import IntEnum

import pyarrow as pa


class _Slots(IntEnum):
    """Members count up from 0; `definition` says what each one is."""

    definition: str

    def __new__(cls, definition: str) -> "_Slots":
        slot = int.__new__(cls, len(cls.__members__))
        slot._value_ = len(cls.__members__)
        slot.definition = definition
        return slot

    @property
    def column(self) -> str:
        return self.name.lower()

    @property
    def field(self) -> pa.Field:
        """Shares, means and ratios are doubles, everything else is a count."""
        real = self.column.startswith(("share_", "mean_")) or "_per_" in self.column
        return pa.field(self.column, pa.float64() if real else pa.int64())


class TextMeasure(_Slots):
    """What Gopher's and C4's rules ask about. Repeated means: equal to an earlier one; the first does not count.

    Repeated lines, paragraphs and n-grams are found by 64-bit hashes. Two different ones are taken for equal
    in about one of 4 * 10^7 documents of a million lines each, and more rarely by the square in shorter ones.
    """

    CHARS = "characters of the text"
    # Gopher repetition: paragraphs are what two or more newlines separate in the stripped text;
    # newline lines are what runs of newlines separate in the text, empty ones at both ends included.
    SHARE_OF_PARAGRAPHS_REPEATED = "repeated paragraphs / paragraphs"
    SHARE_OF_CHARS_IN_REPEATED_PARAGRAPHS = "characters in repeated paragraphs / chars"
    SHARE_OF_LINES_REPEATED = "repeated newline lines / newline lines"
    SHARE_OF_CHARS_IN_REPEATED_LINES = "characters in repeated newline lines / chars"
    # An n-gram is n tokens in a row; the top one is the most frequent, of several the one that comes first.
    SHARE_OF_CHARS_IN_TOP_2_GRAM = "occurrences of the top 2-gram * (characters of its tokens + 1) / chars"
    SHARE_OF_CHARS_IN_TOP_3_GRAM = "occurrences of the top 3-gram * (characters of its tokens + 2) / chars"
    SHARE_OF_CHARS_IN_TOP_4_GRAM = "occurrences of the top 4-gram * (characters of its tokens + 3) / chars"
    # Walking from the left: a repeated n-gram is counted and stepped over whole, any other by one token;
    # repeated is what equals one that was stepped on before.
    SHARE_OF_CHARS_IN_REPEATED_5_GRAMS = "characters of the tokens in repeated 5-grams / chars"
    SHARE_OF_CHARS_IN_REPEATED_6_GRAMS = "characters of the tokens in repeated 6-grams / chars"
    SHARE_OF_CHARS_IN_REPEATED_7_GRAMS = "characters of the tokens in repeated 7-grams / chars"
    SHARE_OF_CHARS_IN_REPEATED_8_GRAMS = "characters of the tokens in repeated 8-grams / chars"
    SHARE_OF_CHARS_IN_REPEATED_9_GRAMS = "characters of the tokens in repeated 9-grams / chars"
    SHARE_OF_CHARS_IN_REPEATED_10_GRAMS = "characters of the tokens in repeated 10-grams / chars"
    # Gopher quality: lines are those of `str.splitlines`.
    WORDS_AND_SYMBOLS = "tokens"
    WORDS = "tokens with a character that is not punctuation"
    MEAN_WORD_LENGTH = "characters of the words / words"
    HASHES_PER_WORD_OR_SYMBOL = "number signs (#) in the text / tokens"
    ELLIPSES_PER_WORD_OR_SYMBOL = "(... without overlap, and U+2026) in the text / tokens"
    SHARE_OF_LINES_STARTING_WITH_BULLET = "lines whose first character but white space is U+2022 or - / lines"
    SHARE_OF_LINES_ENDING_WITH_ELLIPSIS = "lines that end in ... or U+2026, white space aside / lines"
    SHARE_OF_WORDS_AND_SYMBOLS_WITH_LETTER = "tokens with a letter / tokens"
    STOP_WORDS = "how many of the, be, to, of, and, that, have, with occur as tokens, in lower case"
    # C4: lines are those of `str.splitlines`; `text_measures_c4.py` says which stay.
    C4_LOREM_IPSUM_LINES = "lines of at least 3 words, none over 1000 characters, with lorem ipsum"
    C4_CURLY_BRACKET_LINES = "of these lines, those with { and without javascript"
    C4_SENTENCES = "sentences of the lines that stay"


class LineMeasure(_Slots):
    """What FineWeb's rules ask about. Lines are what newlines separate, those of white space alone left out."""

    SHARE_OF_LINES_ENDING_WITH_PUNCTUATION = "lines whose last character ends a sentence in some script / lines"
    SHARE_OF_LINES_SHORT = "lines of at most 30 characters / lines"
    SHARE_OF_CHARS_IN_DUPLICATE_LINES = "characters of lines equal to an earlier one / characters but newlines"
    NEWLINES_PER_WORD_OR_SYMBOL = "newlines / tokens"
