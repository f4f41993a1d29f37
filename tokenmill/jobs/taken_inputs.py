"""Which inputs a firing takes: those that no earlier firing took, known by their place, size and time of change.

A file that was changed since it was taken is a new input, and so is one that was moved; what its source is called
changes nothing. Of a source that is a run, the run's identity counts too: another run's files are other files.

Only what is there when a firing looks can be taken. A source that is another job's `current` is the run that it points
to then: where that moves twice between two firings, the run in between is never read. A job behind another one fires
at least as often as that, or reads its runs by a pattern (runs/web-*/documents/*.parquet).
"""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.source import File
from tokenmill.ingest.files import Files
from tokenmill.jobs.job_file import JobSource
from tokenmill.jobs.sources import Inputs, default_name, find_sources
from tokenmill.manifests.current_pointer import followed
from tokenmill.manifests.listing import is_hidden, is_pattern, listed
from tokenmill.manifests.store import WORK, is_remote

VERSION = tuple(f.name for f in fields(File) if f.name not in ("name", "uri"))  # its fields but for its place
NS = 1_000_000_000

Key = tuple[tuple[str, ...], str]  # (runs, place)
Known = dict[Key, set[tuple[Any, ...]]]  # -> versions


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSource:
    """The files of one source that a firing takes. `runs`: identities, where the source is a run."""

    source: Files
    runs: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        facts = {f.name: getattr(self.source, f.name) for f in fields(Files)}  # of an inventory, without its cuts
        return facts | {"files": [asdict(f) for f in self.source.files], "runs": list(self.runs)}

    @classmethod
    def of_json(cls, body: dict[str, Any]) -> "TakenSource":
        facts = {k: v for k, v in body.items() if k not in ("files", "runs")}
        return cls(source=Files(**facts, files=tuple(File(**f) for f in body["files"])), runs=tuple(body["runs"]))


def found_now(wanted: Sequence[JobSource]) -> list[TakenSource]:
    """All that the job's sources hold at this moment. What is empty so far holds nothing: see `_is_empty`.

    Raises RecipeError as `find_sources` does. Pointers are followed here, once.
    """
    found = []
    for place, asked in enumerate(wanted):
        path = followed(asked.path)
        try:
            inputs = find_sources([f"{asked.name or default_name(place, len(wanted))}={path}"])
        except RecipeError:
            if _is_empty(path):
                continue
            raise
        for source in inputs.sources:
            assert isinstance(source, Files)
            facts: dict[str, Any] = {"priority": place}
            facts |= {} if asked.licence is None else {"licence": asked.licence}
            facts |= {} if asked.date is None else {"date": asked.date}
            found.append(TakenSource(source=replace(source, **facts), runs=inputs.parents))
    return found


def known_of(earlier: Iterable[Sequence[TakenSource]]) -> Known:
    """What earlier firings took. Memory: some 500 bytes a file."""
    known: Known = {}
    for sources in earlier:
        for taken in sources:
            for file in taken.source.files:
                known.setdefault(_key(taken, file), set()).add(_version(file))
    return known


def new_of(
    found: Sequence[TakenSource], known: Known, until: datetime | None = None
) -> tuple[list[TakenSource], list[str]]:
    """(what of `found` is not `known`, the names of files among it that were taken before and have changed).

    `until`: files changed later than this are left for a later firing.
    """
    new, changed = [], []
    for taken in found:
        files = []
        for file in taken.source.files:
            versions = known.get(_key(taken, file), set())
            if _version(file) in versions or (until is not None and file.modified_ns > until.timestamp() * NS):
                continue
            files.append(file)
            if versions:
                changed.append(f"{taken.source.name}/{file.name}")
        if files:
            new.append(replace(taken, source=replace(taken.source, files=tuple(files))))
    return new, changed


def inputs_of(taken: Sequence[TakenSource]) -> Inputs:
    return Inputs(tuple(t.source for t in taken), tuple(identity for t in taken for identity in t.runs))


def check_unchanged(taken: Sequence[TakenSource], found: Sequence[TakenSource]) -> None:
    """Raises DataError for a file that is no longer what the firing took: its run cannot be finished as begun."""
    now = {_key(t, file): file for t in found for file in t.source.files}
    for source in taken:
        for file in source.source.files:
            here = now.get(_key(source, file)) or _on_disk(file)
            if here is None or _version(here) != _version(file):
                what = "is gone" if here is None else "has changed"
                raise DataError(
                    f"{file.uri}: {what} since the firing that was not finished took it; restore it, or give that "
                    "firing up and take inputs anew: --anew"
                )


def changed_here(taken: Sequence[TakenSource]) -> list[str]:
    """The files of this machine that are there and no longer what the firing took. Cost: a stat each.

    Left out: objects (whoever reads one checks its size and time as it opens it), and a file whose size and time
    somebody has set back.
    """
    return [
        file.uri
        for source in taken
        for file in source.source.files
        if not is_remote(file.uri) and (here := _on_disk(file)) is not None and _version(here) != _version(file)
    ]


def _on_disk(file: File) -> File | None:
    """The file of a run that its source does not point to any more."""
    if is_remote(file.uri):
        return file  # reading it will tell
    try:
        facts = os.stat(file.uri)
    except OSError:
        return None
    return replace(file, size=facts.st_size, modified_ns=facts.st_mtime_ns)


def _key(taken: TakenSource, file: File) -> Key:
    return taken.runs, file.uri


def _version(file: File) -> tuple[Any, ...]:
    return tuple(getattr(file, name) for name in VERSION)


def _is_empty(path: str) -> bool:
    """Is there a place without any file so far? Then there is nothing new, and no mistake.

    A folder, or a prefix, with nothing but hidden files (`_SUCCESS`); a pattern that nothing fits, below a folder that
    is there, or anywhere in a bucket. Not a prefix below which nothing is: that may be mistyped.
    """
    if is_remote(path):
        names = [found.name for found in listed(path, hidden=True)]
        return all(map(_waits, names)) and (bool(names) or is_pattern(path))
    if glob.has_magic(path) and not os.path.exists(path):
        parts = Path(path).parts
        fixed = Path(*parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))])
        return fixed.is_dir() and not any(os.path.isfile(p) for p in glob.iglob(path, recursive=True))
    place = Path(path)
    return place.is_dir() and all(_waits(f.relative_to(place).as_posix()) for f in place.rglob("*") if f.is_file())


def _waits(name: str) -> bool:
    """No document; but neither part of an unfinished run."""
    return is_hidden(name) and not name.startswith(f"{WORK}/")
