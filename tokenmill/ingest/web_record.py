"""Which records of an archive are documents, and what the others are counted as.

Documents are successful responses (HTTP 200), resources and conversions (WET) whose type is HTML, XHTML or,
for responses and conversions, plain text. wget stores its own log as a plain-text resource.
"""

import re

from tokenmill.core.step import canonical_json
from tokenmill.ingest.archive import Header, Record
from tokenmill.ingest.decode_text import decode_text
from tokenmill.ingest.http import Body, charset, media_type, response
from tokenmill.ingest.rows import Row, sound

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
# Counted under their own name; others by their major type, so that the kinds stay few whatever a crawl holds.
COUNTED_MAJORS = frozenset(("text", "image", "audio", "video", "application", "font", "multipart", "message", "model"))
COUNTED_TYPES = HTML_TYPES | {
    *("text/plain", "text/css", "text/xml", "text/javascript", "text/dns", "text/calendar"),
    *("image/jpeg", "image/png", "image/gif", "image/svg+xml", "image/webp"),
    *("application/json", "application/javascript", "application/x-javascript", "application/xml"),
    *("application/rss+xml", "application/atom+xml", "application/pdf", "application/octet-stream"),
}
_HTML_HEAD = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def row_or_kind(record: Record, place: str) -> Row | str:
    """The document or error row of a record, or the kind that it is counted as, of at most some 700."""
    header = record.header
    if record.error is not None or header is None:
        row = Row(error=record.error or "no record header", raw=record.block or None, place=f"{place}\0{record.offset}")
        if header is not None:
            row.url = sound(header.url)
            row.own_id = None if record.block else header.record_id
        return row
    match header.kind:
        case "response":
            return _response(record, header)
        case "resource":
            kind = _kind(media_type(header.content_type), record.block)
            if kind not in HTML_TYPES:
                return f"resource: {_counted(kind)}"
            return _document(header, Body(data=record.block, content_type=header.content_type), kind)
        case "conversion":
            kind = media_type(header.content_type) or "text/plain"
            if kind != "text/plain":
                return f"conversion: {_counted(kind)}"
            return _document(header, Body(data=record.block, content_type="text/plain; charset=utf-8"), kind)
        case kind:
            return kind


def _response(record: Record, header: Header) -> Row | str:
    body = response(record.block)
    if body.status is not None and body.status != 200:
        return f"response: status {body.status if 100 <= body.status < 600 else 'other'}"
    if body.status is None:
        declared = media_type(header.content_type)
        if declared == "application/http":
            return _failed(header, record.block, "no HTTP status line")
        body.content_type = header.content_type
    kind = _kind(media_type(body.content_type), body.data)
    if kind not in HTML_TYPES and kind != "text/plain":
        return f"response: {_counted(kind)}"
    if body.error is not None:
        return _failed(header, record.block, body.error)
    if body.damage is not None and not body.data:
        return _failed(header, record.block, body.damage)
    return _document(header, body, kind)


def _kind(declared: str | None, data: bytes) -> str | None:
    """The declared type; where there is none, HTML if it looks like that."""
    return declared or ("text/html" if _HTML_HEAD.search(data, 0, 1024) else None)


def _counted(kind: str | None) -> str:
    if kind is None:
        return "no type"
    if kind in COUNTED_TYPES:
        return kind
    major = kind.partition("/")[0]
    return f"{major}/*" if major in COUNTED_MAJORS else "other type"


def _document(header: Header, body: Body, kind: str | None) -> Row:
    own_id, raw = header.record_id, None
    if own_id is None:  # ARC: the same page fetched twice is two records
        raw = "\0".join((header.url or "", header.date or "")).encode() + b"\0" + body.data
    row = Row(own_id=own_id, url=sound(header.url), meta=_meta(header, body), raw=raw)
    if kind == "text/plain":
        row.text = decode_text(body.data, charset(body.content_type), is_html=False)
    else:
        row.html, row.charset = body.data, charset(body.content_type)
    return row


def _failed(header: Header, block: bytes, reason: str) -> Row:
    return Row(error=reason, url=sound(header.url), meta=_meta(header, None), own_id=header.record_id, raw=block)


def _meta(header: Header, body: Body | None) -> str:
    facts = {
        "date": header.date,
        "record_id": header.record_id,
        "content_type": body.content_type if body else header.content_type,
        "damage": body.damage if body else None,
        **header.extra,
    }
    return canonical_json({key: value for key, value in facts.items() if value is not None})
