"""From --source arguments to Sources: files, folders, globs, runs and inventories, here or at a URL."""

import glob
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.source import File, Source
from tokenmill.ingest.files import Files
from tokenmill.ingest.formats import HEAD_BYTES, recognised
from tokenmill.ingest.inventory import from_rows, is_inventory
from tokenmill.jobs.console import warn
from tokenmill.jobs.places import scratch_folder
from tokenmill.jobs.remote_sources import remote_files
from tokenmill.manifests import manifest
from tokenmill.manifests.current_pointer import followed
from tokenmill.manifests.listing import fixed_part, is_pattern
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest, Shard
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import Store, is_remote, store_at


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the --source arguments stand for."""

    sources: tuple[Source, ...]
    parents: tuple[str, ...]  # identities of the runs among them


def find_sources(arguments: list[str]) -> Inputs:
    """Each argument is PATH or NAME=PATH; PATH is a file, a folder, a glob, a run's directory or its manifest, an
    inventory, or the URL of one of these.

    An unnamed source is called as `default_name` says. Earlier sources have priority over later ones.
    Raises RecipeError for a path that is not there, an empty folder, or a named file of no known format.
    """
    if not arguments:
        raise RecipeError("no --source given; name a file, a folder, a quoted glob or a run's directory")
    sources: list[Source] = []
    parents: list[str] = []
    for place, argument in enumerate(arguments):
        name, path = _named(argument)
        path = followed(path)
        name = name or default_name(place, len(arguments))
        run = _run(path)
        if run is not None:
            made = Manifest.load(run)
            files = tuple(_file_of_run(run, s) for s in made.of_kind("documents") if s.rows)
            if not files:
                raise RecipeError(f"{path}: this run holds no documents to read ({made.recipe}); name one that does")
            sources.append(Files(name=name, priority=place, files=files, keeps_ids=True))
            parents.append(made.identity)
        elif (rows := _inventory(path)) is not None:
            sources.append(from_rows(rows, name, place))
        else:
            found = remote_files(path) if is_remote(path) else _files(path.removeprefix("file://"))
            sources.append(Files(name=name, priority=place, files=found))
    return Inputs(tuple(sources), tuple(parents))


def default_name(place: int, of: int) -> str:
    """`source`, or by its place among several: never after a path, which must not change what comes out."""
    return "source" if of == 1 else f"source-{place + 1}"


def check_apart(arguments: list[str], out: str) -> None:
    """Raises RecipeError if `out` lies in a folder that is read: the same command would then read its own output."""
    for argument in arguments:
        path = _named(argument)[1].removeprefix("file://")
        if is_remote(path) != is_remote(out):
            continue
        if is_remote(path):
            top = fixed_part(path)
            is_within = f"{out.rstrip('/')}/".startswith(f"{top.rstrip('/')}/") and _run(path) is None
        else:
            place = Path(path).resolve()
            made = Path(out.removeprefix("file://")).resolve()
            is_within = place.is_dir() and made.is_relative_to(place) and _run(path) is None
        if is_within:
            raise RecipeError(f"--out {out} lies within --source {path}; choose an --out outside of what is read")


def _named(argument: str) -> tuple[str | None, str]:
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_.-]*)=(.+)", argument)
    if match and not Path(argument).exists():
        return match[1], match[2]
    return None, argument


def _run(path: str) -> Store | None:
    """The run that lies at a path or URL, itself or its manifest; None for anything else."""
    if is_remote(path):
        store = store_at(path.rstrip("/").removesuffix(f"/{manifest.FILE}"), scratch_folder())
        return store if not is_pattern(path) and store.exists(manifest.FILE) else None
    place = Path(path.removeprefix("file://"))
    if place.name == manifest.FILE and place.is_file():
        place = place.parent
    return LocalStore(place) if (place / manifest.FILE).is_file() else None


def _file_of_run(run: Store, shard: Shard) -> File:
    if isinstance(run, LocalStore):
        return _file(shard.path, run.root / shard.path)
    return File(name=shard.path, uri=f"{run.uri}/{shard.path}", size=shard.bytes)  # no request: the manifest knows


def _inventory(path: str) -> pa.Table | None:
    """The rows of one, or None for any other file."""
    if not path.endswith(".parquet") or is_pattern(path) or not (is_remote(path) or Path(path).is_file()):
        return None
    try:
        with open_uri(path) as stream:
            return pq.read_table(stream) if is_inventory(pq.read_schema(stream)) else None
    except (pa.ArrowException, OSError, ValueError, DataError):  # whoever reads it as documents says what is wrong
        return None


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
    return File(name=name, uri=os.path.abspath(path), size=facts.st_size, modified_ns=facts.st_mtime_ns)


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
