"""WARC and ARC files, whole, cut, compressed in every way, and damaged."""

import gzip
import io
import json
import random
from dataclasses import replace

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer
from ingest.reading import REAL, bytes_opener, gzipped, http, page, read, read_splits, record_ids, warc_record

from tokenmill.core.source import File
from tokenmill.ingest.files import Files
from tokenmill.ingest.limits import MAX_RECORD_BYTES

RNG_SEED = 20240101


def some_records(n: int, seed: int = RNG_SEED) -> list[bytes]:
    """Pages of 0 to 3,000 random bytes, with other kinds between them."""
    rng = random.Random(seed)
    records = [warc_record(b"software: x\r\n", kind="warcinfo", content_type="application/warc-fields", id="info")]
    for i in range(n):
        if rng.random() < 0.3:
            records.append(warc_record(b"GET / HTTP/1.1\r\n\r\n", kind="request", id=f"q{i}"))
        records.append(page(str(i), b"<p>" + rng.randbytes(rng.randrange(3000))))
    return records


def lz4(data: bytes) -> bytes:
    out = io.BytesIO()
    writer = Lz4Writer(out)
    writer.write(data)
    writer.close()
    return out.getvalue()


def test_a_page_is_a_row_with_its_bytes_and_facts():
    row = read("a.warc", page("1", "<p>h\xe9".encode("latin-1"), content_type='text/HTML; Charset="ISO-8859-1"')).rows[
        0
    ]
    assert (row["text"], row["html"], row["charset"]) == (None, b"<p>h\xe9", "iso-8859-1")
    assert (row["url"], row["source"], row["error"]) == ("http://a.example/1", "web", None)
    assert json.loads(row["meta"]) == {
        "content_type": 'text/HTML; Charset="ISO-8859-1"',
        "date": "2024-01-01T00:00:00Z",
        "record_id": "<urn:1>",
    }


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (page("1", status=404), "response: status 404"),
        (page("1", content_type="image/png"), "response: image/png"),
        (page("1", content_type="image/x-odd"), "response: image/*"),
        (page("1", content_type="weird/thing"), "response: other type"),
        (page("1", b"\x00\x01", content_type=""), "response: no type"),
        (warc_record(b"log", kind="resource", content_type="text/plain"), "resource: text/plain"),
        (warc_record(b"x", kind="metadata", content_type="text/anvl"), "metadata"),
        (warc_record(http(b""), kind="revisit"), "revisit"),
        (warc_record(b"x", kind="invented"), "other"),
    ],
)
def test_what_is_no_document_is_counted_by_kind(record, kind):
    reading = read("a.warc", record)
    assert (reading.rows, reading.passed_over) == ([], {kind: 1})


@pytest.mark.parametrize(
    ("record", "text", "html"),
    [
        pytest.param(page("1", "é".encode(), content_type="text/plain"), "é", None, id="plain text"),
        pytest.param(page("1", b"\xe9", content_type="text/plain; charset=latin1"), "é", None, id="in its charset"),
        pytest.param(
            warc_record("né".encode(), kind="conversion", content_type="text/plain"), "né", None, id="a conversion"
        ),
        pytest.param(
            warc_record(b"<p>", kind="resource", content_type="text/html"), None, b"<p>", id="a resource of HTML"
        ),
        pytest.param(warc_record(b"<p>", content_type="text/html"), None, b"<p>", id="HTML without HTTP"),
        pytest.param(page("1", b"<!DOCTYPE  html><p>", content_type=""), None, b"<!DOCTYPE  html><p>", id="no type"),
        pytest.param(page("1", b""), None, b"", id="an empty page"),
    ],
)
def test_text_and_html_are_documents(record, text, html):
    (row,) = read("a.warc", record).good
    assert (row["text"], row["html"]) == (text, html)


def test_every_compression_gives_the_same_rows():
    records = some_records(30)
    plain = b"".join(records)
    wanted = read("a.warc", plain)
    assert len(wanted.good) == 30
    for name, data in {
        "a.warc.gz": gzipped(records),
        "whole.warc.gz": gzip.compress(plain),
        "blocks.warc.gz": gzipped(plain[i : i + 777] for i in range(0, len(plain), 777)),
        "a.warc.zst": zstandard.compress(plain),
        "frames.warc.zst": b"".join(map(zstandard.compress, records)),
        "a.warc.lz4": lz4(plain),
    }.items():
        found = read(name, data)
        assert (found.rows, found.passed_over) == (wanted.rows, wanted.passed_over), name


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_ranges_share_the_records_without_loss_or_repetition_and_chain(compressed, seed):
    rng = random.Random(seed)
    records = some_records(25, seed)
    data = gzipped(records) if compressed else b"".join(records)
    name = "a.warc.gz" if compressed else "a.warc"
    cuts = sorted(rng.sample(range(1, len(data)), rng.randrange(1, 12)))
    whole, parts = read(name, data), read(name, data, cuts=cuts)
    assert (parts.rows, parts.passed_over) == (whole.rows, whole.passed_over)
    assert parts.ends[0][0] == 0 and parts.ends[-1][1] == len(data)
    for (_, ended), (began, _) in zip(parts.ends, parts.ends[1:], strict=False):
        assert ended == began


def test_a_range_in_which_no_record_begins_is_empty_and_says_where_the_next_one_is():
    data = page("1", b"x" * 5000) + page("2")
    second = data.index(b"WARC/1.0", 10)
    parts = read("a.warc", data, cuts=[1000, 2000, 3000])
    assert parts.ends == [(0, second), (second, second), (second, second), (second, len(data))]
    assert record_ids(parts.rows) == ["1", "2"]


def test_a_cut_on_a_record_start_gives_that_record_to_the_second_range():
    data = page("1") + page("2")
    second = data.index(b"WARC/1.0", 10)
    assert read("a.warc", data, cuts=[second]).ends == [(0, second), (second, len(data))]


def test_an_archive_inside_an_archive_misleads_a_searched_range_and_the_ends_show_it():
    inner = page("inner", b"y" * 3000)
    data = page("1", b"x" * 100 + b"\r\n\r\n" + inner, content_type="text/html") + page("2")
    parts = read("a.warc", data, cuts=[200])
    assert parts.ends[0][1] != parts.ends[1][0]


def test_a_range_that_is_not_searched_begins_where_it_says():
    data = page("1") + page("2") + page("3")
    second = data.index(b"WARC/1.0", 10)
    files = Files(name="web", files=(File(name="a.warc", uri="", size=len(data)),))
    split = replace(files.splits(bytes_opener(data))[0], start=second)
    assert record_ids(read_splits(files, [split], bytes_opener(data)).rows) == ["2", "3"]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_bit_flips_cost_the_record_they_hit_and_no_other(name):
    rng = random.Random(RNG_SEED)
    records = some_records(12)
    parts = [gzipped([r]) for r in records] if name.endswith("gz") else records
    data = b"".join(parts)
    owner = [i for i, part in enumerate(parts) for _ in part]
    whole = {row["id"]: row for row in read(name, data).rows}
    id_of = {row["url"]: row["id"] for row in whole.values()}
    urls = [r.split(b"WARC-Target-URI: ")[1].split(b"\r\n")[0].decode() for r in records]
    for _ in range(250):
        at = rng.randrange(len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.randrange(8)
        found = read(name, bytes(damaged))
        kept = {row["id"]: row for row in found.good}
        for i, url in enumerate(urls):
            if i != owner[at] and url in id_of:
                assert kept.get(id_of[url]) == whole[id_of[url]], (at, bin(damaged[at]), url)
        assert len(found.errors) <= 2


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "whole.warc.gz", "a.warc.zst"])
def test_a_truncated_file_gives_the_records_before_and_one_error_at_the_end(name):
    rng = random.Random(RNG_SEED)
    records = some_records(12)
    plain = b"".join(records)
    data = {
        "a.warc": plain,
        "a.warc.gz": gzipped(records),
        "whole.warc.gz": gzip.compress(plain),
        "a.warc.zst": zstandard.compress(plain),
    }[name]
    whole = read(name, data).rows
    ends = [0]
    for record in records:
        ends.append(ends[-1] + len(gzipped([record]) if name == "a.warc.gz" else record))
    for size in [1, 2, 5, *(rng.randrange(10, len(data)) for _ in range(60))]:
        found = read(name, data[:size])
        assert found.good == whole[: len(found.good)]
        assert len(found.errors) <= 1
        if name in ("a.warc", "a.warc.gz"):
            # A record is whole with its line ends or without: they are no part of it.
            pages = sum(b"WARC-Type: response" in r for r, end in zip(records, ends[1:], strict=True) if end <= size)
            assert len(found.good) >= pages
            assert found.errors or size in ends or data[size:].lstrip(b"\r\n")[:4] in (b"WARC", b"")


def test_damage_is_named_and_a_row_of_its_own():
    parts = [gzipped([page(str(i), random.Random(i).randbytes(2000))]) for i in range(3)]
    second = len(parts[0])
    broken = bytearray(b"".join(parts))
    broken[second + 1000] ^= 0xFF
    found = read("a.warc.gz", bytes(broken))
    assert record_ids(found.good) == ["0", "2"]
    (reason,) = found.errors
    assert reason.startswith("corrupt gzip at byte ")
    assert second + 1000 <= int(reason.split()[-1]) <= second + len(parts[1])
    assert read("a.warc.gz", b"".join(parts)[:-20]).errors == ["truncated gzip"]


@pytest.mark.parametrize(
    ("length", "error"), [(b"90", "record goes on beyond its length of 90 bytes"), (b"999999", "truncated record")]
)
def test_a_wrong_length_costs_only_its_record(length, error):
    first = page("1", b"<p>" + b"x" * 500)
    at = first.index(b"Content-Length: ") + 16
    end = first.index(b"\r\n", at)
    found = read("a.warc", page("0") + first[:at] + length + first[end:] + page("2"))
    assert (record_ids(found.good), found.errors) == (["0", "2"], [error])


def test_a_record_over_the_limit_is_an_error_and_its_neighbours_are_read():
    big = page("big", b"z" * (MAX_RECORD_BYTES + 1))
    records = [page("0"), big, page("2")]
    for name, data in (("a.warc", b"".join(records)), ("a.warc.gz", gzipped(records))):
        found = read(name, data)
        assert record_ids(found.good) == ["0", "2"]
        assert found.errors == [f"record of {len(http(b'')) + MAX_RECORD_BYTES + 1} bytes, limit {MAX_RECORD_BYTES}"]


def test_a_claim_of_a_huge_record_is_not_believed_where_it_can_be_checked():
    lying = page("1").replace(b"Content-Length: ", b"Content-Length: 99999999999")
    found = read("a.warc", page("0") + lying + page("2"))
    assert (record_ids(found.good), found.errors) == (["0", "2"], ["truncated record"])


def test_ids_follow_the_record_and_the_source_not_the_file():
    one, other = page("1", b"<p>x"), page("2", b"<p>x")
    a = read("a.warc", one + other).rows
    b = read("dir/b.warc.gz", gzipped([other, one])).rows
    assert [r["id"] for r in a] == [r["id"] for r in reversed(b)]
    assert a[0]["id"] != a[1]["id"]
    assert read("a.warc", one, source="another").rows[0]["id"] != a[0]["id"]


def test_zeros_behind_the_last_member_are_padding():
    assert read("a.warc.gz", gzipped([page("1")]) + b"\0" * 512).errors == []


ARC = (
    b"filedesc://a.arc 127.0.0.1 20140216050221 text/plain 75\n"
    b"1 0 LiveWeb Capture\nURL IP-address Archive-date Content-type Archive-length\n\n"
)


def arc_record(url: str, block: bytes) -> bytes:
    return f"{url} 1.2.3.4 20140216050221 text/html {len(block)}\n".encode() + block + b"\n"


def test_arc_pages_are_rows_whatever_their_url_looks_like():
    data = ARC + arc_record("http://a.example/1", http(b"<p>1")) + arc_record("http://a.example/x y", http(b"<p>2"))
    found = read("a.arc", data)
    assert [(r["url"], r["html"]) for r in found.good] == [
        ("http://a.example/1", b"<p>1"),
        ("http://a.example/x y", b"<p>2"),
    ]
    assert found.passed_over == {"filedesc": 1}
    assert json.loads(found.rows[0]["meta"])["date"] == "20140216050221"
    assert read("a.arc", data, cuts=[150, 200, 250]).rows == found.rows


@pytest.mark.parametrize("name", ["a.arc", "a.arc.gz"])
def test_bit_flips_in_arc_cost_the_record_they_hit_and_no_other(name):
    rng = random.Random(RNG_SEED)
    records = [ARC] + [arc_record(f"http://a.example/{i}", http(rng.randbytes(rng.randrange(900)))) for i in range(9)]
    parts = [gzipped([r]) for r in records] if name.endswith("gz") else records
    data = b"".join(parts)
    owner = [i for i, part in enumerate(parts) for _ in part]
    whole = read(name, data).rows
    assert len(whole) == 9
    for _ in range(250):
        at = rng.randrange(len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.randrange(8)
        kept = {row["id"]: row for row in read(name, bytes(damaged)).good}
        for i, row in enumerate(whole, start=1):
            assert i == owner[at] or kept.get(row["id"]) == row, (at, i)


def test_a_broken_arc_header_costs_its_record():
    records = [arc_record(f"http://a.example/{i}", http(b"<p>x")) for i in range(3)]
    records[1] = records[1].replace(b" text/html ", b" text/html x")
    found = read("a.arc", ARC + b"".join(records))
    assert (record_ids(found.good), found.errors) == (["0", "2"], ["record without a length"])


# Counted by a scan for "WARC/" at member and line starts, and by grep for the types; see the catalogue for the files.
REAL_FILES = {
    # name: (records in the file, documents, errors)
    "aut_example.arc.gz": (300, 130, 0),
    "aut_example.warc.gz": (822, 130, 0),
    "aut_issue-493.warc": (32, 4, 0),
    "cc_whirlwind/whirlwind.warc": (4, 1, 0),
    "cc_whirlwind/whirlwind.warc.gz": (4, 1, 0),
    "cc_whirlwind/whirlwind.warc.wat": (2, 0, 0),
    "cc_whirlwind/whirlwind.warc.wat.gz": (2, 0, 0),
    "cc_whirlwind/whirlwind.warc.wet": (2, 1, 0),
    "cc_whirlwind/whirlwind.warc.wet.gz": (2, 1, 0),
    "derived_trafilatura.warc.gz": (421, 420, 0),
    "dolma_sample-0000.warc.gz": (48, 22, 0),
    "resiliparse/block-sized-records.warc": (3, 0, 0),
    "resiliparse/clipped.warc.gz": (1, 0, 1),
    "resiliparse/clueweb-quirk.warc.gz": (30, 29, 0),
    "resiliparse/warcfile.warc": (50, 16, 0),
    "resiliparse/warcfile.warc.gz": (50, 16, 0),
    "resiliparse/warcfile.warc.lz4": (50, 16, 0),
    "warcio/bad.arc": (4, 1, 3),
    "warcio/example-bad-non-chunked.warc.gz": (6, 1, 0),
    "warcio/example-bad.warc.gz.bad": (6, 1, 0),
    "warcio/example-digest.warc": (4, 0, 0),
    "warcio/example-iana.org-chunked.warc": (3, 1, 0),
    "warcio/example-resource.warc.gz": (3, 1, 0),
    "warcio/example-space-in-target-uri.warc.gz": (2, 0, 0),
    "warcio/example-space-in-url.arc": (2, 0, 1),
    "warcio/example-trunc.warc": (4, 0, 1),
    "warcio/example-wget-bad-target-uri.warc.gz": (6, 1, 0),
    "warcio/example-wrong-chunks.warc.gz": (2, 1, 0),
    "warcio/example.arc": (2, 1, 0),
    "warcio/example.arc.gz": (2, 1, 0),
    "warcio/example.warc": (6, 1, 0),
    "warcio/example.warc.gz": (6, 1, 0),
    "warcio/post-test.warc.gz": (6, 0, 0),
}


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_every_record_is_a_row_or_counted(name):
    path = REAL / "warc" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = read(name, path.read_bytes())
    records, documents, errors = REAL_FILES[name]
    assert (len(found.good), len(found.errors)) == (documents, errors)
    assert len(found.rows) + found.passed_over.total() == records


@pytest.mark.parametrize("name", ["aut_example.warc.gz", "aut_example.arc.gz", "resiliparse/warcfile.warc"])
def test_real_files_cut_into_ranges_give_the_same_rows(name):
    path = REAL / "warc" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    data = path.read_bytes()
    whole = read(name, data)
    parts = read(name, data, cuts=range(70_001, len(data), 70_001))
    assert (parts.rows, parts.passed_over) == (whole.rows, whole.passed_over)
    assert [ended for _, ended in parts.ends[:-1]] == [began for began, _ in parts.ends[1:]]
