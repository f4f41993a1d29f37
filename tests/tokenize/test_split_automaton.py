"""A pattern's table cuts as the library's own matcher does: on every code point in many contexts, and at random."""

import random
from itertools import pairwise

import numpy as np
import pytest
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from tokenmill.kernels.split_scan import PADDING, split
from tokenmill.tokenize.byte_bpe import scan_tables
from tokenmill.tokenize.split_automaton import Automaton, compile_pattern
from tokenmill.tokenize.split_pattern import Unsupported, parse
from tokenmill.tokenize.tokenizer_json import GPT2

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
POSSESSIVE = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
PATTERNS = {
    "gpt2": GPT2,
    "cl100k": CL100K,
    "o200k": O200K,
    "deepseek": DEEPSEEK,
    "tekken": TEKKEN,
    "possessive": POSSESSIVE,
}
ALPHABET = "aAzZ sSlLvV''' \t\n\r\n\f  12٣½.,/!-_(é\u0301ſK中ーあいअा\u2028\u00a0\u3000😀\u200d'"


def cut(automaton: Automaton, text: str) -> list[str]:
    points, ends, at = [ord(c) for c in text], [0], 0
    while at < len(points):
        at = automaton.piece(points, at)
        ends.append(at)
    return [text[a:b] for a, b in pairwise(ends)]


def by_library(pattern: str, text: str) -> list[str]:
    return [piece for piece, _ in Split(Regex(pattern), "isolated").pre_tokenize_str(text)]


@pytest.mark.parametrize("name", PATTERNS)
def test_random_texts_are_cut_as_the_library_cuts_them(name):
    automaton, rng = compile_pattern(parse(PATTERNS[name])), random.Random(5)
    for _ in range(2_000):
        text = "".join(rng.choices(ALPHABET, k=rng.randrange(1, 16)))
        assert cut(automaton, text) == by_library(PATTERNS[name], text), repr(text)


@pytest.mark.parametrize("name", PATTERNS)
def test_the_kernel_cuts_as_the_plain_way_does(name):
    automaton, rng = compile_pattern(parse(PATTERNS[name])), random.Random(6)
    class_of, tables = scan_tables([automaton])
    for _ in range(500):
        text = "".join(rng.choices(ALPHABET, k=rng.randrange(1, 40)))
        raw, ends = text.encode(), np.zeros(200, np.int64)
        n = split(np.frombuffer(raw + b"a" * PADDING, np.uint8), len(raw), class_of[0], tables[0], ends)
        pieces = [raw[a:b].decode() for a, b in pairwise([0, *ends[:n].tolist()])]
        assert pieces == cut(automaton, text)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("a*?b|.", "lazy"),
        (r"(?<=a)b|\s", "a group"),
        (r"\bword|\W", r"\\b"),
        (r"a*", "matches nothing"),
        (r"a+b|\P{L}", "look far"),
        (r"\s++\s|\S", "possessive"),
        (r"\p{N}{1,3}+|\P{N}", "behind it"),
        (r"[a-z&&[^b]]|.", "a set inside"),
        (r"\p{Greek}|\P{L}", "Greek"),
        ("(a", "without its end"),
    ],
)
def test_what_is_not_understood_is_told_and_not_guessed_at(pattern, what):
    with pytest.raises(Unsupported, match=what):
        compile_pattern(parse(pattern))
