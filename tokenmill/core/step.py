"""What stages, barriers and formats share: a name, parameters, and a version that follows from them."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any, ClassVar

import pyarrow as pa

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a recipe. Its parameters are its fields; everything else is class-level."""

    name: ClassVar[str]  # unique in a recipe; what `--set NAME.field=value` and the ledger call it
    revision: ClassVar[int]  # raised by one whenever the same input would give other output
    reads: ClassVar[pa.Schema] = pa.schema([])  # columns that must be there
    adds: ClassVar[pa.Schema] = pa.schema([])  # columns that are there afterwards
    pins: ClassVar[tuple[str, ...]] = ()  # installed distributions whose version decides the output

    @property
    def version(self) -> str:
        """12 hex digits that change exactly when this step's output may change."""
        identity = {
            "name": self.name,
            "revision": self.revision,
            "parameters": self.parameters(),
            "pins": {name: installed_version(name) for name in self.pins},
        }
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:12]

    def parameters(self) -> dict[str, Any]:
        """The fields as JSON-able values; an Asset stands as its sha256, wherever it lies."""
        return {f.name: _plain(getattr(self, f.name), self.name) for f in dataclasses.fields(self)}

    def assets(self) -> Iterator[Asset]:
        """Every asset among the parameters, for checking before a run and for its manifest."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            yield from (v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, Asset))


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any, step: str) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Asset():
            return f"sha256:{value.sha256}"
        case tuple() | list():
            return [_plain(v, step) for v in value]
        case frozenset():
            return sorted(_plain(v, step) for v in value)
        case _:
            raise RecipeError(
                f"{step}: a parameter of type {type(value).__name__}; want numbers, strings, tuples, Assets"
            )
