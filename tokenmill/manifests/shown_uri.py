"""URLs may carry a password or a signature. Neither belongs in a file that we write, nor into what we tell others."""

import re

_SIGNED = re.compile(
    r"[?&;](x-amz-(signature|security-token|credential)|x-goog-(signature|credential)|signature|sig|awsaccesskeyid|"
    r"(access_?)?token|api_?key|password)=",
    re.IGNORECASE,
)
_WEB = (
    "http",
    "https",
)  # there a user alone may be a token; elsewhere it may be a container (abfs://CONTAINER@ACCOUNT)


def holds_secret(uri: str) -> bool:
    """Does it hold a password, or a query that opens what it names for whoever has it? False for a path."""
    return shown_uri(uri) != uri


def shown_uri(uri: str) -> str:
    """`uri` without either; a path as it is."""
    scheme, separator, rest = uri.partition("://")
    if not separator or "/" in scheme:
        return uri
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, host = authority.rpartition("@")
    if at and (":" in user or scheme.lower() in _WEB):
        rest = f"{host}{rest[len(authority) :]}"
    if _SIGNED.search(rest):
        rest = rest.partition("?")[0]
    return f"{scheme}://{rest}"
