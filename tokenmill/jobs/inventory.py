"""`tokenmill inventory`: list a source and find its splits once, for every run over it."""

import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from tokenmill.core.errors import RecipeError
from tokenmill.core.source import File, Split
from tokenmill.ingest.files import Files
from tokenmill.ingest.inventory import SCHEMA, Inventory, as_rows
from tokenmill.ingest.limits import split_growth
from tokenmill.jobs.console import show
from tokenmill.jobs.places import scratch_folder
from tokenmill.jobs.sources import find_sources
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.store import is_remote, store_at

LOOKS = 32  # files at once: each look is one small request that mostly waits
ROUND = 8_192  # files between writes


def command(
    source: Annotated[list[str], typer.Argument(help="PATH or URL: file, folder or quoted glob; all make one source.")],
    out: Annotated[str, typer.Option(help="The inventory: a new FILE.parquet, or its URL.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Write down the files of a source and where they are cut; `run --source FILE.parquet` then looks at none."""
    if not out.endswith(".parquet"):
        raise RecipeError(f"--out {out}: want a name that ends in .parquet")
    facts = write_inventory(_files(source), out)
    text = "{files:,} files, {splits:,} splits, {bytes:,} bytes to read: {out}".format(**facts)
    show(facts, as_json, f"{text}\nnext: tokenmill run RECIPE --source {out} --out DIR")


def write_inventory(files: Sequence[File], out: str) -> dict[str, int | str]:
    """What was found. Reads the head of each file and the footer of a Parquet one, LOOKS at a time; memory: a ROUND.

    Raises RecipeError if `out` is there, and DataError, having written nothing, for a file that can never be read.
    """
    folder, _, name = (out if is_remote(out) else os.path.abspath(out)).rpartition("/")
    store = store_at(folder or "/", scratch_folder())
    if store.exists(name) or (not is_remote(out) and os.path.lexists(out)):
        raise RecipeError(f"--out {out}: is there already; remove it, or choose another name")
    counts = {"files": len(files), "splits": 0, "bytes": 0}
    local = scratch_folder() if is_remote(out) else Path(os.path.abspath(out)).parent
    local.mkdir(parents=True, exist_ok=True)
    temporary = local / f".{uuid.uuid4().hex}.parquet"
    try:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            for splits in _rounds(files):
                writer.write_table(as_rows(splits))
                counts["splits"] += len(splits)
                counts["bytes"] += sum(s.bytes for s in splits)
        store.publish(temporary, name)
    finally:
        temporary.unlink(missing_ok=True)
    return counts | {"out": out}


def _rounds(files: Sequence[File]) -> Iterator[list[Split]]:
    ordered = iter(sorted(files, key=lambda f: f.name))
    growth = split_growth(sum(file.size for file in files))  # as a run over all of them would cut them
    with ThreadPoolExecutor(LOOKS) as pool:
        while some := list(islice(ordered, ROUND)):
            yield [split for splits in pool.map(partial(_splits, growth), some) for split in splits]


def _splits(growth: int, file: File) -> list[Split]:
    return Files(name="inventory").splits_of(
        file, lambda uri: open_uri(uri, size=file.size, modified_ns=file.modified_ns), growth
    )


def _files(arguments: list[str]) -> list[File]:
    """Of all arguments, names as each gives them: the same as a run over that one has."""
    by_name: dict[str, File] = {}
    for argument in arguments:
        found = find_sources([argument])
        (source,) = found.sources
        if found.parents or isinstance(source, Inventory):
            what = "a run, whose manifest lists its files" if found.parents else "an inventory"
            raise RecipeError(f"{argument}: is {what}; give it to `tokenmill run` as it is")
        for file in source.files:
            if file.name in by_name:
                raise RecipeError(
                    f"{argument}: has a file {file.name}, as {by_name[file.name].uri}; "
                    "name a folder above both, or make an inventory of each"
                )
            by_name[file.name] = file
    return list(by_name.values())
