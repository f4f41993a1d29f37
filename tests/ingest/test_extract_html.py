"""Pages to text, whatever their charset, size and damage."""

import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.reading import REAL
from resiliparse.extract.html2text import extract_plain_text

from tokenmill.core.document import RECORD
from tokenmill.core.errors import RecipeError
from tokenmill.ingest.extract_html import ExtractHtml


def batch(*rows: dict) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": "0" * 32, "source": "s", **row} for row in rows], RECORD)


def extract(html: bytes, charset: str | None = None, **parameters) -> tuple[str | None, str | None]:
    out = ExtractHtml(**parameters).apply(batch({"html": html, "charset": charset}))
    assert out.schema.equals(RECORD)
    assert out["html"].null_count == 1
    return out["text"][0].as_py(), out["error"][0].as_py()


def test_a_page_gets_the_text_of_its_main_content():
    html = b"<body><nav><a href=x>Home</a><a href=y>About</a></nav><main><h1>Title</h1><p>Some words.</main>"
    assert extract(html) == ("Title\n\nSome words.", None)
    assert "About" in (extract(html, main_content=False)[0] or "")


def test_a_page_without_text_is_an_empty_document():
    assert extract(b"<script>x()</script>") == ("", None)
    assert extract(b"") == ("", None)


@pytest.mark.parametrize(
    ("html", "charset"),
    [
        pytest.param("<p>日本語の文章です".encode("euc_jp"), "euc-jp", id="declared by the protocol"),
        pytest.param("<p>日本語の文章です".encode(), None, id="UTF-8 unsaid"),
        pytest.param("<meta charset=shift_jis><p>日本語の文章です".encode("shift_jis"), None, id="by the page"),
        pytest.param(b"\xef\xbb\xbf" + "<p>日本語の文章です".encode(), "latin1", id="a BOM before the header"),
        pytest.param("\ufeff<p>日本語の文章です".encode("utf-16-le"), None, id="UTF-16 by its BOM"),
        pytest.param("<meta charset=iso-2022-jp><p>日本語の文章です".encode("iso2022_jp"), None, id="7-bit"),
        pytest.param("<p>日本語の文章です".encode(), "no-such-charset", id="an unknown label"),
    ],
)
def test_the_charset_is_found(html, charset):
    assert extract(html, charset) == ("日本語の文章です", None)


def test_bytes_outside_the_charset_are_replaced():
    assert extract(b"<p>a\xffb", "utf-8") == ("a\ufffdb", None)


def test_references_to_surrogates_leave_valid_text():
    text, _ = extract(b"<p>a&#xD800;b")
    assert text is not None and text.encode()


def test_too_large_and_too_deep_pages_are_errors_and_take_no_time():
    assert extract(b"x" * 101, max_html_bytes=100) == (None, "HTML of 101 bytes, limit 100")
    assert extract(b"<div>" * 200_000) == (None, "HTML nested 200000 deep, limit 4000")
    assert extract(b"<p>x</p>" * 20_000)[1] is None  # many, but side by side
    assert extract(b"<p>x" * 20_000)[1] is None  # the next p closes the last


def test_only_pages_without_text_and_error_are_read():
    out = ExtractHtml().apply(
        batch({"text": "kept", "html": b"<p>x"}, {"error": "bad", "html": b"<p>x"}, {"text": ""}, {"html": b"<p>y"}, {})
    )
    assert out["text"].to_pylist() == ["kept", None, "", "y", None]
    assert out["error"].to_pylist() == [None, "bad", None, None, None]
    assert out["html"].null_count == 5


def test_slices_and_pickles_give_the_same():
    rows = batch(*({"html": f"<p>{i}".encode()} for i in range(5)))
    stage = pickle.loads(pickle.dumps(ExtractHtml()))
    assert stage.apply(rows.slice(2, 2))["text"].to_pylist() == ["2", "3"]


def test_wrong_parameters_are_refused():
    with pytest.raises(RecipeError, match="max_depth=0"):
        ExtractHtml(max_depth=0)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "utf-16", "gb18030", "iso-2022-jp", "utf-7", "x"]))
def test_any_bytes_give_text_or_an_error(html, charset):
    text, error = extract(html, charset)
    assert (text is None) != (error is None)


def test_real_pages_equal_resiliparse_on_the_decoded_page():
    path = REAL / "html" / "mozilla_readability.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    table = pq.read_table(path)
    column = next(f.name for f in table.schema if "html" in f.name and "expected" not in f.name)
    pages = [p if isinstance(p, bytes) else p.encode() for p in table[column].to_pylist()[:40]]
    out = ExtractHtml().apply(batch(*({"html": p, "charset": "utf-8"} for p in pages)))
    wanted = [extract_plain_text(p.decode(), main_content=True, alt_texts=False) for p in pages]
    assert out["text"].to_pylist() == wanted
    assert sum(map(len, wanted)) > 100_000
