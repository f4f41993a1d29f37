"""`--set step.field=value`: other parameters for a recipe, checked against the fields its steps have."""

import dataclasses
import types
import typing
from difflib import get_close_matches
from typing import Any

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.step import Step


def with_overrides(recipe: Recipe, settings: list[str]) -> Recipe:
    """`recipe` with each `step.field=value` applied in order; the last one for a field holds.

    Raises RecipeError for an unknown step or field, with the nearest known one, and for a value of the wrong type.
    """
    steps: list[Any] = list(recipe.all_steps())
    for setting in settings:
        key, equals, text = setting.partition("=")
        step_name, dot, field_name = key.strip().partition(".")
        if not equals or not dot:
            raise RecipeError(f"--set {setting}: want step.field=value, for example gopher_quality.words_at_least=30")
        place = next((n for n, s in enumerate(steps) if s.name == step_name), None)
        if place is None:
            raise RecipeError(f"--set {setting}: {recipe.name} has no step {step_name}{_nearest(key, _keys(steps))}")
        step = steps[place]
        if field_name not in {f.name for f in dataclasses.fields(step)}:
            raise RecipeError(f"--set {setting}: {step_name} has no field {field_name}{_nearest(key, _keys(steps))}")
        steps[place] = dataclasses.replace(step, **{field_name: _value(step, field_name, text, setting)})
    if recipe.format is None:
        return dataclasses.replace(recipe, steps=tuple(steps))
    return dataclasses.replace(recipe, steps=tuple(steps[:-1]), format=steps[-1])


def _keys(steps: list[Any]) -> list[str]:
    return [f"{s.name}.{f.name}" for s in steps for f in dataclasses.fields(s)]


def _nearest(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    return (
        f"; did you mean {near[0]}?" if near else f"; it has {', '.join(sorted({k.partition('.')[0] for k in known}))}"
    )


def _value(step: Step, field: str, text: str, setting: str) -> Any:
    kind = typing.get_type_hints(type(step))[field]
    try:
        return _parsed(kind, text)
    except ValueError as error:
        raise RecipeError(f"--set {setting}: want {_wanted(kind)}, got {text!r}") from error


def _wanted(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    if isinstance(kind, types.UnionType):
        return " or ".join("none" if k is type(None) else _wanted(k) for k in typing.get_args(kind))
    return str(getattr(kind, "__name__", kind))


def _parsed(kind: Any, text: str) -> Any:
    if isinstance(kind, types.UnionType):
        if text in {"none", "null"} and type(None) in typing.get_args(kind):
            return None
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if typing.get_origin(kind) is tuple:
        return tuple(_parsed(typing.get_args(kind)[0], part) for part in text.split(",") if part)
    if typing.get_origin(kind) is typing.Literal:
        if text not in typing.get_args(kind):
            raise ValueError(text)
        return text
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            raise ValueError(text)
        return text.lower() == "true"
    if kind is Asset:
        return Asset.of(text)
    if kind in (int, float, str):
        return kind(text.replace("_", "")) if kind is int else kind(text)
    raise ValueError(f"fields of type {kind} cannot be set from the command line")
