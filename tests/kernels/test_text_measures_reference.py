"""The definitions, by values worked out by hand."""

import pytest

from tokenmill.kernels import text_measures_reference as reference
from tokenmill.kernels.text_measures_names import LineMeasure, TextMeasure


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("Hello, World.", "Hello| ,|World|.".replace(" ", ""), id="symbols are tokens"),
        pytest.param("1,000.5 a_b x@y.org", "1,000.5|a_b|x@y.org", id="symbols hold a word together"),
        pytest.param("http://a.b/c?d", "http://a.b|/|c?d", id="a slash before a letter splits"),
        pytest.param("well-known, a,b 3-4 GPT-3", "well|-|known|,|a|,|b|3|-|4|GPT-3", id="hyphens and commas"),
        pytest.param("12:30 a:b x=1", "12:30|a|:|b|x=1", id="colons split before letters only"),
        pytest.param("end.Next a.b", "end|.|Next|a.b", id="a full stop splits between sentences"),
        pytest.param("it's O’Brien 'a'", "it|'s|O|’Brien|'|a|'", id="apostrophes begin a word"),
        pytest.param("in the U.S. J. Doe e.g. plan.", "in|the|U.S.|J.|Doe|e.g.|plan|.", id="single letters"),
        pytest.param("it's.", "it|'s|.", id="the s of an apostrophe is no single letter"),
        pytest.param("so... -- !!", "so|...|--|!|!", id="runs of full stops and hyphens"),
        pytest.param("你好。世界", "你好|。|世界", id="other scripts' symbols never join"),
        pytest.param("\u200b e\u0301", "\u200b|e\u0301", id="marks belong to words, format characters do not"),
        pytest.param(" \n\u3000", "", id="nothing but white space"),
    ],
)
def test_tokens(text: str, tokens: str) -> None:
    assert reference.tokens(text) == [t for t in tokens.split("|") if t]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        pytest.param("no end", 1, id="a line is one sentence"),
        pytest.param("", 1, id="an empty one too"),
        pytest.param("One. Two! Three? Four", 4, id="three ends"),
        pytest.param("One. Two.", 2, id="an end behind which no word comes"),
        pytest.param('He said "Stop." Then left.', 2, id="closing quote"),
        pytest.param("in the U.S. J. Doe, e.g. here", 1, id="single letters"),
        pytest.param("wait... what.. now", 1, id="ellipses"),
        pytest.param("3.14 a.b what?no", 1, id="inside a word"),
        pytest.param("the end.Next one", 2, id="a forgotten space"),
        pytest.param("你好。世界", 2, id="full-width stop, no space"),
        pytest.param("Is it?! Yes", 2, id="two marks, one end"),
    ],
)
def test_sentences(line: str, count: int) -> None:
    assert reference.sentences(line) == count


HELLO = "Hello, World.\nHello, World.\n\nHello"  # 34 characters, 9 tokens: Hello , World . twice, and Hello


CASES = [
    (HELLO, "chars", 34),
    ("né 中", "chars", 4),
    ("a\n\nb\n\na\n\na", "share_of_paragraphs_repeated", 2 / 4),
    (" a\nb\n\na\nb\n", "share_of_chars_in_repeated_paragraphs", 3 / 10),
    (HELLO, "share_of_lines_repeated", 1 / 3),
    ("\na\n", "share_of_lines_repeated", 1 / 3),  # "", "a", "": as re.split gives them
    (HELLO, "share_of_chars_in_repeated_lines", 13 / 34),
    (HELLO, "share_of_chars_in_top_2_gram", 2 * 7 / 34),  # "Hello ,"
    (HELLO, "share_of_chars_in_top_3_gram", 2 * 13 / 34),  # "Hello , World"
    (HELLO, "share_of_chars_in_top_4_gram", 2 * 15 / 34),  # "Hello , World ."
    ("ab c d", "share_of_chars_in_top_2_gram", 4 / 6),  # each occurs once: the first, "ab c"
    ("a", "share_of_chars_in_top_2_gram", 0),
    ("a b c d e a b c d e", "share_of_chars_in_repeated_5_grams", 5 / 19),
    ("a b c d e f a b c d e f", "share_of_chars_in_repeated_5_grams", 5 / 23),  # b c d e f: stepped over
    ("a b c d e f a b c d e f", "share_of_chars_in_repeated_6_grams", 6 / 23),
    ("a b c d e f g a b c d e f g", "share_of_chars_in_repeated_7_grams", 7 / 27),
    ("1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8", "share_of_chars_in_repeated_8_grams", 8 / 31),
    ("1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9", "share_of_chars_in_repeated_9_grams", 9 / 35),
    ("a " * 20, "share_of_chars_in_repeated_10_grams", 10 / 40),  # at 0 new, at 1 the same: 1..10, then 9 are left
    ("10 % of it, truly", "words_and_symbols", 6),
    ("10 % of it, truly €", "words", 5),  # 10 of it truly €; % and , are datatrove's punctuation, € is not
    ("ab cdef, €", "mean_word_length", 7 / 3),
    ("#a b #", "hashes_per_word_or_symbol", 2 / 4),
    ("a...b …. ......", "ellipses_per_word_or_symbol", 4 / 6),  # a ... b … . ......
    ("• a\n\n  - b\nc", "share_of_lines_starting_with_bullet", 2 / 4),
    ("a... \nb…\rc..\n", "share_of_lines_ending_with_ellipsis", 2 / 3),
    ("a 1 , é", "share_of_words_and_symbols_with_letter", 2 / 4),
    ("the the The to, of", "stop_words", 3),
    ("a b c\nlorem Ipsum here LOREM IPSUM\nlorem ipsum", "c4_lorem_ipsum_lines", 1),  # the last has two words
    ("a { b\na {javascript b\nc d {}\n{", "c4_curly_bracket_lines", 2),
    ("One is here. Two too.\nshort line\nThree of them", "c4_sentences", 3),
]


@pytest.mark.parametrize(("text", "measure", "value"), CASES)
def test_text_measures(text: str, measure: str, value: float) -> None:
    assert reference.measure_text(text)[measure] == value


def test_every_text_measure_has_a_hand_computed_value() -> None:
    assert {measure for _, measure, _ in CASES} == {m.column for m in TextMeasure}


@pytest.mark.parametrize(
    ("text", "measure", "value"),
    [
        ("One.\nTwo\n \nThree。\nFour. ", "share_of_lines_ending_with_punctuation", 2 / 4),
        ("x" * 30 + "\n" + "y" * 31 + "\n\n", "share_of_lines_short", 1 / 2),
        ("ab\nab\nc\n\nab", "share_of_chars_in_duplicate_lines", 4 / 7),
        ("a b\ncd.\n", "newlines_per_word_or_symbol", 2 / 4),
    ],
)
def test_line_measures(text: str, measure: str, value: float) -> None:
    assert reference.measure_lines(text)[measure] == value
    assert set(reference.measure_lines(text)) == {m.column for m in LineMeasure}


def test_nothing_divided_by_nothing_is_zero() -> None:
    assert set(reference.measure_text("").values()) == {0.0}
    assert set(reference.measure_lines("").values()) == {0.0}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("two words\nthree words here", "three words here", id="fewer than 3 words"),
        pytest.param("a b " + "x" * 1000, "a b " + "x" * 1000, id="a word of 1000 characters"),
        pytest.param("a b " + "x" * 1001, "", id="a word of 1001 characters"),
        pytest.param("Please enable JavaScript now\nfine line here", "fine line here", id="javascript"),
        pytest.param(
            "Read our Privacy Policy\nthis site uses cookies\nfine line here", "fine line here", id="policies"
        ),
        pytest.param("As shown [12][edit] here[citation needed] and [3a]", "As shown  here and [3a]", id="citations"),
        pytest.param("java[1]script is here now", "", id="what a citation hid"),
        pytest.param("  one two three  \r\n\r\n four five six\u2028seven eight nine", None, id="lines are stripped"),
        pytest.param("[1] two three\n[2] five six", "two three\n five six", id="the space behind a citation stays"),
    ],
)
def test_lines_that_c4_keeps(text: str, kept: str | None) -> None:
    assert reference.keep_c4_lines(text) == ("one two three\nfour five six\nseven eight nine" if kept is None else kept)
