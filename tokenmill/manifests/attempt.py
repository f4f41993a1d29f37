"""One attempt at one task: files under names of its own, then one commit, or nothing.

A task may run twice, die half-way or be raced by a copy of itself. Its files lie in a local folder of this attempt
until they are complete and on disk; then each gets its final name in the run's store, whole, and one small receipt is
written, last. What no receipt names does not exist for the engine.
"""

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tokenmill.core.errors import DataError
from tokenmill.manifests import checked_json
from tokenmill.manifests.hashing_file import HashingFile
from tokenmill.manifests.manifest import Shard
from tokenmill.manifests.parquet_file import ParquetFile
from tokenmill.manifests.store import Store


class Attempt:
    """Opens files for one task and commits them to a store together. Use as a context manager."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.scratch()
        self._files: dict[str, tuple[str | None, HashingFile, ParquetFile | None]] = {}
        self._rows: dict[str, int] = {}

    def file(self, path: str, kind: str | None = None) -> HashingFile:
        """A new file that will be `path` in the store; without a `kind` it is the engine's own."""
        temporary = self._folder / path
        temporary.parent.mkdir(parents=True, exist_ok=True)
        file = HashingFile(temporary)
        self._files[path] = (kind, file, None)
        return file

    def parquet(self, path: str, kind: str, schema: pa.Schema) -> ParquetFile:
        file = self.file(path, kind)
        parquet = ParquetFile(file, schema)
        self._files[path] = (kind, file, parquet)
        return parquet

    def content_name(self, path: str, named: str) -> None:
        """Let the file opened as `path` be committed as `named` (say, with its own hash in the name)."""
        self._files[named] = self._files.pop(path)
        (self._folder / named).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._folder / path, self._folder / named)

    def count_rows(self, path: str, rows: int) -> None:
        """State the rows of a file that is not Parquet."""
        self._rows[path] = rows

    def commit(self, receipt: str, body: dict[str, Any]) -> dict[str, Any]:
        """Check and publish every file opened, then the receipt. Returns the receipt's body.

        It has `files`, those that will be in the manifest, and `work`, the bytes of each of the engine's own.
        """
        shards: list[Shard] = []
        for path, (kind, file, parquet) in sorted(self._files.items()):
            if parquet is not None:
                parquet.close()
            file.close()
            if kind is not None:
                shards.append(self._checked(path, kind, file, parquet))
        self._store.delete(receipt)  # one of other inputs must not stand while its files are replaced
        for path in self._files:
            self._store.publish(self._folder / path, path)
        work = {path: file.bytes for path, (kind, file, _) in sorted(self._files.items()) if kind is None}
        body = body | {"files": [_as_json(s) for s in shards], "work": work}
        checked_json.save_in(self._store, receipt, body)
        return body

    def _checked(self, path: str, kind: str, file: HashingFile, parquet: ParquetFile | None) -> Shard:
        if parquet is None:
            rows, rows_hash = self._rows.get(path, 0), _bytes_hash(self._folder / path)
        else:
            rows, rows_hash = parquet.rows, parquet.rows_hash
            found = pq.read_metadata(self._folder / path).num_rows
            if found != rows:
                raise DataError(
                    f"{path}: wrote {rows:,} rows, the file holds {found:,}; the disk or a library is at fault"
                )
        return Shard(path=path, kind=kind, rows=rows, bytes=file.bytes, sha256=file.sha256, rows_hash=rows_hash)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, file, _ in self._files.values():
            file.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)


def _as_json(shard: Shard) -> dict[str, Any]:
    return {name: getattr(shard, name) for name in Shard.__slots__}


def _bytes_hash(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
