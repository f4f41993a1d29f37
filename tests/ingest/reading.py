"""Files written by hand for the readers, and reading them back without an engine."""

import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from tokenmill.core.document import RECORD
from tokenmill.core.source import File, Split
from tokenmill.ingest.files import Files

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def bytes_opener(data: bytes) -> Callable[[str], BinaryIO]:
    return lambda uri: io.BytesIO(data)


@dataclass
class Reading:
    """All that came out of some splits."""

    rows: list[dict[str, Any]]
    passed_over: Counter[str]
    ends: list[tuple[int | None, int | None]]  # (began, ended) of each split

    @property
    def errors(self) -> list[str]:
        return [row["error"] for row in self.rows if row["error"] is not None]

    @property
    def good(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["error"] is None]

    def texts(self) -> list[str]:
        return [row["text"] for row in self.good]


def read(
    name: str,
    data: bytes,
    *,
    source: str = "web",
    batch_bytes: int = 1 << 20,
    cuts: Iterable[int] | None = None,
    keeps_ids: bool = False,
) -> Reading:
    """Read `data` as the file `name`, in the splits that the source makes, or in ranges of bytes cut at `cuts`."""
    file = File(name=name, uri=name, size=len(data))
    files = Files(name=source, files=(file,), keeps_ids=keeps_ids)
    opener = bytes_opener(data)
    splits = files.splits(opener)
    if cuts is not None:
        places = [0, *cuts, len(data)]
        splits = [
            replace(splits[0], start=a, stop=b, bytes=b - a, searched=a > 0)
            for a, b in zip(places, places[1:], strict=False)
        ]
    return read_splits(files, splits, opener, batch_bytes)


def read_splits(
    files: Files, splits: list[Split], opener: Callable[[str], BinaryIO], batch_bytes: int = 1 << 20
) -> Reading:
    reading = Reading([], Counter(), [])
    for split in splits:
        chunks = list(files.read(split, opener, batch_bytes))
        assert chunks
        for chunk in chunks:
            assert chunk.records.schema.equals(RECORD)
            chunk.records.validate(full=True)
            assert 0 <= chunk.position <= split.bytes
            reading.rows += chunk.records.to_pylist()
            reading.passed_over.update(chunk.passed_over)
        reading.ends.append((chunks[-1].began, chunks[-1].ended))
    for row in reading.rows:
        assert len(row["id"]) == 32
        assert row["error"] is None or (row["text"] is None and row["html"] is None and row["language"] is None)
    return reading


def warc_record(
    block: bytes, *, kind: str = "response", id: str = "", content_type: str = "application/http", url: str = ""
) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url or 'http://a.example/' + id}",
        "WARC-Date: 2024-01-01T00:00:00Z",
        f"WARC-Record-ID: <urn:{id}>",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: int = 200, content_type: str = "text/html") -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def page(id: str, body: bytes = b"<p>hello", *headers: str, **rest: Any) -> bytes:
    return warc_record(http(body, *headers, **rest), id=id)


def gzipped(parts: Iterable[bytes]) -> bytes:
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def record_ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["url"].removeprefix("http://a.example/") for row in rows]
