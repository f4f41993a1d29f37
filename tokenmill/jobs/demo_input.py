"""Real input that every machine with Python has: its standard library, and what its packages say of themselves."""

import ast
import gzip
import html
import json
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

CODE_BYTES = 12_000_000  # of source text at most: enough for a tokenizer and 30 steps, small enough to wait for
PAGES = 1_500  # at most
DATE = "2000-01-01T00:00:00Z"  # of the WARC records: a demo made twice gives the same bytes


def write_inputs(folder: Path) -> dict[str, int]:
    """Write pages.warc.gz, packages.jsonl and code.jsonl into `folder`; records written, by file."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "pages.warc.gz": _write_warc(folder / "pages.warc.gz", _pages()),
        "packages.jsonl": _write_jsonl(folder / "packages.jsonl", _packages()),
        "code.jsonl": _write_jsonl(folder / "code.jsonl", _code()),
    }


def _stdlib() -> Iterator[tuple[str, str]]:
    """Path within the standard library and text of each of its modules, tests of it left out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if {"test", "tests", "site-packages", "dist-packages", "idlelib"} & set(name.parts):
            continue
        try:
            yield name.as_posix(), path.read_text("utf-8")
        except (UnicodeDecodeError, OSError):
            continue


def _code() -> Iterator[dict[str, object]]:
    written = 0
    for name, text in _stdlib():
        written += len(text)
        if written > CODE_BYTES:
            return
        yield {"id": name, "text": text, "url": f"file:///python/{name}", "language": "python"}


def _packages() -> Iterator[dict[str, object]]:
    """The long description of every installed package, and a copy under another name, as crawls have them."""
    for package in sorted(metadata.distributions(), key=lambda d: d.metadata["Name"] or ""):
        description = package.metadata.json.get("description")
        if isinstance(description, str) and description.strip():
            name = package.metadata["Name"]
            yield {"id": name, "text": description, "summary": package.metadata["Summary"]}
            yield {"id": f"mirror/{name}", "text": f"{description}\nMirrored.", "summary": package.metadata["Summary"]}


def _pages() -> Iterator[tuple[str, str]]:
    """A documentation page per module that explains itself: its docstrings as HTML."""
    made = 0
    for name, text in _stdlib():
        try:
            page = _page(name, ast.parse(text))
        except (SyntaxError, ValueError):
            continue
        if page is not None:
            yield f"https://docs.example/{name.removesuffix('.py')}.html", page
            made += 1
        if made == PAGES:
            return


def _page(name: str, module: ast.Module) -> str | None:
    if not ast.get_docstring(module):
        return None
    parts = [f"<h1>{html.escape(name)}</h1>", _paragraphs(ast.get_docstring(module) or "")]
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and (said := ast.get_docstring(node)):
            parts += [f"<h2>{html.escape(node.name)}</h2>", _paragraphs(said)]
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/index.html'>Index</a></li></ul></nav>"
    head = f"<head><title>{html.escape(name)}</title></head>"
    return f"<!doctype html><html lang=en>{head}<body>{menu}<main>{''.join(parts)}</main></body></html>"


def _paragraphs(docstring: str) -> str:
    return "".join(f"<p>{html.escape(' '.join(p.split()))}</p>" for p in docstring.split("\n\n") if p.strip())


def _write_warc(path: Path, pages: Iterator[tuple[str, str]]) -> int:
    """A WARC with a gzip member per record, as crawlers write it."""
    count = 0
    with path.open("wb") as file:
        file.write(_member("warcinfo", None, b"software: tokenmill demo\r\n", "application/warc-fields", 0))
        for count, (url, page) in enumerate(pages, 1):
            body = page.encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
            file.write(_member("response", url, head.encode() + body, "application/http; msgtype=response", count))
    return count


def _member(kind: str, url: str | None, block: bytes, content_type: str, number: int) -> bytes:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Date: {DATE}",
        f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012d}>",
    ]
    lines += [f"WARC-Target-URI: {url}"] if url else []
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(block)}"]
    return gzip.compress("\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n", mtime=0)


def _write_jsonl(path: Path, rows: Iterator[dict[str, object]]) -> int:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)
