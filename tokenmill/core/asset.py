"""A model, word list or tokenizer that a step depends on: named by what it holds, not by where it lies."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tokenmill.core.errors import RecipeError

# (uri, its sha256 if it is known) -> a file on this machine that should hold it, or None if it is nowhere.
Finder = Callable[[str, str | None], Path | None]

_finder: Finder | None = None


def look_elsewhere(finder: Finder | None) -> None:
    """Let this process ask `finder` for assets that are not where their uri says: those of a cluster, or at a URL.

    Told once, at the start of a process: where its caches lie is not in a recipe, nor in the environment.
    """
    global _finder
    _finder = finder


@dataclass(frozen=True, slots=True)
class Asset:
    """A file by content. `sha256` (hex) is part of a step's version; `uri` is not.

    `uri` is a path, `package:NAME/PATH` for a file that an installed package carries, or a URL.
    """

    uri: str
    sha256: str

    def path(self) -> Path:
        """The file on this machine, checked against `sha256` once per process.

        The one place in `core` that reads a file: an asset must never be used unchecked.
        Raises RecipeError if it is absent or holds something else.
        """
        return _checked(self.uri, self.sha256)

    @classmethod
    def of(cls, path: str | Path) -> "Asset":
        """The asset that `path` holds now. Raises RecipeError if there is no such file."""
        file = _located(str(path), None)
        return cls(str(path), _sha256(file))


def _located(uri: str, sha256: str | None) -> Path:
    """Where the uri says, if it is there; else wherever the finder has it."""
    try:
        return _in_place(uri)
    except RecipeError:
        found = _finder(uri, sha256) if _finder is not None else None
        if found is None:
            raise
        return found


def _in_place(uri: str) -> Path:
    if "://" in uri and not uri.startswith("file://"):
        raise RecipeError(f"{uri}: at a URL, and no cache has it; look whether the object is there, or give a path")
    if not uri.startswith("package:"):
        path = Path(uri.removeprefix("file://"))
    else:
        package, _, inner = uri.removeprefix("package:").partition("/")
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise RecipeError(f"{uri}: the package {package} is not installed; pip install {package.replace('_', '-')}")
        path = Path(spec.origin).parent / inner
    if not path.is_file():
        raise RecipeError(f"{uri}: no such file; give the path of an existing one")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _checked(uri: str, sha256: str) -> Path:
    path = _located(uri, sha256)
    found = _sha256(path)
    if found != sha256:
        raise RecipeError(f"{uri}: sha256 is {found}, the recipe wants {sha256}; restore the file or change the recipe")
    return path
