"""The header by which a store refuses what arrives damaged or short."""

import base64
import hashlib


def content_md5(content: bytes) -> str:
    """RFC 1864: the digest in base64."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
