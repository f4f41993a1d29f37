"""The files that a --source at a URL stands for: a listing, and a look into those whose names say nothing."""

from concurrent.futures import ThreadPoolExecutor

from tokenmill.core.errors import RecipeError
from tokenmill.core.source import File
from tokenmill.ingest.formats import HEAD_BYTES, recognised
from tokenmill.jobs.console import warn
from tokenmill.manifests.listing import Listed, is_hidden, is_pattern, listed
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import WORK

LOOKS = 32  # at once: each is one small request that mostly waits


def remote_files(uri: str) -> tuple[File, ...]:
    """Of an object, a prefix or a pattern. Raises RecipeError for one with nothing to read."""
    found = listed(uri, hidden=True)
    if any(f.name.startswith(f"{WORK}/") for f in found):
        raise RecipeError(f"{uri}: an unfinished run; run its command again first")
    if not is_pattern(uri):
        found = [f for f in found if not is_hidden(f.name)]
    if not found:
        missing = "no object fits this pattern" if is_pattern(uri) else "no object here, and none below"
        raise RecipeError(f"{uri}: {missing}")
    with ThreadPoolExecutor(LOOKS) as pool:
        known = list(pool.map(_is_known, found))
    unknown = [f.name for f, is_known in zip(found, known, strict=True) if not is_known]
    if len(unknown) == len(found):
        raise RecipeError(
            f"{uri}: nothing to read here ({len(unknown)} files of no known format); "
            "want .jsonl, .parquet, .warc, .wet or .arc, plain or compressed"
        )
    if unknown:
        names = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warn(f"{uri}: passing over {len(unknown)} files of no known format: {names}")
    return tuple(
        File(name=f.name, uri=f.uri, size=f.size, modified_ns=f.modified_ns)
        for f, is_known in zip(found, known, strict=True)
        if is_known
    )


def _is_known(found: Listed) -> bool:
    """By its name, without a request, where that says it."""
    if recognised(found.name, b""):
        return True
    with open_uri(found.uri, size=found.size) as stream:
        return recognised(found.name, stream.read(HEAD_BYTES))
