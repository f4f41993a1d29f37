"""One firing of a scheduled job, and the book of all of them: a JSON file each, under firings/JOB/ of the job's state.

A firing's record is written before its run starts, with all that the run depends on, and once more when the run is
verified. Between the two it is unfinished: the same run again, whatever has come meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tokenmill.core.errors import DataError, EngineError
from tokenmill.jobs.taken_inputs import TakenSource
from tokenmill.manifests import checked_json
from tokenmill.manifests.store import Store

FOLDER = "firings"
LOCK, HOLDER = "lock", "holder"  # beside the records: jobs that share a state do not wait for each other
NAME = "%Y-%m-%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A run that another one is deduplicated against."""

    run: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """`number` counts the firings in the order in which they were begun. `ended` None: unfinished."""

    number: int
    due: datetime  # UTC
    out: str
    sources: tuple[TakenSource, ...]
    changed: tuple[str, ...] = ()  # files among the sources that an earlier firing took as they were before
    against: tuple[Link, ...] = ()
    begun: datetime
    ended: datetime | None = None
    identity: str | None = None  # of its run; None while unfinished, or if there was nothing new

    @property
    def name(self) -> str:
        return self.due.strftime(NAME)

    @property
    def files(self) -> int:
        return sum(len(taken.source.files) for taken in self.sources)

    @property
    def status(self) -> str:
        if self.ended is None:
            return "unfinished"
        return "empty" if self.identity is None else "done"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "due": self.due.isoformat(),
            "begun": self.begun.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "sources": [taken.as_json() for taken in self.sources],
        }

    @classmethod
    def of_json(cls, body: dict[str, Any]) -> "Firing":
        facts = body | {
            "due": datetime.fromisoformat(body["due"]),
            "begun": datetime.fromisoformat(body["begun"]),
            "ended": datetime.fromisoformat(body["ended"]) if body["ended"] else None,
            "sources": tuple(TakenSource.of_json(s) for s in body["sources"]),
            "changed": tuple(body["changed"]),
            "against": tuple(Link(**link) for link in body["against"]),
        }
        return cls(**facts)


class FiringBook:
    """All firings of a job, in the order in which they were begun. Only for who holds the job's lock.

    Loading costs a read per firing, and memory for every input that was ever taken.
    """

    def __init__(self, state: Store, job: str) -> None:
        self._state, self._folder = state, _folder(job)
        self._firings: dict[str, Firing] = {}
        for file in state.names(self._folder):
            if file.endswith(".json"):
                body = checked_json.load_from(state, file)
                try:
                    firing = Firing.of_json(body)
                except (TypeError, KeyError, ValueError) as error:
                    raise DataError(
                        f"{state.uri}/{file}: no record of a firing of this version ({error}); restore it"
                    ) from error
                self._firings[firing.name] = firing

    def __iter__(self) -> Iterator[Firing]:
        return iter(sorted(self._firings.values(), key=lambda firing: firing.number))

    def at(self, due: datetime) -> Firing | None:
        return self._firings.get(due.astimezone(UTC).strftime(NAME))

    @property
    def unfinished(self) -> list[Firing]:
        return [firing for firing in self if firing.ended is None]

    def last_due(self, now: datetime) -> datetime | None:
        """Of those that are finished. One that was named ahead of its time does not stand for those before it."""
        return max((firing.due for firing in self if firing.ended is not None and firing.due <= now), default=None)

    @property
    def runs(self) -> list[Firing]:
        """Those that made a run, finished and verified."""
        return [firing for firing in self if firing.identity is not None]

    @property
    def next_number(self) -> int:
        return max((firing.number for firing in self), default=0) + 1

    def write(self, firing: Firing) -> None:
        name = f"{self._folder}/{firing.name}.json"
        try:
            checked_json.save_in(self._state, name, firing.as_json())
        except OSError as error:
            raise EngineError(
                f"{self._state.uri}/{name}: {error.strerror}; mend that, then run the same command again"
            ) from error
        self._firings[firing.name] = firing

    def end(self, firing: Firing, now: datetime, identity: str | None) -> Firing:
        ended = replace(firing, ended=now, identity=identity)
        self.write(ended)
        return ended

    def forget(self, firing: Firing) -> None:
        self._state.delete(f"{self._folder}/{firing.name}.json")
        del self._firings[firing.name]


@contextmanager
def held(state: Store, job: str, holder: dict[str, Any]) -> Iterator[None]:
    """Hold the job's lock; `holder` is what others are told of us. Raises BlockingIOError while another has it.

    A process that dies lets go of it.
    """
    with state.hold(f"{_folder(job)}/{LOCK}"):
        checked_json.save_in(state, f"{_folder(job)}/{HOLDER}", holder)
        yield


def holder_of(state: Store, job: str) -> dict[str, Any]:
    """What the process that holds the lock, or was the last to hold it, told of itself; empty if it told nothing."""
    try:
        return checked_json.load_from(state, f"{_folder(job)}/{HOLDER}")
    except DataError:
        return {}


def _folder(job: str) -> str:
    """Several jobs may have one state."""
    return f"{FOLDER}/{job}"
