"""The blend as a person writes it: a YAML file, checked key by key before anything is read.

name: nano-1t
tokenizer: tokenizer.json        # or sha256:HEX; may be left out: the sources must agree on one anyway
sequence_length: 8192
total_tokens: 1_000_000_000_000  # or 1e12
seed: 0
holdout: true                    # left out: validate on what is held out, where anything is
sources:
  web: {manifest: ../tokens/web, max_epochs: 1}
  code: {manifest: ../tokens/code-current, identity: 3f0c..., max_epochs: 2}   # refused when that is another run
phases:
  - {name: diversity, until: 0.8, weights: {web: 80, code: 20}}
  - {name: quality, until: 1, weights: {web: 50, code: 50}}
"""

import difflib
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tokenmill.core.errors import RecipeError

ERRORS_SHOWN = 5


def _whole(value: object) -> object:
    """YAML reads 1e12 as a text and 1.0e+12 as a float: both are meant as a number of tokens."""
    if isinstance(value, str) and re.fullmatch(r"[\d_]+(\.\d*)?([eE]\+?\d+)?", value):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]  # it becomes part of a file's name
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceRequest(_Model):
    """`manifest` is a token run's directory, its manifest.json or a pointer to it, relative to the YAML file.

    `identity` pins the run: 64 digits, as `tokenmill verify` prints them.
    """

    manifest: Annotated[str, Field(min_length=1)]
    identity: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    max_epochs: Positive = 1.0  # over all phases; 4 cost little (Muennighoff et al. 2023), repeating must be a decision


class PhaseRequest(_Model):
    """`until`: where the phase ends, as a share of the budget (up to 1) or in tokens (above); null: the whole."""

    name: Name
    until: Annotated[Positive | None, BeforeValidator(_whole)] = None
    weights: Annotated[dict[str, Positive], Field(min_length=1)]  # any scale; a phase's are divided by their sum


class BlendRequest(_Model):
    """The keys of the example above. `holdout` None: validate on what is held out, where anything is."""

    name: Name
    tokenizer: str | None = None
    sequence_length: Count
    total_tokens: Count
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0  # Megatron's --seed: numpy's RandomState takes 32 bits
    holdout: bool | None = None
    sources: Annotated[dict[str, SourceRequest], Field(min_length=1)]
    phases: Annotated[tuple[PhaseRequest, ...], Field(min_length=1)]


def load_request(path: Path) -> BlendRequest:
    """Raises RecipeError, naming the key, for what is no blend; an unknown key is answered with the nearest known."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); give the path of a blend's YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({' '.join(str(error).split())}); mend it") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: want the keys of a blend: {', '.join(BlendRequest.model_fields)}")
    try:
        request = BlendRequest.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        more = f"; and {len(found) - ERRORS_SHOWN} more" if len(found) > ERRORS_SHOWN else ""
        raise RecipeError(f"{path}: {'; '.join(_sentence(e) for e in found[:ERRORS_SHOWN])}{more}") from error
    _check_names(path, request)
    return request


def _check_names(path: Path, request: BlendRequest) -> None:
    names = [phase.name for phase in request.phases]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"{path}: {names.count(name)} phases are called {name}; names must differ")
    for phase in request.phases:
        for name in phase.weights:
            if name not in request.sources:
                raise RecipeError(
                    f"{path}: phase {phase.name} gives a weight to {name}, which is no source"
                    f"{_nearest(name, request.sources)}; add it under `sources`, or remove the weight"
                )
    for name in request.sources:
        if not any(name in phase.weights for phase in request.phases):
            raise RecipeError(f"{path}: source {name} has no weight in any phase; give it one, or remove the source")


def _sentence(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(place)}: {error['msg']}, got {error['input']!r}"
    models: dict[str, type[BaseModel]] = {"sources": SourceRequest, "phases": PhaseRequest}
    model = models.get(place[0], BlendRequest) if len(place) > 1 else BlendRequest
    return f"{'.'.join(place)}: unknown key{_nearest(place[-1], model.model_fields)}"


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})"


class _UniqueKeys(yaml.SafeLoader):
    """YAML's last-one-wins would lose a source that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                problem = f"the key {key!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)
