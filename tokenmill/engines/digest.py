"""One short name for any value: what tells a resumed run that an input is still the same."""

import hashlib
from typing import Any

from tokenmill.core.step import canonical_json


def digest(value: Any) -> str:
    """64 hex digits of sha256 over the value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
