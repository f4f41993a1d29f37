"""How commands speak: facts as text for people, or as one JSON object for programs."""

import json
import sys
from typing import Any


def show(facts: dict[str, Any], as_json: bool, text: str) -> None:
    """Print `text`, or with `as_json` the one object `facts` and nothing else."""
    print(json.dumps(facts, indent=1, sort_keys=True, default=str) if as_json else text)


def warn(text: str) -> None:
    """A line on standard error: it never mixes with what a program reads."""
    print(text, file=sys.stderr)
