"""What kind a file is."""

import gzip
import io

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer

from tokenmill.ingest.formats import Format, format_of, recognised

WARC = b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\n"
JSON = b'{"text": "x"}\n'


def lz4(data: bytes) -> bytes:
    out = io.BytesIO()
    writer = Lz4Writer(out)
    writer.write(data)
    writer.close()
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "head", "family", "compression"),
    [
        ("a.jsonl", JSON, "jsonl", ""),
        ("a.JSON.GZ", gzip.compress(JSON), "jsonl", "gz"),
        ("a.jsonl.zst", zstandard.compress(JSON), "jsonl", "zst"),
        ("a.parquet", b"PAR1", "parquet", ""),
        ("CC-MAIN.warc.gz", gzip.compress(WARC), "warc", "gz"),
        ("CC-MAIN.warc.wet.gz", gzip.compress(WARC), "warc", "gz"),
        ("a.wat", WARC, "warc", ""),
        ("a.warc.lz4", lz4(WARC), "warc", "lz4"),
        ("a.warc.zst", zstandard.compress(WARC), "warc", "zst"),
        ("a.arc.gz", gzip.compress(b"filedesc://a"), "arc", "gz"),
        pytest.param("a.jsonl", gzip.compress(JSON), "jsonl", "gz", id="gzip under a plain name"),
        pytest.param("a.jsonl.gz", b"", "jsonl", "gz", id="an empty file is what its name says"),
        pytest.param("a.warc.gz.bad", gzip.compress(WARC), "warc", "gz", id="odd ending, gzip"),
        pytest.param("a.dat", WARC, "warc", "", id="odd ending, WARC"),
        pytest.param("a", b"filedesc://x 0.0.0.0", "arc", "", id="no ending, ARC"),
        pytest.param("part-0", b"PAR1\x15", "parquet", "", id="no ending, Parquet"),
        pytest.param("a.gz", gzip.compress(JSON), "jsonl", "gz", id="only compression, JSON"),
        pytest.param("a.bin", zstandard.compress(WARC), "warc", "zst", id="odd ending, zstd"),
        pytest.param("a.bin", lz4(WARC), "warc", "lz4", id="odd ending, lz4"),
    ],
)
def test_by_name_and_else_by_first_bytes(name, head, family, compression):
    assert format_of(name, head) == Format(family, compression)
    assert recognised(name, head)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("README.md", b"# x"),
        ("a.bin", b""),
        ("a.gz", b"\x1f\x8b\x08 not gzip"),
        ("a.gz", gzip.compress(b"other")),
        ("a.zst", b"\x28\xb5\x2f\xfd broken"),
        ("a.parquet.gz", gzip.compress(b"PAR1")),
        ("a.css", b"{ color: red }"),
    ],
)
def test_what_is_of_no_known_kind_is_told(name, head):
    assert not recognised(name, head)
