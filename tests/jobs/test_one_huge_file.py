"""One huge file is cut into shards by its bytes alone, and comes out as if it had not been cut."""

import gzip
import json
import random
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmill.ingest import jsonl, parquet, web_archive
from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

SMALL = 20_000  # bytes a split, instead of 64 MiB


def record(number: int, body: bytes, media: str = "text/html; charset=utf-8") -> bytes:
    block = f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\n\r\n".encode() + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number:032d}>\r\n"
        "WARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: http://example.com/{number}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def page(number: int) -> bytes:
    rng = random.Random(number)
    words = " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(300))
    return record(number, f"<html><body><main><p>page {number} {words}</p></main></body></html>".encode())


def stored(data: bytes) -> bytes:
    """A gzip member that stores its content as it is, as compressors do with what is compressed already."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def archive_within_an_archive(compress: bool) -> bytes:
    """Pages, then a download that is itself a WARC of 60 kB, then pages."""
    pack = gzip.compress if compress else bytes
    inner = b"".join(pack(page(n)) for n in range(1000, 1060))
    download = record(500, inner, "application/octet-stream")
    outer = [pack(page(n)) for n in range(20)]
    outer.append(stored(download) if compress else download)
    return b"".join([*outer, *(pack(page(n)) for n in range(20, 40))])


def run(source: Path, out: Path, workers: int = 1) -> Manifest:
    assert main(["run", "extract", "--source", str(source), "--out", str(out), "--workers", str(workers)]) == 0
    assert verify(out).problems == []
    return Manifest.load(out)


def documents(out: Path) -> list[tuple[str, str]]:
    """(id, text) in the order of shards and rows."""
    tables = [pq.read_table(p, columns=["id", "text"]) for p in sorted((out / "documents").iterdir())]
    whole = pa.concat_tables(tables)
    return list(zip(whole["id"].to_pylist(), whole["text"].to_pylist(), strict=True))


@pytest.mark.parametrize("compress", [True, False], ids=["gzip per record", "plain"])
def test_a_warc_within_a_warc_is_not_mistaken_for_records(tmp_path, monkeypatch, capsys, compress):
    file = tmp_path / f"a.warc{'.gz' if compress else ''}"
    file.write_bytes(archive_within_an_archive(compress))
    whole = run(file, tmp_path / "whole")
    monkeypatch.setattr(web_archive, "SPLIT_BYTES", SMALL)
    parts = run(file, tmp_path / "parts")
    assert "moved ranges" in capsys.readouterr().err  # some range did begin at a record of the inner archive
    assert len(parts.of_kind("ledger")) > 3
    assert documents(tmp_path / "parts") == documents(tmp_path / "whole")
    assert parts.totals["records"] == whole.totals["records"] == {"response: application/octet-stream": 1}
    assert run(file, tmp_path / "two", workers=2).identity == parts.identity


def test_a_large_jsonl_is_cut_at_lines(tmp_path, monkeypatch):
    lines = [json.dumps({"text": f"line {n} " + "x" * random.Random(n).randint(0, 900), "id": n}) for n in range(300)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    run(tmp_path / "a.jsonl", tmp_path / "whole")
    monkeypatch.setattr(jsonl, "SPLIT_BYTES", SMALL)
    parts = run(tmp_path / "a.jsonl", tmp_path / "parts")
    assert len(parts.of_kind("ledger")) > 3
    assert documents(tmp_path / "parts") == documents(tmp_path / "whole")
    assert len(documents(tmp_path / "whole")) == 300


def test_a_large_parquet_is_cut_at_row_groups(tmp_path, monkeypatch):
    table = pa.table({"text": [f"row {n} " + "y" * 400 for n in range(400)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20)
    run(tmp_path / "a.parquet", tmp_path / "whole")
    monkeypatch.setattr(parquet, "SPLIT_BYTES", SMALL)
    parts = run(tmp_path / "a.parquet", tmp_path / "parts")
    assert len(parts.of_kind("ledger")) > 3
    assert documents(tmp_path / "parts") == documents(tmp_path / "whole")
    assert len(documents(tmp_path / "whole")) == 400
