"""A run's Context as bytes that an executor understands, where the user's recipe file does not lie.

What comes from a file of the user's travels whole, with the modules beside it; what is installed travels by name.
"""

import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pyspark import cloudpickle
from pyspark.core.broadcast import Broadcast

from tokenmill.engines.context import Context

_pickle: Any = cloudpickle  # it has no types
_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_OURS = Path(__file__).resolve().parent.parent


def packed(context: Context) -> bytes:
    modules = list(_travelling(context))
    for module in modules:
        _pickle.register_pickle_by_value(module)
    try:
        pickled: bytes = _pickle.dumps(context)
        return pickled
    finally:
        for module in modules:
            _pickle.unregister_pickle_by_value(module)


@lru_cache(maxsize=2)
def _unpacked(number: int, pickled: bytes) -> Context:
    context: Context = _pickle.loads(pickled)
    return context


def unpacked(shared: "Broadcast[bytes]") -> Context:
    """In an executor's process: once for all its tasks."""
    return _unpacked(hash(shared.value), shared.value)


def _travelling(context: Context) -> Iterator[ModuleType]:
    """Modules in the folders of the files that the recipe's steps and the sources come from."""
    plan = context.plan
    named = {type(thing).__module__ for thing in (*plan.recipe.all_steps(), plan.recipe, *plan.sources)}
    files = {name: _file(module) for name, module in list(sys.modules.items()) if isinstance(module, ModuleType)}
    folders = {file.parent for name in named if (file := files.get(name)) is not None and _is_the_users(file)}
    for name, file in files.items():
        if name != "__main__" and file is not None and folders & set(file.parents) and _is_the_users(file):
            yield sys.modules[name]


def _is_the_users(file: Path) -> bool:
    return not {_OURS, *_INSTALLED} & set(file.parents)


def _file(module: ModuleType) -> Path | None:
    try:
        found = getattr(module, "__file__", None)
    except Exception:  # a module may answer as it likes
        return None
    return Path(found).resolve() if isinstance(found, str) else None
