"""The optional packages that training needs: torch, transformers and megatron-core, the extra `[models]`.

Modules of this folder reach them through `extra`, inside functions, so that the core installs, loads and is checked
without them.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tokenmill.core.errors import RecipeError

PACKAGES = {"torch": "torch", "transformers": "transformers", "megatron.core": "megatron-core"}


def need_models_extra() -> None:
    """Raises RecipeError, naming what is missing and how to get it, unless all of the extra is installed."""
    missing = [package for module, package in PACKAGES.items() if not _installed(module)]
    if missing:
        raise RecipeError(f'training needs {", ".join(missing)}: pip install "tokenmill[models]"')


def extra(module: str) -> Any:
    """The module of an optional package, imported now. Raises RecipeError if the package is not installed."""
    need_models_extra()
    return import_module(module)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is not there
        return False
