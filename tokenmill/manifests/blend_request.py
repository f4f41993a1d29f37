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

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.key_errors import nearest, told
from tokenmill.manifests.yaml_file import load_mapping


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
    content = load_mapping(path, "a blend's YAML file", ", ".join(BlendRequest.model_fields), plain=False)
    try:
        request = BlendRequest.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {told(error, BlendRequest)}") from error
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
                    f"{nearest(name, request.sources)}; add it under `sources`, or remove the weight"
                )
    for name in request.sources:
        if not any(name in phase.weights for phase in request.phases):
            raise RecipeError(f"{path}: source {name} has no weight in any phase; give it one, or remove the source")
