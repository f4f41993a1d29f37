"""WARC: headers of versions 0.9 to 1.1, as far as they can be told from other bytes.

Source: ISO 28500; the ClueWeb and wget quirks of real files (angle brackets around URLs, LF for CRLF).
"""

import re

from tokenmill.ingest.archive import Header

_START = re.compile(rb"(?:(?<=\n\r\n)|(?<=\n\n))WARC/\d")
_VERSION = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n")
_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
TYPES = frozenset(
    ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation", "unknown")
)


class WarcLayout:
    """Headers of WARC records."""

    def find(self, data: bytearray, start: int) -> int:
        found = _START.search(data, start)
        return found.start() if found else -1

    def starts(self, head: bytes) -> bool:
        return self.parse(head.lstrip(b"\r\n")) is not None

    def parse(self, head: bytes) -> Header | None:
        version = _VERSION.match(head)
        end = _END.search(head, version.end()) if version else None
        if version is None or end is None:
            return None
        fields: dict[str, str] = {}
        name = ""
        for line in head[version.end() : end.start()].decode(errors="replace").split("\n"):
            if line[:1] in (" ", "\t") and name:
                fields[name] += " " + line.strip()
                continue
            key, colon, value = line.partition(":")
            if colon:
                name = key.strip().lower()
                fields[name] = value.strip()
        if "warc-type" not in fields:
            return None
        kind = fields["warc-type"].lower()
        length = fields.get("content-length", "")
        extra = {
            name: fields[field]
            for name, field in (("truncated", "warc-truncated"), ("languages", "warc-identified-content-language"))
            if field in fields
        }
        return Header(
            kind=kind if kind in TYPES else "other",
            size=end.end(),
            length=int(length) if _LENGTH.fullmatch(length) else None,
            url=_bare(fields.get("warc-target-uri")),
            record_id=fields.get("warc-record-id"),
            date=fields.get("warc-date"),
            content_type=fields.get("content-type"),
            extra=extra,
        )


def _bare(url: str | None) -> str | None:
    """wget wrote URLs in angle brackets, as the standard's grammar once had them."""
    if url and url.startswith("<") and url.endswith(">"):
        return url[1:-1]
    return url or None
