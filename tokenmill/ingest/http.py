"""HTTP responses as archives hold them: often already decoded by the crawler, with headers that deny it.

So a declared encoding is tried, not believed: a body that is not chunked or not gzip is taken as it is, and
of a broken one what could be decoded (`damage` says so). Source: RFC 9112, section 7.1; RFC 9110, 8.4.
"""

import re
import zlib
from dataclasses import dataclass

import brotli

from tokenmill.ingest.limits import MAX_RECORD_BYTES

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})[^\n]*(?:\n|$)")
_END = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r\n")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_TYPE = re.compile(r"[a-z0-9!#$&^_.+\-]+/[a-z0-9!#$&^_.+\-]+")


@dataclass(slots=True, kw_only=True)
class Body:
    """`status` is None where there was no HTTP header. `error`: nothing could be decoded. `damage`: not all could."""

    data: bytes
    status: int | None = None
    content_type: str | None = None  # as declared, parameters included
    damage: str | None = None
    error: str | None = None


def response(block: bytes) -> Body:
    """The body of a response with its HTTP header taken off and its encodings undone."""
    status = _STATUS.match(block)
    if status is None:
        return Body(data=block)
    end = _END.search(block, status.end() - 2)
    head, data = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    fields: dict[str, str] = {}
    for line in head[status.end() :].decode("latin-1").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            fields[key] = f"{fields[key]}, {value.strip()}" if key in fields else value.strip()
    body = Body(data=data, status=int(status[1]), content_type=fields.get("content-type"))
    encodings = [e.strip().lower() for e in fields.get("content-encoding", "").split(",")]
    if "chunked" in fields.get("transfer-encoding", "").lower():
        encodings.append("chunked")
    for encoding in reversed(encodings):  # the last one applied is the first to undo
        if body.error is None:
            _undo(encoding, body)
    return body


def media_type(content_type: str | None) -> str | None:
    """`text/html` of `Text/HTML; charset=x`; None where there is no such thing."""
    found = _TYPE.match((content_type or "").strip().lower())
    return found[0] if found else None


def charset(content_type: str | None) -> str | None:
    found = _CHARSET.search(content_type or "")
    return found[1].lower() if found else None


def _undo(encoding: str, body: Body) -> None:
    match encoding:
        case "chunked":
            body.data, damage = _joined_chunks(body.data)
        case "gzip" | "x-gzip" if body.data.startswith(b"\x1f\x8b"):
            body.data, damage = _inflated(body.data, 31)
        case "deflate" if body.data:
            # Meant is zlib's format, sent is often bare deflate, or nothing of the kind.
            zlib_wrapped = body.data[0] & 15 == 8 and int.from_bytes(body.data[:2], "big") % 31 == 0
            data, damage = _inflated(body.data, 15 if zlib_wrapped else -15)
            if not zlib_wrapped and damage is not None:
                return
            body.data = data
        case "br" if body.data:
            body.data, damage = _unbrotlied(body.data)
        case _:
            return
    body.damage = damage or body.damage
    if len(body.data) > MAX_RECORD_BYTES:
        body.data, body.error = b"", f"body of more than {MAX_RECORD_BYTES} bytes"


def _joined_chunks(data: bytes) -> tuple[bytes, str | None]:
    """The chunks joined; `data` itself if it does not begin with one."""
    parts: list[bytes] = []
    at = 0
    while found := _CHUNK.match(data, at):
        size, start = int(found[1], 16), found.end()
        if size == 0:
            return b"".join(parts), None
        part = data[start : start + size]
        after = data[start + size : start + size + 2]
        if not parts and len(part) == size and after[:1] not in (b"\r", b"\n", b""):
            return data, None  # a body that happens to begin with hexadecimal digits
        parts.append(part)
        if len(part) < size:
            return b"".join(parts), "truncated chunk"
        at = start + size + (2 if after == b"\r\n" else 1 if after[:1] == b"\n" else 0)
    if not parts:
        return data, None
    return b"".join(parts), None if at >= len(data) else "wrong chunks"


def _inflated(data: bytes, window: int) -> tuple[bytes, str | None]:
    """What can be inflated, one byte more than the limit at most, and what was wrong with the rest."""
    parts: list[bytes] = []
    size = 0
    inflate = zlib.decompressobj(window)
    pending = memoryview(data)
    try:
        while pending and not inflate.eof and size <= MAX_RECORD_BYTES:
            # Small steps: what a failing step had inflated is lost.
            part = inflate.decompress(inflate.unconsumed_tail + bytes(pending[:4096]), 4 << 20)
            pending = pending[4096:]
            parts.append(part)
            size += len(part)
            while inflate.unconsumed_tail and size <= MAX_RECORD_BYTES:
                part = inflate.decompress(inflate.unconsumed_tail, 4 << 20)
                parts.append(part)
                size += len(part)
    except zlib.error:
        return b"".join(parts), "corrupt encoding of the body"
    return b"".join(parts), None if inflate.eof else "truncated encoding of the body"


def _unbrotlied(data: bytes) -> tuple[bytes, str | None]:
    """What can be decoded; `data` itself where nothing can, as the crawler had then done it already."""
    # brotli.Decompressor bounds its output only per call, so the input goes in small steps.
    decompressor, parts, size = brotli.Decompressor(), [], 0
    try:
        for i in range(0, len(data), 1024):
            part = decompressor.process(data[i : i + 1024])
            parts.append(part)
            size += len(part)
            if size > MAX_RECORD_BYTES:
                break
    except brotli.error:
        if not size:
            return data, None
        return b"".join(parts), "corrupt encoding of the body"
    return b"".join(parts), None if decompressor.is_finished() else "truncated encoding of the body"
