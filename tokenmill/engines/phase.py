"""A list of tasks that may all run at once, made one by one when asked for: a million of them cost nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, overload

from tokenmill.engines.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Along(Sequence[Task]):
    """Tasks that differ in the number that one of their fields has."""

    first: Task
    axis: str
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Task: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Task]: ...

    def __getitem__(self, place: int | slice) -> Task | Sequence[Task]:
        if isinstance(place, slice):
            return replace(self, numbers=self.numbers[place])
        return cast(Task, replace(cast(Any, self.first), **{self.axis: self.numbers[place]}))

    def __iter__(self) -> Iterator[Task]:
        return (self[place] for place in range(len(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Picklable and small: what an element of a scheduler's array needs to know of the station it works at."""

    name: str
    tasks: Sequence[Task]
    bytes: int = 0  # of input, for progress
    how: str = "run"  # run, or what an engine may do in its own way: reduce, components
