"""The user's own modules that a run needs: what other machines may not have, and so must travel whole."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenmill.engines.context import Context

_INSTALLED = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_OURS = Path(__file__).resolve().parent.parent


def pickled_whole(cloudpickle: Any, context: Context) -> bytes:
    """`context` by a module of cloudpickle's: what comes from the user's files by value, what is installed by name."""
    modules = list(users_modules(context))
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        pickled: bytes = cloudpickle.dumps(context)
        return pickled
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def users_modules(context: Context) -> Iterator[ModuleType]:
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
