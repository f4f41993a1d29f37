"""The normal form of a URL in plain Python; normalised_urls.py states the rules and must give the same."""

import re

from tokenmill.kernels.normalised_urls import ALLOWED, UNRESERVED

_URL = re.compile(rb"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?//(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.DOTALL)
_AUTHORITY = re.compile(rb"(?P<user>.*@)?(?P<host>[^@]*?)(?P<port>:[0-9]*)?", re.DOTALL)
_WEB = {b"": b":80", b"http": b":80", b"https": b":443"}  # and the port that each has by default
_BLANK = bytes(range(0x21))


def normalised_url(url: str | None, ignored: tuple[str, ...]) -> str | None:
    stripped = b"" if url is None else url.encode().strip(_BLANK)
    if not stripped:
        return None
    found = _URL.match(stripped)
    if not found:
        return stripped.decode()
    scheme = (found["scheme"] or b"").lower()
    authority = _AUTHORITY.fullmatch(found["authority"])
    assert authority
    host, port = authority["host"].lower(), authority["port"] or b""
    if scheme in _WEB and host.startswith(b"www.") and b"." in host[4:]:
        host = host[4:]
    if port in (b":", _WEB.get(scheme)):
        port = b""
    prefix = b"" if scheme in _WEB else scheme + b":"
    path, _, query = found["rest"].partition(b"?")
    parameters = [p for p in map(_encoded, query.split(b"&")) if p and not _is_ignored(p, ignored)]
    question = b"?" if parameters else b""
    user = authority["user"] or b""
    return b"".join((prefix, b"//", user, host, port, _path(path), question, b"&".join(parameters))).decode()


def _path(path: bytes) -> bytes:
    left: list[bytes] = []
    for segment in _encoded(path).split(b"/")[1:]:
        if segment == b"..":
            del left[-1:]
        elif segment != b".":
            left.append(segment)
    return b"".join(b"/" + segment for segment in left).rstrip(b"/")


def _encoded(part: bytes) -> bytes:
    done = b""
    for piece in re.findall(rb"%[0-9A-Fa-f]{2}|.", part, re.DOTALL):
        if len(piece) == 3:
            byte = bytes([int(piece[1:], 16)])
            done += byte if byte in UNRESERVED else piece.upper()
        else:
            done += piece if piece in ALLOWED + b"%" else b"%%%02X" % piece[0]
    return done


def _is_ignored(parameter: bytes, ignored: tuple[str, ...]) -> bool:
    name = parameter.partition(b"=")[0].lower()
    exact = {i.lower().encode() for i in ignored if not i.endswith("*")}
    return name in exact or any(name.startswith(i[:-1].lower().encode()) for i in ignored if i.endswith("*"))
