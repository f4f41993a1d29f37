"""What is wrong with a file that people write, key by key; an unknown key is answered with the nearest known one."""

import difflib
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

SHOWN = 5  # errors of one file

Place = tuple[str, ...]


def told(error: ValidationError, model: type[BaseModel], *, secret: Iterable[Place] = ()) -> str:
    """The first errors, each with the place of its key below `model`, the file's own.

    What was found there is told, but for what stands below a place of `secret`: people write secrets there.
    """
    found, secret = error.errors(), list(secret)
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(_sentence(each, model, secret) for each in found[:SHOWN]) + more


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)`, or the names that there are."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})"


def _sentence(error: Any, model: type[BaseModel], secret: Iterable[Place]) -> str:
    place = [str(part) for part in error["loc"]]
    where = f"{'.'.join(place)}: " if place else ""
    if error["type"] == "extra_forbidden":
        return f"{where}unknown key{nearest(place[-1], _model_at(place[:-1], model).model_fields)}"
    if error["type"] == "value_error":  # one of our own sentences
        return f"{where}{error['ctx']['error']}"
    # A place may also lie above a secret one, and then all that is below it is what was found.
    if any(tuple(place)[: len(at)] == at[: len(place)] for at in secret):
        return f"{where}{error['msg']}"
    return f"{where}{error['msg']}, got {error['input']!r}"


def _model_at(place: list[str], model: type[BaseModel]) -> type[BaseModel]:
    """The model that the keys of `place` lead to; numbers and names in lists and mappings lead nowhere new."""
    for part in place:
        if part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)
