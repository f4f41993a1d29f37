"""The lines and paragraphs of a text in plain Python; line_spans.py must give the same."""

import xxhash

from tokenmill.kernels.hashing import seeds
from tokenmill.kernels.line_spans import SALT
from tokenmill.kernels.unicode_classes import CLASSES, SPACE

SPACES = "".join(chr(c) for c in range(0x3001) if CLASSES[c] & SPACE)  # U+3000 is the last of them
Span = tuple[int, int, int, int]  # start, stop, and the two halves of the hash


def line_spans(text: str | None, *, paragraphs: bool, chars_at_least: int) -> list[Span]:
    found: list[Span] = []
    open_: list[tuple[int, str]] = []  # the lines of the paragraph so far: first byte, text without white space
    at = 0
    lines = [] if text is None else text.split("\n")
    for line in [*lines, ""]:
        stripped = line.strip(SPACES)
        if stripped:
            open_.append((at + len(line.encode()) - len(line.lstrip(SPACES).encode()), stripped))
        if open_ and (not stripped or not paragraphs):
            if sum(len(words) for _, words in open_) >= chars_at_least:
                stop = open_[-1][0] + len(open_[-1][1].encode())
                found.append((open_[0][0], stop, *_hash([words for _, words in open_])))
            open_ = []
        at += len(line.encode()) + 1
    return found


def _hash(lines: list[str]) -> tuple[int, int]:
    first, second = (int(seed) for seed in seeds(SALT))
    for line in lines:
        first, second = (xxhash.xxh64_intdigest(line.encode(), seed) for seed in (first, second))
    return first, second
