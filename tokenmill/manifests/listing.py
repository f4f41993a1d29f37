"""What lies at a URL: an object, all below a prefix, or what fits a pattern; by listing, never a request per object.

Listing is a thousand objects a request, one after another: a million take some minutes. Who reads so many more than
once makes an inventory (`tokenmill inventory`).
"""

import re
from dataclasses import dataclass

from tokenmill.manifests.objects import Options, objects_at
from tokenmill.manifests.retrying import Patience

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Listed:
    """`name`: below the prefix, or below the folder that the pattern begins with."""

    name: str
    uri: str
    size: int
    modified_ns: int
    etag: str


def listed(uri: str, options: Options = (), patience: Patience | None = None, *, hidden: bool = False) -> list[Listed]:
    """By name; empty if nothing is there. In a pattern, ** stands for any folders, * and ? stay within one.

    Below a prefix, `hidden` says whether names with a part that begins with . or _ are listed too. Memory: 0.6 kB an
    object.
    """
    top = fixed_part(uri)
    objects, prefix = objects_at(top, options, patience)
    fits = _fits(uri.removeprefix(top)) if is_pattern(uri) else None
    if fits is None and prefix and not prefix.endswith("/"):
        if found := objects.find(prefix):
            name = prefix.rpartition("/")[2]
            return [Listed(name, uri, found.size, found.modified_ns, found.etag)]
        prefix += "/"
    found_all = []
    for found in objects.listed(prefix):
        name = found.key.removeprefix(prefix)
        if fits.fullmatch(name) if fits else hidden or not is_hidden(name):
            found_all.append(Listed(name, objects.uri(found.key), found.size, found.modified_ns, found.etag))
    return sorted(found_all, key=lambda f: f.name)


def is_pattern(uri: str) -> bool:
    return _MAGIC.search(uri) is not None


def fixed_part(uri: str) -> str:
    """Of a pattern, up to the last slash before its first * ? or [; anything else whole."""
    magic = _MAGIC.search(uri)
    return uri if magic is None else uri[: uri.rindex("/", 0, magic.start()) + 1]


def _fits(pattern: str) -> re.Pattern[str]:
    """glob to re: fnmatch would let * pass slashes."""
    spelled = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return re.compile("".join(spelled.get(p) or (f"[{_class(p)}]" if p[:1] == "[" else re.escape(p)) for p in parts))


def _class(bracketed: str) -> str:
    inside = bracketed[1:-1].replace("\\", "\\\\")
    return f"^{inside[1:]}" if inside.startswith("!") else inside


def is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))
