"""Three errors, named after who must act. `jobs/` turns each into an exit code."""

from collections.abc import Mapping
from typing import Any


class TokenmillError(Exception):
    """Base of every error that this package raises on purpose. `facts`: what --json tells besides the message."""

    facts: Mapping[str, Any] = {}


class RecipeError(TokenmillError):
    """The request is wrong: edit the recipe, its parameters or the command; nothing ran. Exit 2."""


class DataError(TokenmillError):
    """The data breaks its manifest or a step's contract: look at the named shard. Exit 3."""


class EngineError(TokenmillError):
    """The machine failed, not the data: the same command may be run again. Exit 4."""
