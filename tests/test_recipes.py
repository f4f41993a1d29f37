"""Every recipe of the package can run, is named like its constant, and its version follows every parameter."""

import dataclasses
import importlib
import pkgutil
from typing import Any

import pytest

from tokenmill import pipelines
from tokenmill.core.asset import Asset
from tokenmill.core.recipe import Recipe
from tokenmill.core.step import Step


def constants() -> dict[str, Recipe]:
    modules = [
        importlib.import_module(m.name) for m in pkgutil.walk_packages(pipelines.__path__, "tokenmill.pipelines.")
    ]
    return {name: value for m in modules for name, value in vars(m).items() if isinstance(value, Recipe)}


RECIPES = constants()
recipes = pytest.mark.parametrize(("constant", "recipe"), RECIPES.items(), ids=RECIPES)


def test_there_are_recipes() -> None:
    assert {"WEB_EN", "EXTRACT", "EXACT_DEDUP", "FUZZY_DEDUP"} <= set(RECIPES)


@recipes
def test_columns_flow(constant: str, recipe: Recipe) -> None:
    recipe.check()


@recipes
def test_is_named_like_its_constant(constant: str, recipe: Recipe) -> None:
    assert recipe.name == constant.lower()


@recipes
def test_step_names_are_unique(constant: str, recipe: Recipe) -> None:
    names = [step.name for step in recipe.all_steps()]
    assert len(names) == len(set(names))


@recipes
def test_version_changes_with_every_parameter_of_every_step(constant: str, recipe: Recipe) -> None:
    versions = {recipe.version}
    count = 1
    for place, step in enumerate(recipe.steps):
        for field in dataclasses.fields(step):
            changed = with_another(step, field.name)
            steps = (*recipe.steps[:place], changed, *recipe.steps[place + 1 :])
            versions.add(dataclasses.replace(recipe, steps=steps).version)
            count += 1
    assert len(versions) == count


def with_another(step: Step, field: str) -> Step:
    """A copy of `step` whose `field` has another value, checked by nobody: here only its hash is asked."""
    copy = object.__new__(type(step))
    for f in dataclasses.fields(step):
        value = getattr(step, f.name)
        object.__setattr__(copy, f.name, another(value) if f.name == field else value)
    return copy


def another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case tuple():
            return (*value, "x")
        case frozenset():
            return value | {"x"}
        case Asset():
            return Asset(value.uri, "0" * 64)
        case None:
            return 1
        case _:
            raise TypeError(f"how does one change a {type(value).__name__}? say so here")
