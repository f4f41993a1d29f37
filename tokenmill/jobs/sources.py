"""From --source arguments to Sources: files, folders, globs, runs."""

import glob
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tokenmill.core.errors import RecipeError
from tokenmill.core.source import File, Source
from tokenmill.ingest.files import Files
from tokenmill.ingest.formats import HEAD_BYTES, recognised
from tokenmill.jobs.console import warn
from tokenmill.manifests import manifest
from tokenmill.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the --source arguments stand for."""

    sources: tuple[Source, ...]
    parents: tuple[str, ...]  # identities of the runs among them


def find_sources(arguments: list[str]) -> Inputs:
    """Each argument is PATH or NAME=PATH; PATH is a file, a folder, a glob, a run's directory or its manifest.

    An unnamed source is called `source`, or `source-1`, `source-2`, ... by its place among several: never after its
    path, which must not change what comes out. Earlier sources have priority over later ones.
    Raises RecipeError for a path that is not there, an empty folder, or a named file of no known format.
    """
    if not arguments:
        raise RecipeError("no --source given; name a file, a folder, a quoted glob or a run's directory")
    sources: list[Source] = []
    parents: list[str] = []
    for place, argument in enumerate(arguments):
        name, path = _named(argument)
        name = name or ("source" if len(arguments) == 1 else f"source-{place + 1}")
        run = _run_directory(path)
        if run is not None:
            made = Manifest.load(run)
            files = tuple(_file(s.path, run / s.path) for s in made.of_kind("documents") if s.rows)
            if not files:
                raise RecipeError(f"{path}: this run holds no documents to read ({made.recipe}); name one that does")
            sources.append(Files(name=name, priority=place, files=files, keeps_ids=True))
            parents.append(made.identity)
        else:
            sources.append(Files(name=name, priority=place, files=_files(path)))
    return Inputs(tuple(sources), tuple(parents))


def check_apart(arguments: list[str], out: Path) -> None:
    """Raises RecipeError if `out` lies in a folder that is read: the same command would then read its own output."""
    for argument in arguments:
        place = Path(_named(argument)[1])
        if place.is_dir() and out.resolve().is_relative_to(place.resolve()) and _run_directory(str(place)) is None:
            raise RecipeError(f"--out {out} lies within --source {place}; choose an --out outside of what is read")


def _named(argument: str) -> tuple[str | None, str]:
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_.-]*)=(.+)", argument)
    if match and not Path(argument).exists():
        return match[1], match[2]
    return None, argument


def _run_directory(path: str) -> Path | None:
    place = Path(path)
    if place.name == manifest.FILE and place.is_file():
        return place.parent
    return place if (place / manifest.FILE).is_file() else None


def _files(path: str) -> tuple[File, ...]:
    place = Path(path)
    if place.is_file():
        return (_file(place.name, place, named=True),)
    if place.is_dir():
        if (place / "_work").is_dir():
            raise RecipeError(f"{path}: an unfinished run; run its command again first")
        return _of_folder(
            place, sorted(p for p in place.rglob("*") if p.is_file() and not _hidden(p.relative_to(place)))
        )
    if glob.has_magic(path):
        found = sorted(Path(p) for p in glob.glob(path, recursive=True) if Path(p).is_file())
        if found:
            return _of_folder(_fixed_part(path), found)
        raise RecipeError(f"{path}: no file fits this pattern")
    raise RecipeError(f"{path}: no such file or folder{_suggestion(place)}")


def _of_folder(root: Path, paths: list[Path]) -> tuple[File, ...]:
    known = [p for p in paths if recognised(p.name, _head(p))]
    unknown = [p for p in paths if p not in set(known)]
    if not known:
        held = f"{len(unknown)} files of no known format" if unknown else "it is empty"
        raise RecipeError(
            f"{root}: nothing to read here ({held}); want .jsonl, .parquet, .warc, .wet or .arc, plain or compressed"
        )
    if unknown:
        names = ", ".join(p.name for p in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warn(f"{root}: passing over {len(unknown)} files of no known format: {names}")
    return tuple(_file(p.relative_to(root).as_posix(), p) for p in known)


def _fixed_part(pattern: str) -> Path:
    """The folder that a glob begins with: names below it are what the pattern chose, wherever that folder lies."""
    parts = Path(pattern).parts
    plain = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:plain])


def _file(name: str, path: Path, named: bool = False) -> File:
    try:
        facts = path.stat()
        if named and not recognised(path.name, _head(path)):
            raise RecipeError(
                f"{path}: of no known format; want .jsonl, .parquet, .warc, .wet or .arc, plain or compressed"
            )
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
    return File(name=name, uri=str(path), size=facts.st_size, modified_ns=facts.st_mtime_ns)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _suggestion(place: Path) -> str:
    if not place.parent.is_dir():
        return ""
    near = get_close_matches(place.name, [p.name for p in place.parent.iterdir()], n=1)
    return f"; did you mean {place.parent / near[0]}?" if near else ""
