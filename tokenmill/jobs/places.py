"""Where a user's PATH or URL leads: to a run that is there, or to where one will be."""

import os
import tempfile
from pathlib import Path

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.current_pointer import followed
from tokenmill.manifests.manifest import FILE
from tokenmill.manifests.store import Store, is_remote, store_at


def run_at(place: str) -> Store:
    """A finished run, by its directory or URL, or by a pointer to it. Raises RecipeError if nothing is there."""
    place = followed(place)
    store = store_at(place.removesuffix(f"/{FILE}"), scratch_folder())
    if is_remote(place):
        if not store.exists(FILE):
            raise RecipeError(f"{place}: holds no finished run")
    elif not Path(store.uri).is_dir():
        raise RecipeError(f"{place}: no such directory")
    return store


def out_at(place: str) -> Store:
    """Where a run goes; absolute, since workers may stand elsewhere."""
    return store_at(place if is_remote(place) else os.path.abspath(place.removeprefix("file://")), scratch_folder())


def scratch_folder() -> Path:
    """On this machine, for what is downloaded and not yet uploaded: below TMPDIR, apart for each user."""
    return Path(tempfile.gettempdir()) / f"tokenmill-{os.getuid()}"
