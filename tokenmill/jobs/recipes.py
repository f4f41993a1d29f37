"""Find a recipe by name, or as a constant in the user's own file."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from tokenmill import pipelines
from tokenmill.core.errors import RecipeError, TokenmillError
from tokenmill.core.recipe import Recipe
from tokenmill.jobs.overrides import with_overrides
from tokenmill.pipelines.semantic_dedup import semantic_dedup_recipe

SEMANTIC_DEDUP, MODEL = "semantic_dedup", "embed.model"  # the recipe that is made for a model, and the setting with it


def find_recipe(name: str) -> Recipe:
    """`web_en`, or `path/to/file.py:CONSTANT`. Raises RecipeError, with the nearest known name."""
    file, colon, constant = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _from_file(Path(file), constant)
    known = named_recipes()
    if name == SEMANTIC_DEDUP:
        return recipe_with(name, [])
    if name not in known:
        names = sorted([*known, SEMANTIC_DEDUP])
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise RecipeError(f"no recipe is called {name}; {hint} (your own: file.py:NAME)")
    return known[name]


def recipe_with(name: str, settings: Sequence[str]) -> Recipe:
    """The recipe `name` with each `step.field=value` applied; `embed.model=DIR` makes the one that needs a model.

    Raises RecipeError as `find_recipe` and `with_overrides` do.
    """
    others = [s for s in settings if not s.startswith(f"{MODEL}=")]
    if name != SEMANTIC_DEDUP:
        return with_overrides(find_recipe(name), list(settings))
    models = [s.partition("=")[2] for s in settings if s.startswith(f"{MODEL}=")]
    if not models:
        raise RecipeError(f"{name} needs a model: --set {MODEL}=DIR, a directory that transformers has saved")
    return with_overrides(semantic_dedup_recipe(models[-1]), others)


def named_recipes() -> dict[str, Recipe]:
    """Every Recipe constant in `pipelines/`, by its name."""
    found: dict[str, Recipe] = {}
    for module in pkgutil.iter_modules(pipelines.__path__, f"{pipelines.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Recipe):
                found[value.name] = value
    return found


def _from_file(path: Path, constant: str) -> Recipe:
    if not path.is_file():
        raise RecipeError(f"{path}: no such file")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and Path(loaded.__file__ or "").resolve() != path.resolve():
        if not any(isinstance(value, Recipe) for value in vars(loaded).values()):
            raise RecipeError(f"{path}: a library is called {path.stem} too; give the file another name")
        del sys.modules[path.stem]  # another recipe file of that name, which this process was asked for before
    # Workers import the user's stages by module name: spawn hands them this path too.
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        module = importlib.import_module(path.stem)
    except TokenmillError:
        raise
    except Exception as error:
        where = (
            f"line {error.lineno}: {error.msg}"
            if isinstance(error, SyntaxError)
            else f"{type(error).__name__}: {error}"
        )
        raise RecipeError(f"{path}: cannot be loaded ({where}); mend it, or install what it imports") from error
    recipe = getattr(module, constant, None)
    if not isinstance(recipe, Recipe):
        names = [n for n, v in vars(module).items() if isinstance(v, Recipe)]
        raise RecipeError(f"{path}: {constant} is no Recipe; it has {', '.join(names) or 'none'}")
    return recipe
