"""A split pattern as a table: from a state and the next code point to the next state, as a backtracking matcher goes.

A state is the list of places in the pattern that a match may have come to, in the order in which a backtracking matcher
would try them. Where the pattern may end, everything behind in that order is cut off: it would never be tried. What
stands before may still win; if it does not, the last place where the pattern could end does. A look ahead at one
character needs no state of its own: a step is taken in the knowledge of the next code point, the end of the text too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenmill.kernels.split_scan import BEGIN, COLUMNS, DEAD, ENDS
from tokenmill.kernels.unicode_categories import CODE_POINTS
from tokenmill.tokenize.split_pattern import Ahead, Choice, Node, One, Repeat, Row, Set, Unsupported

MOST_STATES = 4_096
MOST_CLASSES = COLUMNS  # the end of the text among them
MOST_SETS = 62
SURROGATES = slice(0xD800, 0xE000)  # in no text


@dataclass(frozen=True, slots=True, eq=False)
class Automaton:
    """`table[state, class]`: the next state, with ENDS. The last class is the end of the text."""

    class_of: NDArray[np.uint8]  # [CODE_POINTS]
    table: NDArray[np.uint16]  # [states, classes]

    @property
    def covers(self) -> bool:
        """Whether a match begins at every character: then nothing stands between matches."""
        return bool((self.table[self.table[BEGIN, :-1] & (ENDS - 1)] & ENDS).all())

    def piece(self, points: Sequence[int], start: int) -> int:
        """Where the piece ends that begins at `start`: a match, or what stands before the next one.

        The plain way; the kernel is `kernels/split_scan.py`.
        """
        end = self.match(points, start)
        if end > start:
            return end
        end += 1
        while end < len(points) and self.match(points, end) == end:
            end += 1
        return end

    def match(self, points: Sequence[int], start: int) -> int:
        """Where the match ends that begins at `start`; `start` if there is none."""
        state, last, at = BEGIN, start, start
        while True:
            ended = at >= len(points)
            entry = int(self.table[state, -1 if ended else self.class_of[points[at]]])
            if entry & ENDS:
                last = at
            state = entry & (ENDS - 1)
            if state == DEAD or ended:
                return last
            at += 1


def compile_pattern(pattern: Node) -> Automaton:
    """Raises Unsupported for a pattern that is too large, that may match nothing, or that may look far for a match."""
    code = [*_code(pattern, 0), _Match()]
    sets = {id(step.of): step.of for step in code if isinstance(step, _Take | _Look)}
    class_of, members = _classes(list(sets.values()))
    is_in = dict(zip(sets, members, strict=True))
    table = _determined(code, is_in, members.shape[1])
    if (table[BEGIN] & ENDS).any():
        raise Unsupported("a pattern that matches nothing")
    if _may_look_far(table):
        raise Unsupported("a pattern that may look far before it is known to match nothing")
    return Automaton(class_of, table)


@dataclass(frozen=True, slots=True, eq=False)
class _Take:
    of: Set


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    of: Set
    at_end: bool


@dataclass(frozen=True, slots=True)
class _Go:
    """On at one of these addresses: the first is tried first."""

    to: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    pass


_Step = _Take | _Look | _Go | _Match


def _code(node: Node, at: int) -> list[_Step]:
    """Steps that stand at address `at`; what follows the node stands behind them."""
    match node:
        case One(of):
            return [_Take(of)]
        case Ahead(of, at_end):
            return [_Look(of, at_end)]
        case Row(parts):
            steps: list[_Step] = []
            for part in parts:
                steps += _code(part, at + len(steps))
            return steps
        case Choice(among):
            return _choice(among, at)
        case Repeat(what, least, None):
            steps = _code(Row((what,) * least), at)
            top = at + len(steps)
            body = _code(what, top + 1)
            return [*steps, _Go((top + 1, top + len(body) + 2)), *body, _Go((top,))]
        case Repeat(what, least, int(most)):
            optional: Node = Row(())
            for _ in range(most - least):
                optional = Choice((Row((what, optional)), Row(())))
            return _code(Row((*(what,) * least, optional)), at)
    raise AssertionError(node)


def _choice(among: Sequence[Node], at: int) -> list[_Step]:
    if len(among) == 1:
        return _code(among[0], at)
    first = _code(among[0], at + 1)
    others = _choice(among[1:], at + len(first) + 2)
    behind = at + len(first) + 2
    return [_Go((at + 1, behind)), *first, _Go((behind + len(others),)), *others]


def _classes(sets: Sequence[Set]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(class of each code point, [set, class] whether the set has it). In no set: the end of the text, the last."""
    if len(sets) > MOST_SETS:
        raise Unsupported(f"a pattern of {len(sets)} sets of characters")
    is_in = np.zeros(CODE_POINTS, np.int64)  # a bit for each set
    for number, of in enumerate(sets):
        is_in |= of.astype(np.int64) << number
    is_in[SURROGATES] = is_in[0]  # they make no class
    kinds, class_of = np.unique(is_in, return_inverse=True)
    count = len(kinds)
    if count + 1 > MOST_CLASSES:
        raise Unsupported(f"a pattern of {count} classes of characters")
    members = np.zeros((len(sets), count + 1), np.bool_)
    members[:, :-1] = (kinds >> np.arange(len(sets))[:, None]) & 1
    return class_of.astype(np.uint8), members


def _determined(code: Sequence[_Step], is_in: dict[int, NDArray[np.bool_]], classes: int) -> NDArray[np.uint16]:
    """The table, states in the order in which they are come to."""
    numbers: dict[tuple[int, ...], int] = {(): DEAD, (0,): BEGIN}
    waiting: list[tuple[int, ...]] = [(0,)]
    rows = [[DEAD] * classes]
    for places in waiting:  # grows
        row = []
        for kind in range(classes):
            reached = [*_reached(code, places, is_in, kind, at_end=kind == classes - 1)]
            ends = bool(reached) and isinstance(code[reached[-1]], _Match)
            taken = [p + 1 for p in reached if isinstance(step := code[p], _Take) and is_in[id(step.of)][kind]]
            behind = tuple(dict.fromkeys(taken))
            if behind not in numbers:
                numbers[behind] = len(numbers)
                waiting.append(behind)
                if len(numbers) > MOST_STATES:
                    raise Unsupported(f"a pattern of more than {MOST_STATES:,} states")
            row.append(numbers[behind] | (ENDS if ends else 0))
        rows.append(row)
    return np.array(rows, np.uint16)


def _reached(
    code: Sequence[_Step], places: Sequence[int], is_in: dict[int, NDArray[np.bool_]], kind: int, *, at_end: bool
) -> Iterator[int]:
    """Addresses of takes and of the match that are come to without taking anything, in order, up to the match."""
    seen: set[int] = set()
    waiting = [*reversed(places)]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        match code[place]:
            case _Go(to):
                waiting += reversed(to)
            case _Look(of, holds_at_end):
                if holds_at_end if at_end else is_in[id(of)][kind]:
                    waiting.append(place + 1)
            case _Take():
                yield place
            case _Match():
                yield place
                return


def _may_look_far(table: NDArray[np.uint16]) -> bool:
    """Whether states come again before the pattern could have ended: looking from each place would be quadratic."""
    leads = {
        state: {int(entry) & (ENDS - 1) for entry in row if not entry & ENDS} - {DEAD}
        for state, row in enumerate(table)
    }
    open_, path, done = [(BEGIN, iter(leads[BEGIN]))], {BEGIN}, set[int]()
    while open_:
        state, further = open_[-1]
        following = next((each for each in further if each not in done), None)
        if following is None:
            open_.pop()
            path.discard(state)
            done.add(state)
        elif following in path:
            return True
        else:
            path.add(following)
            open_.append((following, iter(leads[following])))
    return False
