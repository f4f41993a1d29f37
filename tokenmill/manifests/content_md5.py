"""The header by which a store refuses what arrives damaged or short."""

import base64
import hashlib
from functools import partial
from pathlib import Path


def content_md5(content: bytes | Path) -> str:
    """RFC 1864: the digest in base64. A file is read in pieces."""
    if isinstance(content, bytes):
        digest = hashlib.md5(content, usedforsecurity=False)
    else:
        with content.open("rb") as file:
            digest = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()
