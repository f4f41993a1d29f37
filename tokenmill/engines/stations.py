"""Where a run passes on its way, known before anything runs: what its recipe's segments and barriers come to.

A station is one exchange: its tasks may all run at once, and those of the next need them all. Some have an epilogue
that only their own results can ask for (a range that must be read again, stars until nothing changes).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tokenmill.core.barrier import Bounds, Summary, Verdict
from tokenmill.engines.context import Context
from tokenmill.engines.merge import is_merged

Kind = Literal[
    "segment", "keyed", "merge", "reduce", "components", "bounds", "summary", "scatter", "gather", "index", "finish"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """`place` is the barrier's among those that end `segment`, `round` the one of a verdict's."""

    name: str
    kind: Kind
    segment: int
    place: int = 0
    round: int = 0
    tasks_at_most: int | None = None  # None: by how much there is, told when the station is reached


def stations(context: Context) -> list[Station]:
    """In order. The last one is "finish": the manifest."""
    return [*_walk(context), Station(name="finish", kind="finish", segment=len(context.segments) - 1, tasks_at_most=0)]


def _walk(context: Context) -> Iterator[Station]:
    shards = len(context.plan.shards)
    for number, segment in enumerate(context.segments):
        if context.regroup_of(number - 1) is not None:
            yield Station(name=f"segment {number}", kind="gather", segment=number)
        else:
            yield Station(name=f"segment {number}", kind="segment", segment=number, tasks_at_most=shards)
        for place, barrier in enumerate(segment.barriers):
            if isinstance(barrier, Verdict):
                yield from _of_verdict(context, number, place, barrier)
            elif isinstance(barrier, Summary):
                yield Station(name=barrier.name, kind="summary", segment=number, place=place, tasks_at_most=1)
            else:
                yield Station(name=barrier.name, kind="scatter", segment=number, place=place, tasks_at_most=shards)
                yield from _merging(context, barrier.name, number, place, 0)
    if context.indexed_barriers:
        yield Station(name="index", kind="index", segment=len(context.segments) - 1, tasks_at_most=shards)


def _of_verdict(context: Context, segment: int, place: int, barrier: Verdict) -> Iterator[Station]:
    """All rounds of one verdict, then its bounds."""
    index = len(context.plan.index) if barrier.index is not None else 0
    for number, round_ in enumerate(barrier.rounds):
        name = barrier.name if len(barrier.rounds) == 1 else f"{barrier.name}.{round_.name}"
        # The first round's rows of the sources were emitted while their text was at hand.
        emitters = index + (len(context.plan.shards) if number else 0)
        if emitters:
            yield Station(
                name=f"{name}, keyed", kind="keyed", segment=segment, place=place, round=number, tasks_at_most=emitters
            )
        yield from _merging(context, name, segment, place, number)
        yield Station(name=name, kind="reduce", segment=segment, place=place, round=number)
        if round_.links:
            yield Station(name=f"{name}, components", kind="components", segment=segment, place=place, round=number)
    if barrier.bounds != Bounds():
        yield Station(name=f"{barrier.name}, bounds", kind="bounds", segment=segment, place=place, tasks_at_most=1)


def _merging(context: Context, name: str, segment: int, place: int, round_: int) -> Iterator[Station]:
    if is_merged(context, segment, place):
        yield Station(name=f"{name}, merged", kind="merge", segment=segment, place=place, round=round_)
