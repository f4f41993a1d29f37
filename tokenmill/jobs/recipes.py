"""Find a recipe by name, or as a constant in the user's own file."""

import importlib
import pkgutil
import sys
from difflib import get_close_matches
from pathlib import Path

from tokenmill import pipelines
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe


def find_recipe(name: str) -> Recipe:
    """`web_en`, or `path/to/file.py:CONSTANT`. Raises RecipeError, with the nearest known name."""
    file, colon, constant = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _from_file(Path(file), constant)
    known = named_recipes()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise RecipeError(f"no recipe is called {name}; {hint} (your own: file.py:NAME)")
    return known[name]


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
    # Workers import the user's stages by module name: spawn hands them this path too.
    sys.path.insert(0, str(path.parent.resolve()))
    module = importlib.import_module(path.stem)
    recipe = getattr(module, constant, None)
    if not isinstance(recipe, Recipe):
        names = [n for n, v in vars(module).items() if isinstance(v, Recipe)]
        raise RecipeError(f"{path}: {constant} is no Recipe; it has {', '.join(names) or 'none'}")
    return recipe
