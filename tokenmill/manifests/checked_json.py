"""JSON files that notice when a byte of them was changed, and that appear whole or not at all."""

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError
from tokenmill.core.step import canonical_json
from tokenmill.manifests.store import Store


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to disk, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save(path: Path, body: dict[str, Any]) -> None:
    """Write `body` with its own sha256 under the key `checksum`, one canonical text for one value."""
    write_whole(path, content_of(body))


def save_in(store: Store, name: str, body: dict[str, Any]) -> None:
    """`save`, into a store."""
    store.write(name, content_of(body))


def load(path: Path) -> dict[str, Any]:
    """The body as saved. Raises DataError, naming the file, if it is absent or any byte of it differs."""
    try:
        return parsed(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the command that makes it") from error


def load_from(store: Store, name: str) -> dict[str, Any]:
    """`load`, from a store."""
    try:
        return parsed(store.read(name), f"{store.uri}/{name}")
    except OSError as error:
        raise DataError(
            f"{store.uri}/{name}: cannot be read ({error.strerror}); run the command that makes it"
        ) from error


def parsed(found: bytes, where: str) -> dict[str, Any]:
    """The body that `found` was written for. Raises DataError, naming `where`, if any byte of it differs."""
    try:
        body = json.loads(found)
        body.pop("checksum")
        intact = content_of(body) == found
    except (ValueError, KeyError, AttributeError, TypeError):
        intact = False
    if not intact:
        raise DataError(
            f"{where}: not as it was written (its checksum does not fit); restore it or re-run the command that made it"
        )
    return body  # type: ignore[no-any-return]


def content_of(body: dict[str, Any]) -> bytes:
    """What `save` writes for `body`."""
    checksum = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    return (json.dumps({**body, "checksum": checksum}, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
