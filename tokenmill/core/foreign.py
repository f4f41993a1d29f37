"""A step of another library as a parameter: its class and the arguments it is made with, by what they say."""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Foreign:
    """Made anew in each process, so that it is small on its way there and models need not be pickled.

    Arguments are numbers, strings, tuples of them, Assets (the step is given the path) and functions that can be
    imported by name. `distributions` are those whose installed version decides what the step gives.
    """

    kind: type
    arguments: tuple[tuple[str, Any], ...]
    distributions: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: type, arguments: Mapping[str, Any], distributions: tuple[str, ...] = ()) -> "Foreign":
        """With the distributions that `kind` says it requires, as datatrove's steps do.

        Raises RecipeError for an argument that cannot be part of a version, or that `kind` does not take.
        """
        required = [d for c in kind.__mro__ for d in getattr(c, "_requires_dependencies", ())]
        named = {re.split(r"[ @\[]", d[1] if isinstance(d, tuple) else d)[0] for d in required}
        frozen = tuple((name, _frozen(value, f"{kind.__name__}.{name}")) for name, value in sorted(arguments.items()))
        try:
            _takes(kind).bind(None, **arguments)
        except TypeError as error:
            raise RecipeError(f"{kind.__name__}: {error}") from error
        foreign = cls(kind, frozen, tuple(sorted({*named, *distributions})))
        foreign.described()
        return foreign

    def build(self) -> Any:
        return self.kind(**{name: _given(value) for name, value in self.arguments})

    def argument(self, name: str) -> Any:
        """What the step is made with: as given, or the default of its class; None where it takes no such thing."""
        parameter = _takes(self.kind).parameters.get(name)
        default = None if parameter is None or parameter.default is parameter.empty else parameter.default
        return dict(self.arguments).get(name, default)

    def described(self) -> dict[str, Any]:
        """JSON-able, and different whenever another output is to be expected."""
        return {
            "step": _named(self.kind, self.distributions),
            "arguments": {name: _told(value, self.distributions) for name, value in self.arguments},
            "versions": {name: _version(name) for name in self.distributions},
        }

    def assets(self) -> Iterator[Asset]:
        yield from (value for _, value in self.arguments if isinstance(value, Asset))


def _takes(kind: type) -> inspect.Signature:
    """Of `__init__`, not of the class: a `__new__` that takes anything would hide it."""
    return inspect.signature(kind.__init__)  # type: ignore[misc]


def _frozen(value: Any, where: str) -> Any:
    match value:
        case None | bool() | int() | float() | str() | Asset():
            return value
        case tuple() | list():
            return tuple(_frozen(v, where) for v in value)
        case set() | frozenset():
            return tuple(sorted(_frozen(v, where) for v in value))
        case _ if inspect.isfunction(value) and "<" not in value.__qualname__:
            return value
        case _:
            raise RecipeError(
                f"{where}: a {type(value).__name__} cannot be part of a version; want numbers, strings, tuples, Assets "
                "or a function that can be imported by name (no lambda)"
            )


def _given(value: Any) -> Any:
    return str(value.path()) if isinstance(value, Asset) else value


def _told(value: Any, distributions: tuple[str, ...]) -> Any:
    match value:
        case Asset():
            return f"sha256:{value.sha256}"
        case tuple():
            return [_told(v, distributions) for v in value]
        case _ if inspect.isfunction(value):
            return _named(value, distributions)
        case _:
            return value


def _named(thing: type | Callable[..., Any], distributions: tuple[str, ...]) -> str:
    """Its name; with a hash of its source unless a distribution's version stands for that."""
    name = f"{thing.__module__}.{thing.__qualname__}"
    if thing.__module__.partition(".")[0] in distributions:
        return name
    try:
        source = inspect.getsource(thing)
    except (OSError, TypeError) as error:
        raise RecipeError(f"{name}: its source cannot be read, so it has no version; put it into a file") from error
    return f"{thing.__qualname__}@{hashlib.sha256(source.encode()).hexdigest()[:12]}"


def _version(distribution: str) -> str | None:
    try:
        return installed_version(distribution)
    except PackageNotFoundError:
        return None
