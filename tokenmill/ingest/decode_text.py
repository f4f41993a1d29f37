"""Bytes of the web to text: by the declared charset, a BOM, the page's own word, or detection.

Source: the order of the WHATWG encoding standard; labels are mapped as browsers do (latin-1 is windows-1252).
"""

import re

from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

from tokenmill.ingest.rows import sound

_SEVEN_BIT = re.compile(rb"\x1b[$(]")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def decode_text(data: bytes, charset: str | None, *, is_html: bool) -> str:
    """Never fails: what the charset cannot read is replaced by U+FFFD. Valid Unicode without lone surrogates."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, "replace")
    declared = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    # Undeclared bytes that are valid UTF-8 are that, unless they are 7-bit Japanese (escapes) or UTF-16 (NULs).
    if declared == "utf-8" or (declared is None and not _SEVEN_BIT.search(data) and b"\0" not in data[:1024]):
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    encoding = declared or detect_encoding(data, from_html_meta=is_html) or "utf-8"
    try:
        return sound(data.decode(encoding, "replace")) or ""
    except LookupError:  # a label that browsers know and Python does not
        return sound(bytes_to_str(data, encoding, errors="replace")) or ""
