"""The plain definition of every measure in `text_measures_names.py`, on Python strings: slow, and compares real text.

Lines, paragraphs and n-grams are compared as strings and tuples, not by hash. What a letter is, is the pinned table's.
"""

import re
from collections import Counter
from collections.abc import Sequence

from tokenmill.kernels import text_measures_flags as f
from tokenmill.kernels.text_measures_c4 import CHARS_PER_WORD, WORDS_PER_LINE
from tokenmill.kernels.text_measures_lines import SHORT_LINE
from tokenmill.kernels.text_measures_tokens import STOP_WORDS

_FLAGS = f.flags()
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_SYMBOLS = re.compile(r"[!-/:-@\[-`{-~]*")
_CITATION = re.compile(r"\[(?P<inner>[^\[\]]*)\]")


def _is(character: str, bits: int) -> bool:
    return bool(_FLAGS[ord(character)] & bits)


def _has(text: str, bits: int) -> bool:
    return any(_is(c, bits) for c in text)


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0


def tokens(text: str) -> list[str]:
    """The words and symbols of `text`, by the rules in `text_measures_tokens.py`."""
    found: list[str] = []
    p = 0
    while p < len(text):
        if _is(text[p], f.SPACE):
            p += 1
            continue
        q = _token_end(text, p, after_word=p > 0 and _is(text[p - 1], f.WORD))
        found.append(text[p:q])
        p = q
    return found


def _token_end(text: str, p: int, after_word: bool) -> int:
    c, q = text[p], p + 1
    apostrophe = c in "'\u2019" and after_word and q < len(text) and _is(text[q], f.WORD)
    if not _is(c, f.WORD) and not apostrophe:
        while c in ".-" and q < len(text) and text[q] == c:
            q += 1
        return q
    while q < len(text):
        if _is(text[q], f.WORD):
            q += 1
            continue
        symbols = _SYMBOLS.match(text, q)
        after = symbols.end() if symbols else q
        if after > q and after < len(text) and _is(text[after], f.WORD) and not _splits(text, q, after):
            q = after
            continue
        # A single letter is one that neither a word character nor this token's own apostrophe stands in front of.
        single = q - 2 < p or not (_is(text[q - 2], f.WORD) or (apostrophe and q - 2 == p))
        return q + 1 if text[q] == "." and _is(text[q - 1], f.LETTER) and single else q
    return q


def _splits(text: str, q: int, after: int) -> bool:
    before, symbol, behind = text[q - 1], text[q], text[after]
    if symbol == "'" or text[q : q + 2] == "..":
        return True
    if after > q + 1:
        return False
    return (
        (symbol in "-,~" and _is(before, f.LETTER) and _is(behind, f.LETTER))
        or (symbol in "+-*^" and _is(before, f.DIGIT) and _is(behind, f.DIGIT))
        or (symbol in ":<>=/" and _is(before, f.LETTER | f.DIGIT) and _is(behind, f.LETTER))
        or (symbol == "." and _is(before, f.LOWERCASE) and _is(behind, f.UPPERCASE))
    )


def sentences(line: str) -> int:
    """The sentences of one line, by the rule in `text_measures_c4.py`."""
    count, ended = 1, False
    for p, c in enumerate(line):
        before, behind = line[p - 1 : p] or " ", line[p + 1 : p + 2] or " "
        if _is(c, f.WORD):
            count, ended = count + ended, False
        elif c == ".":
            if before == ".":
                ended = False  # the first of an ellipsis is not an end either
                continue
            initial = _is(before, f.LETTER) and not _is(line[p - 2 : p - 1] or " ", f.WORD)
            if initial:
                continue
            glued = _is(behind, f.WORD) and not (_is(before, f.LOWERCASE) and _is(behind, f.UPPERCASE))
            ended = not glued
        elif _is(c, f.STOP):
            ended = not (ord(c) < 0x80 and _is(behind, f.WORD))
    return count


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many of `parts` equal an earlier one, and their characters."""
    seen: set[str] = set()
    again = [part for part in parts if part in seen or seen.add(part)]  # type: ignore[func-returns-value]
    return len(again), sum(map(len, again))


def _without_citations(line: str) -> str:
    def keep(match: re.Match[str]) -> str:
        inner = match["inner"]
        return "" if inner in ("edit", "citation needed") or all(_is(c, f.DIGIT) for c in inner) else match[0]

    return _CITATION.sub(keep, line)


def c4_lines(text: str) -> tuple[list[str], dict[str, float]]:
    """The lines that stay, and C4's measures."""
    kept, found = [], {"c4_lorem_ipsum_lines": 0, "c4_curly_bracket_lines": 0, "c4_sentences": 0}
    for raw in text.splitlines():
        words = raw.split()
        if any(len(w) > CHARS_PER_WORD for w in words) or len(words) < WORDS_PER_LINE:
            continue
        line = _without_citations(raw.strip())
        lower = "".join(c.lower() if c < "\x80" else c for c in line)
        found["c4_lorem_ipsum_lines"] += "lorem ipsum" in lower
        if "javascript" in lower:
            continue
        found["c4_curly_bracket_lines"] += "{" in line
        if any(policy in lower for policy in _POLICIES):
            continue
        found["c4_sentences"] += sentences(line)
        kept.append(line)
    return kept, {k: float(v) for k, v in found.items()}


def keep_c4_lines(text: str) -> str:
    return "\n".join(c4_lines(text)[0]).strip()


def measure_text(text: str) -> dict[str, float]:
    """Every TextMeasure of `text`, by column name."""
    chars = len(text)
    if not text:
        text = " "  # no tokens, nothing repeated
    paragraphs = re.split("\n{2,}", text.strip())
    newline_lines = re.split("\n+", text)
    lines = text.splitlines()
    all_tokens = tokens(text)
    words = [t for t in all_tokens if _has(t, f.CONTENT)]
    stripped = [line.strip() for line in lines]
    measures: dict[str, float] = {
        "chars": chars,
        "share_of_paragraphs_repeated": _ratio(repeated(paragraphs)[0], len(paragraphs)),
        "share_of_chars_in_repeated_paragraphs": _ratio(repeated(paragraphs)[1], chars),
        "share_of_lines_repeated": _ratio(repeated(newline_lines)[0], len(newline_lines)),
        "share_of_chars_in_repeated_lines": _ratio(repeated(newline_lines)[1], chars),
        "words_and_symbols": len(all_tokens),
        "words": len(words),
        "mean_word_length": _ratio(sum(map(len, words)), len(words)),
        "hashes_per_word_or_symbol": _ratio(text.count("#"), len(all_tokens)),
        "ellipses_per_word_or_symbol": _ratio(text.count("...") + text.count("\u2026"), len(all_tokens)),
        "share_of_lines_starting_with_bullet": _ratio(sum(s.startswith(("\u2022", "-")) for s in stripped), len(lines)),
        "share_of_lines_ending_with_ellipsis": _ratio(sum(s.endswith(("...", "\u2026")) for s in stripped), len(lines)),
        "share_of_words_and_symbols_with_letter": _ratio(sum(_has(t, f.LETTER) for t in all_tokens), len(all_tokens)),
        "stop_words": len(set(STOP_WORDS) & set(all_tokens)),
    }
    for n in (2, 3, 4):
        measures[f"share_of_chars_in_top_{n}_gram"] = _ratio(_top(all_tokens, n), chars)
    for n in range(5, 11):
        measures[f"share_of_chars_in_repeated_{n}_grams"] = _ratio(_stepped_over(all_tokens, n), chars)
    return measures | c4_lines(text)[1]


def _top(all_tokens: list[str], n: int) -> int:
    counts = Counter(tuple(all_tokens[i : i + n]) for i in range(len(all_tokens) - n + 1))
    if not counts:
        return 0
    gram, count = counts.most_common(1)[0]  # of equally frequent ones, the first inserted
    return count * len(" ".join(gram))


def _stepped_over(all_tokens: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    chars = i = 0
    while i + n <= len(all_tokens):
        gram = tuple(all_tokens[i : i + n])
        if gram in seen:
            chars += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def measure_lines(text: str) -> dict[str, float]:
    """Every LineMeasure of `text`, by column name."""
    lines = [line for line in text.split("\n") if line.strip()]
    return {
        "share_of_lines_ending_with_punctuation": _ratio(sum(_is(line[-1], f.STOP) for line in lines), len(lines)),
        "share_of_lines_short": _ratio(sum(len(line) <= SHORT_LINE for line in lines), len(lines)),
        "share_of_chars_in_duplicate_lines": _ratio(repeated(lines)[1], len(text.replace("\n", ""))),
        "newlines_per_word_or_symbol": _ratio(text.count("\n"), len(tokens(text))),
    }
