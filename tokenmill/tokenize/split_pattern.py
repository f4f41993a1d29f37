"""A tokenizer's split pattern, read into a tree of sets of code points: the part of regular expressions that they use.

Alternatives, groups, `(?i:...)`, sets, `\\p{..}`, greedy and possessive repeats, a look ahead at one character, the end
of the text. What is not in there is Unsupported, never guessed at. A possessive repeat is taken for a greedy one where
giving characters back could not help: else it is Unsupported too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.unicode_categories import CATEGORIES, CATEGORY_NAMES, CODE_POINTS, WHITE_SPACE

Set = NDArray[np.bool_]  # of CODE_POINTS
MOST_REPEATS = 16  # of {n,m}: each is a copy of what it repeats


class Unsupported(Exception):  # noqa: N818 - no error: the text goes another way
    """What the kernel cannot be proven to do as the reference does."""


@dataclass(frozen=True, slots=True, eq=False)
class One:
    """A code point of a set."""

    of: Set


@dataclass(frozen=True, slots=True)
class Row:
    """One behind the other."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """The first that leads to a match."""

    among: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """As often as it can, from `least` times; `most` None: without end."""

    what: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """Holds if the next code point is in `of`; at the end of the text, if `at_end`."""

    of: Set
    at_end: bool


Node = One | Row | Choice | Repeat | Ahead


def parse(pattern: str) -> Node:
    """Raises Unsupported, saying what."""
    reader = _Reader(pattern)
    node = reader.choice()
    if reader.at < len(pattern):
        raise Unsupported(f"{pattern[reader.at :]!r} at {reader.at} of the pattern")
    return node


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0
        self._any_case = False

    def choice(self) -> Node:
        among = [self._sequence()]
        while self._take("|"):
            among.append(self._sequence())
        return among[0] if len(among) == 1 else Choice(tuple(among))

    def _sequence(self) -> Node:
        parts: list[tuple[Node, bool]] = []
        while self.at < len(self._pattern) and self._pattern[self.at] not in "|)":
            parts.append(self._repeated(self._atom()))
        nodes = [node for node, _ in parts]
        for number, (node, possessive) in enumerate(parts):
            if possessive and not _never_gives_back(node, nodes[number + 1 :]):
                raise Unsupported("a possessive repeat that a greedy one does not stand for")
        return Row(tuple(nodes))

    def _repeated(self, node: Node) -> tuple[Node, bool]:
        """With what stands behind it; and whether that was possessive."""
        if self._take("?"):
            least, most = 0, 1
        elif self._take("*"):
            least, most = 0, None
        elif self._take("+"):
            least, most = 1, None
        elif self._pattern.startswith("{", self.at):
            least, most = self._bounds()
            if self._peek() in ("?", "+"):  # Oniguruma reads the `+` as one more repeat
                raise Unsupported("{n,m} with ? or + behind it")
        else:
            return node, False
        if self._take("?"):
            raise Unsupported("a lazy repeat")
        return Repeat(node, least, most), self._take("+")

    def _bounds(self) -> tuple[int, int | None]:
        end = self._pattern.find("}", self.at)
        first, comma, last = self._pattern[self.at + 1 : end].partition(",")
        if end < 0 or not first.isdigit() or (last and not last.isdigit()):
            raise Unsupported("a brace that is no {n}, {n,} or {n,m}")
        self.at = end + 1
        least = int(first)
        most = (int(last) if last else None) if comma else least
        if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
            raise Unsupported(f"{{{first}{comma}{last}}}")
        return least, most

    def _atom(self) -> Node:
        if self._take("("):
            return self._group()
        if self._take("["):
            return One(self._set())
        if self._take("$") or self._take("\\z"):
            return Ahead(_none(), at_end=True)
        if self._take("."):
            raise Unsupported("a dot: what it stops at differs")
        if self._peek() == "\\":
            return One(self._escape())
        letter = self._next()
        if letter in "^*+?{":
            raise Unsupported(f"{letter!r} at {self.at - 1} of the pattern")
        return One(self._of(letter))

    def _group(self) -> Node:
        before = self._any_case
        ahead: bool | None = None  # whether it is negative
        if self._take("?:"):
            pass
        elif self._take("?i:"):
            self._any_case = True
        elif self._take("?!"):
            ahead = True
        elif self._take("?="):
            ahead = False
        elif self._peek() == "?":
            raise Unsupported(f"a group {self._pattern[self.at - 1 : self.at + 3]!r}")
        node = self.choice()
        if not self._take(")"):
            raise Unsupported("a group without its end")
        self._any_case = before
        if ahead is None:
            return node
        one = node.parts[0] if isinstance(node, Row) and len(node.parts) == 1 else node
        if not isinstance(one, One):
            raise Unsupported("a look ahead at more than one character")
        return Ahead(~one.of, at_end=True) if ahead else Ahead(one.of, at_end=False)

    def _set(self) -> Set:
        negated = self._take("^")
        found = _none()
        first = True
        while first or self._peek() != "]":
            first = False
            if self._pattern.startswith(("[", "&&"), self.at):
                raise Unsupported("a set inside a set")
            if self._peek() == "\\" and self._pattern[self.at + 1 : self.at + 2] in "pPsSdD":
                found |= self._escape()
                continue
            low = self._character()
            if self._peek() == "-" and self._pattern[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                high = self._character()
                if high < low or self._any_case:
                    raise Unsupported(f"the range {low}-{high}")
                found[ord(low) : ord(high) + 1] = True
            else:
                found |= self._of(low)
        self.at += 1
        return ~found if negated else found

    def _character(self) -> str:
        """One, plain or escaped, as in a set."""
        letter = self._next()
        if letter != "\\":
            return letter
        letter = self._next()
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "x" and self._take("{"):
            end = self._pattern.find("}", self.at)
            code, self.at = self._pattern[self.at : end], end + 1
            return chr(int(code, 16))
        if letter in ("x", "u"):
            width = 2 if letter == "x" else 4
            code, self.at = self._pattern[self.at : self.at + width], self.at + width
            return chr(int(code, 16))
        if letter.isalnum():
            raise Unsupported(f"\\{letter}")
        return letter

    def _escape(self) -> Set:
        kind = self._pattern[self.at + 1 : self.at + 2]
        if kind and kind in "pP":
            self.at += 2
            return self._property() if kind == "p" else ~self._property()
        if kind and kind in "sS":
            self.at += 2
            return WHITE_SPACE.copy() if kind == "s" else ~WHITE_SPACE
        if kind and kind in "dD":
            self.at += 2
            return category("Nd") if kind == "d" else ~category("Nd")
        return self._of(self._character())

    def _property(self) -> Set:
        if self._take("{"):
            end = self._pattern.find("}", self.at)
            name, self.at = self._pattern[self.at : end], end + 1
        else:
            name = self._next()
        if name.startswith("^"):
            return ~category(name[1:])
        return category(name)

    def _of(self, letter: str) -> Set:
        """One letter, in both cases where that counts."""
        found = _none()
        found[ord(letter)] = True
        if self._any_case:
            if not letter.isascii():
                raise Unsupported(f"{letter!r} in any case")
            found[[ord(letter.lower()), ord(letter.upper())]] = True
            for other in _FOLDED.get(letter.lower(), ""):
                found[ord(other)] = True
        return found

    def _peek(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def _next(self) -> str:
        letter = self._peek()
        if not letter:
            raise Unsupported("a pattern without its end")
        self.at += 1
        return letter

    def _take(self, text: str) -> bool:
        found = self._pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found


def category(name: str) -> Set:
    """Of a general category, `Lu`, or of all that begin with one letter, `L`. Raises Unsupported for others."""
    wanted = [number for number, known in enumerate(CATEGORY_NAMES) if known == name or known[0] == name]
    if not wanted:
        raise Unsupported(f"\\p{{{name}}}")
    found: Set = np.isin(CATEGORIES, np.array(wanted, np.uint8))
    return found


def _none() -> Set:
    return np.zeros(CODE_POINTS, np.bool_)


def _never_gives_back(repeat: Node, behind: Sequence[Node]) -> bool:
    """Whether what stands behind matches after the longest run of `repeat`, or after none."""
    if not isinstance(repeat, Repeat) or not isinstance(repeat.what, One | Row):
        return False
    body: Node = repeat.what
    while isinstance(body, Row) and len(body.parts) == 1:
        body = body.parts[0]
    if not isinstance(body, One):
        return False
    firsts = _none()
    for node in behind:
        if isinstance(node, Ahead):
            return not (node.of & body.of).any()  # what was given back would stand there
        first, may_be_empty = _first(node)
        firsts |= first
        if not may_be_empty:
            return not (firsts & body.of).any()
    return True


def _first(node: Node) -> tuple[Set, bool]:
    """The code points that it may begin with, and whether it may be empty. A look ahead counts as no code point."""
    match node:
        case One(of):
            return of, False
        case Ahead():
            raise Unsupported("a look ahead inside of what follows a possessive repeat")
        case Repeat(what, least, _):
            first, empty = _first(what)
            return first, empty or least == 0
        case Choice(among):
            firsts = [_first(each) for each in among]
            together = _none()
            for first, _ in firsts:
                together |= first
            return together, any(empty for _, empty in firsts)
        case Row(parts):
            together = _none()
            for part in parts:
                first, empty = _first(part)
                together |= first
                if not empty:
                    return together, False
            return together, True


_CONTROLS: dict[str, str] = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "a": "\a", "e": "\x1b"}
_FOLDED: dict[str, str] = {"s": "ſ", "k": "\u212a"}  # that fold to one ASCII letter: long s, the Kelvin sign
