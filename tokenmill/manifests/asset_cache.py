"""Assets by content, shared by the machines of a run: put in one place by who submits, fetched once by each machine.

CACHE/SHA256              in a folder or below a URL that all machines reach
SCRATCH/assets/SHA256/    on each machine: the file, under the name that its uri ends in
"""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenmill.core.asset import Asset, look_elsewhere
from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.manifests.object_cache import ObjectCache
from tokenmill.manifests.objects import objects_at
from tokenmill.manifests.store import is_remote, store_at

CACHE_BYTES = 64 << 30  # of what is downloaded; an asset is linked from there and stays


def use_assets(cache: str | None, scratch: Path) -> None:
    """Told once at the start of each process of a run, before it uses a step.

    `cache`: a path or URL, filled by `share_assets`; None: assets are where their uris say, at URLs too.
    """
    look_elsewhere(MachineAssets(cache, scratch))


def share_assets(cache: str, scratch: Path, assets: Iterable[Asset]) -> list[str]:
    """Put those into `cache` that it lacks, each whole or not at all; returns their sha256.

    Raises RecipeError for an asset that is not here or holds something else.
    """
    store = store_at(cache, scratch)
    put = []
    for asset in assets:
        path = asset.path()
        if store.size(asset.sha256) == path.stat().st_size or asset.sha256 in put:
            continue
        folder = store.scratch()
        try:
            store.publish(Path(shutil.copyfile(path, folder / asset.sha256)), asset.sha256)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        put.append(asset.sha256)
    return put


@dataclass(frozen=True, slots=True)
class MachineAssets:
    """Finds an asset in the cache, or at its own URL, and keeps a checked copy on this machine."""

    cache: str | None
    scratch: Path

    def __call__(self, uri: str, sha256: str | None) -> Path | None:
        """None if it is nowhere. Raises RecipeError if something else lies under its name in the cache or at its URL.

        Processes of one machine that want the same one wait for the first.
        """
        if sha256 is None:
            return self._at_url(uri) if is_remote(uri) else None
        top = self.scratch / "assets"
        file = top / sha256 / (uri.rstrip("/").rpartition("/")[2] or "asset")
        if file.is_file():
            return file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with (top / f"{sha256}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if file.is_file():
                    return file
                found = self._in_cache(sha256) or (self._at_url(uri) if is_remote(uri) else None)
                return None if found is None else _checked_copy(found, file, uri, sha256)
        except OSError as error:
            raise EngineError(f"{file}: {error.strerror}, for the asset {uri}; make room") from error

    def _in_cache(self, sha256: str) -> Path | None:
        if self.cache is None:
            return None
        try:
            return store_at(self.cache, self.scratch).path(sha256)
        except FileNotFoundError:
            return None

    def _at_url(self, uri: str) -> Path | None:
        objects, key = objects_at(uri)
        try:
            return ObjectCache(self.scratch / "cache", CACHE_BYTES).path(objects, key)
        except FileNotFoundError:
            return None


def _checked_copy(found: Path, file: Path, uri: str, sha256: str) -> Path:
    temporary = file.with_name(f".{uuid.uuid4().hex}")
    try:
        try:
            os.link(found.resolve(), temporary)  # downloaded to this disk a moment ago
        except OSError:
            shutil.copyfile(found, temporary)
        with temporary.open("rb") as content:
            held = hashlib.file_digest(content, "sha256").hexdigest()
        if held != sha256:
            raise RecipeError(
                f"{found} (for {uri}): sha256 is {held}, the recipe wants {sha256}; "
                "remove it there, or change the recipe"
            )
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return file
