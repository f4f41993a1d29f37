"""Which of the known formats a file is: by its name, and by its first bytes where the name says nothing."""

import re
from dataclasses import dataclass

import zstandard

from tokenmill.ingest.pieces import GZIP_MAGIC, LZ4_MAGIC, ZSTD_MAGIC, inflated_head

HEAD_BYTES = 64 << 10  # enough of a file for `format_of`

_FAMILIES = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "warc": "warc",
    "wet": "warc",
    "wat": "warc",
    "arc": "arc",
}
_NAME = re.compile(rf"\.({'|'.join(_FAMILIES)})(?:\.(gz|zst|lz4))?$", re.IGNORECASE)
_ENDS = (("gz", GZIP_MAGIC), ("zst", ZSTD_MAGIC), ("lz4", LZ4_MAGIC))
_READ = {("jsonl", ""), ("jsonl", "gz"), ("jsonl", "zst"), ("parquet", ""), ("arc", ""), ("arc", "gz")} | {
    ("warc", compression) for compression in ("", "gz", "zst", "lz4")
}


@dataclass(frozen=True, slots=True)
class Format:
    """`family` is jsonl, parquet, warc or arc; `compression` is empty, gz, zst or lz4."""

    family: str
    compression: str


def format_of(name: str, head: bytes) -> Format | None:
    """The format of a file that is called `name` and begins with `head` (HEAD_BYTES of it); None for no known one.

    A compression is known by its first bytes before the name: servers hand out gzip under other names.
    """
    by_bytes = _compression(head)
    if named := _NAME.search(name):
        compression = by_bytes or (named[2] or "").lower()
        found = Format(_FAMILIES[named[1].lower()], compression)
    else:
        family = _family_of(decompressed(head))
        if family is None:
            return None
        found = Format(family, by_bytes or "")
    return found if (found.family, found.compression) in _READ else None


def recognised(name: str, head: bytes) -> bool:
    """Can `Files` read this file? `head`: its first HEAD_BYTES."""
    return format_of(name, head) is not None


def _compression(head: bytes) -> str | None:
    return next((ending for ending, magic in _ENDS if head.startswith(magic)), None)


def decompressed(head: bytes) -> bytes:
    """The first bytes of what a file holds, from its own; b"" if they are damaged. Of lz4, WARC alone is seen."""
    match _compression(head):
        case None:
            return head
        case "gz":
            return inflated_head(head)
        case "zst":
            try:
                return zstandard.ZstdDecompressor().decompressobj().decompress(head[: 4 << 10])
            except zstandard.ZstdError:
                return b""
        case _:  # an lz4 frame begins with literals, behind a header of 7 to 19 bytes and a block's length
            found = head.find(b"WARC/", 0, 64)
            return head[found:] if found >= 0 else b""


def _family_of(data: bytes) -> str | None:
    if data.startswith(b"PAR1"):
        return "parquet"
    data = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if data.startswith(b"WARC/"):
        return "warc"
    if data.startswith(b"filedesc:"):
        return "arc"
    return "jsonl" if data.startswith(b'{"') else None
