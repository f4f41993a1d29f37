"""Bodies as servers sent them and as crawlers stored them."""

import gzip
import zlib

import brotli
import pytest

from tokenmill.ingest.http import charset, media_type, response
from tokenmill.ingest.limits import MAX_RECORD_BYTES

PAGE = b"<p>hello, world</p>" * 20
RAW_DEFLATE = zlib.compressobj(wbits=-15)
BARE = RAW_DEFLATE.compress(PAGE) + RAW_DEFLATE.flush()


def block(body: bytes, *headers: bytes, line_end: bytes = b"\r\n") -> bytes:
    return line_end.join((b"HTTP/1.1 200 OK", *headers)) + line_end * 2 + body


def chunked(data: bytes, size: int = 7) -> bytes:
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", gzip.compress(PAGE)),
        (b"x-gzip", gzip.compress(PAGE)),
        (b"deflate", zlib.compress(PAGE)),
        (b"deflate", BARE),
        (b"br", brotli.compress(PAGE)),
        (b"identity", PAGE),
        (b"deflate, gzip", gzip.compress(zlib.compress(PAGE))),
        (b"unheard-of", PAGE),
    ],
)
def test_encodings_are_undone_chunked_or_not(encoding, body):
    assert response(block(body, b"Content-Encoding: " + encoding)).data == PAGE
    found = response(block(chunked(body), b"Transfer-Encoding: chunked", b"content-encoding: " + encoding))
    assert (found.data, found.damage, found.error) == (PAGE, None, None)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
def test_a_body_that_the_crawler_had_decoded_is_taken_as_it_is(encoding):
    found = response(block(PAGE, b"Content-Encoding: " + encoding, b"Transfer-Encoding: chunked"))
    assert (found.data, found.damage, found.error) == (PAGE, None, None)


@pytest.mark.parametrize("body", [b"bad\ncab, driver", b"<p>", b"", b"dead beef", b"1"])
def test_a_body_that_is_not_chunked_stays_whole(body):
    assert response(block(body, b"Transfer-Encoding: chunked")).data == body


def test_of_a_cut_body_what_is_there_is_used_and_said_to_be_damaged():
    found = response(block(gzip.compress(PAGE)[:-9], b"Content-Encoding: gzip"))
    assert PAGE.startswith(found.data) and found.data
    assert (found.damage, found.error) == ("truncated encoding of the body", None)
    found = response(block(chunked(PAGE)[:30], b"Transfer-Encoding: chunked"))
    assert PAGE.startswith(found.data) and found.data
    assert found.damage == "truncated chunk"


def test_a_body_that_decodes_to_more_than_the_limit_is_an_error():
    bomb = zlib.compress(b"\0" * (MAX_RECORD_BYTES + 1))
    found = response(block(bomb, b"Content-Encoding: deflate"))
    assert (found.data, found.error) == (b"", f"body of more than {MAX_RECORD_BYTES} bytes")


def test_a_header_may_end_its_lines_with_lf_alone_and_may_lack_a_body():
    found = response(block(PAGE, b"Content-Type: text/html", line_end=b"\n"))
    assert (found.status, found.content_type, found.data) == (200, "text/html", PAGE)
    assert response(b"HTTP/1.0 404 Not Found\r\nServer: x").status == 404
    assert response(b"HTTP/1.0 200\r\n\r\nx").data == b"x"
    assert response(b"<p>no header").status is None


@pytest.mark.parametrize(
    ("declared", "type", "set"),
    [
        ("Text/HTML; charset=UTF-8", "text/html", "utf-8"),
        ('text/html;charset="Shift_JIS"', "text/html", "shift_jis"),
        ("text/html; charset = 'x'; y", "text/html", "x"),
        ("text/html,text/plain", "text/html", None),
        ("nonsense", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_type_and_charset_are_read_as_browsers_do(declared, type, set):
    assert (media_type(declared), charset(declared)) == (type, set)
