"""ARC, versions 1 and 2: one header line per record, the length last.

Source: archive.org/web/researcher/ArcFileFormat.php. URLs with spaces occur, so the line is read from its end.
"""

import re

from tokenmill.ingest.archive import Header

# Listed, so that the tail of a cut "http" is no header: a wrong length is found out by what follows.
_SCHEMES = rb"https?|ftps?|dns|filedesc|whois|metadata|screenshot|urn|file|data|about|gopher|news|nntp|rtsp|mms|mailto"
_LINE = (
    rb"(?P<url>(?i:" + _SCHEMES + rb"):[^\r\n]*?) "
    rb"(?P<ip>\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+|-) "
    rb"(?P<date>\d{8,18}) (?P<type>[^\r\n]*?) ?(?P<length>-?[0-9A-Za-z]+)\r?\n"
)
_HEADER = re.compile(_LINE)
_START = re.compile(rb"(?<=\n)" + _LINE)
_LONGEST_LINE = 8 << 10


class ArcLayout:
    """Header lines of ARC records."""

    def find(self, data: bytearray, start: int) -> int:
        found = _START.search(data, start)
        return found.start() if found else -1

    def starts(self, head: bytes) -> bool:
        return self.parse(head.lstrip(b"\r\n")) is not None

    def parse(self, head: bytes) -> Header | None:
        found = _HEADER.match(head, 0, _LONGEST_LINE)
        if found is None:
            return None
        url, date = found["url"].decode(errors="replace"), found["date"].decode()
        scheme = url.partition(":")[0].lower()
        length = found["length"]
        return Header(
            kind=scheme if scheme in ("filedesc", "dns") else "response",
            size=found.end(),
            length=int(length) if length.isdigit() and len(length) < 19 else None,
            url=url,
            date=date,
            content_type=found["type"].decode(errors="replace").partition(" ")[0] or None,
        )
