"""JSON lines: whole, cut, compressed, and with every kind of bad line."""

import gzip
import json
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.reading import REAL, read

from tokenmill.core.errors import DataError
from tokenmill.core.source import File
from tokenmill.ingest import jsonl
from tokenmill.ingest.limits import MAX_RECORD_BYTES, SPLIT_BYTES


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in records)


def test_fields_of_ours_are_columns_and_the_others_are_meta_in_canonical_form():
    data = '{"b": {"y": 1.50, "x": [null, "é"]}, "text": "t\\u0000", "url": "u", "language": "en", "a": 1234567890123}'
    (row,) = read("a.jsonl", data.encode()).rows
    assert (row["text"], row["url"], row["language"], row["source"]) == ("t\0", "u", "en", "web")
    assert row["meta"] == '{"a":1234567890123,"b":{"x":[null,"\\u00e9"],"y":1.5}}'


def test_a_null_field_is_no_field_and_one_of_another_type_is_meta():
    rows = read("a.jsonl", lines({"text": "x", "url": None, "id": None}, {"text": "x", "url": 5, "id": [1]})).rows
    assert [row["meta"] for row in rows] == [None, '{"id":[1],"url":5}']


def test_an_own_id_decides_the_id_and_else_the_text():
    rows = read("a.jsonl", lines({"text": "x", "id": "1"}, {"text": "y", "id": "1"}, {"text": "x"}, {"text": "x"})).rows
    a, b, c, d = (row["id"] for row in rows)
    assert a == b and c == d and a != c
    # An own id that reads like another document's text is still another thing.
    assert len({row["id"] for row in read("a.jsonl", lines({"text": "x"}, {"text": "y", "id": "x"})).rows}) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "invalid UTF-8"),
        (b'{"text": "x"', "invalid JSON"),
        (b'{"text": "x"} {"text": "y"}', "invalid JSON"),
        (b'{"text": "x", "n": NaN}', "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b'["text"]', "not a JSON object"),
        (b"3", "not a JSON object"),
        (b'{"txt": "x"}', "no text"),
        (b'{"text": null}', "text is null"),
        (b'{"text": ["x"]}', "text is not a string"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
        (b'{"text": "x", "url": "\\uDFFF"}', "lone surrogate"),
        (b'{"text": "x", "n": 1e999}', "number out of range"),
    ],
)
def test_a_bad_line_costs_itself_alone(line, reason):
    found = read("a.jsonl", b'{"text": "a"}\n' + line + b'\n\n  \r\n{"text": "b"}')
    assert [(r["text"], r["error"]) for r in found.rows] == [("a", None), (None, reason), ("b", None)]


def test_a_pair_of_surrogates_is_a_character_and_a_separator_no_line_end():
    found = read("a.jsonl", '{"text": "\\ud83d\\ude00 \u2028 \x85"}\r\n'.encode())
    assert found.texts() == ["\U0001f600 \u2028 \x85"]


def test_a_byte_order_mark_before_the_first_line_is_skipped():
    assert read("a.jsonl", b"\xef\xbb\xbf" + lines({"text": "x"})).texts() == ["x"]


def test_an_empty_file_is_one_split_without_rows():
    for name in ("a.jsonl", "a.jsonl.gz"):
        found = read(name, b"")
        assert (found.rows, len(found.ends)) == ([], 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=12),
    st.booleans(),
    st.lists(st.integers(1, 400), max_size=6),
    st.sampled_from([1, 50, 10_000]),
)
def test_ranges_and_batches_never_change_the_rows(texts, ends_in_line_end, cuts, batch_bytes):
    data = lines(*({"text": t} for t in texts))
    data = data if ends_in_line_end else data[:-1]
    cuts = sorted({c for c in cuts if c < len(data)})
    found = read("a.jsonl", data, cuts=cuts, batch_bytes=batch_bytes)
    assert (found.texts(), found.errors) == (texts, [])


def test_a_line_over_the_limit_is_passed_without_being_held_and_its_neighbours_are_read():
    long = b'{"text": "' + b"x" * (3 * MAX_RECORD_BYTES) + b'"}'
    data = lines({"text": "a"}) + long + b"\n" + lines({"text": "b"})
    reason = f"record of {len(long)} bytes, limit {MAX_RECORD_BYTES}"
    for name, file in (("a.jsonl", data), ("a.jsonl.zst", zstandard.compress(data))):
        found = read(name, file)
        assert [(r["text"], r["error"]) for r in found.rows] == [("a", None), (None, reason), ("b", None)]
    just_over = b'{}\n{"text": "' + b"y" * MAX_RECORD_BYTES + b'"}\n'
    held, passed = (read("a.jsonl", just_over, batch_bytes=n).rows for n in (1 << 24, 1))
    assert held == passed
    assert held[1]["error"] == f"record of {len(just_over) - 4} bytes, limit {MAX_RECORD_BYTES}"


def test_large_plain_files_are_cut_and_small_or_compressed_ones_are_not():
    file = File(name="a.jsonl", uri="", size=2 * SPLIT_BYTES + 1)
    cuts = [(s.start, s.stop) for s in jsonl.splits(file, b"{", "")]
    assert cuts == [(0, SPLIT_BYTES), (SPLIT_BYTES, 2 * SPLIT_BYTES), (2 * SPLIT_BYTES, 2 * SPLIT_BYTES + 1)]
    assert len(jsonl.splits(file, b"", "gz")) == 1


def test_a_json_array_is_refused_by_name():
    array = b' [{"text": "x"}]'
    for name, data in (("a.json", array), ("a.json.gz", gzip.compress(array))):
        with pytest.raises(DataError, match=rf"{name}: holds a JSON array"):
            read(name, data)


def test_members_and_frames_are_read_through():
    parts = [lines({"text": str(i)}) for i in range(5)]
    data = b"".join(parts)
    pieces = [data[:10], data[10:30], data[30:]]
    assert read("a.json.gz", b"".join(map(gzip.compress, pieces))).texts() == list("01234")
    assert read("a.jsonl.zst", b"".join(map(zstandard.compress, pieces))).texts() == list("01234")


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_truncated_file_gives_the_lines_before_and_one_error(ending):
    rng = random.Random(1)
    texts = [rng.randbytes(30).hex() for _ in range(300)]
    data = lines(*({"text": t} for t in texts))
    packed = gzip.compress(data) if ending == "gz" else zstandard.compress(data)
    for size in (len(packed) - 1, len(packed) // 2, 40, 1):
        found = read(f"a.jsonl.{ending}", packed[:size])
        assert found.texts() == texts[: len(found.good)]
        assert found.errors == [f"truncated {'gzip' if ending == 'gz' else 'zstd'}"]
        assert found.rows[-1]["error"] is not None
    assert len(read("a.jsonl.gz", gzip.compress(data)[:-1]).good) == 300


def test_a_corrupt_gzip_gives_the_lines_before_and_says_where():
    rng = random.Random(1)
    texts = [rng.randbytes(30).hex() for _ in range(300)]
    packed = [gzip.compress(lines({"text": t})) for t in texts]
    data = bytearray(b"".join(packed))
    at = sum(map(len, packed[:200]))
    data[at] ^= 0xFF  # the magic number of member 200
    found = read("a.jsonl.gz", bytes(data))
    assert found.texts() == texts[:200]
    (reason,) = found.errors
    assert reason.startswith("corrupt gzip at byte ")
    assert at <= int(reason.split()[-1]) <= at + 2  # zlib looks at two bytes before it objects


def test_bit_flips_cost_the_lines_they_touch():
    rng = random.Random(2)
    texts = [rng.randbytes(rng.randrange(60)).hex() for _ in range(40)]
    parts = [lines({"text": t}) for t in texts]
    data = b"".join(parts)
    owner = [i for i, part in enumerate(parts) for _ in part]
    for _ in range(300):
        at = rng.randrange(len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.randrange(8)
        found = read("a.jsonl", bytes(damaged)).texts()
        # A line feed that is gone joins two lines.
        touched = {owner[at], owner[at] + 1} if data[at] == 10 else {owner[at]}
        wanted = [t for i, t in enumerate(texts) if i not in touched]
        it = iter(found)
        assert all(t in it for t in wanted), at


def test_bit_flips_and_cuts_in_compressed_files_never_crash():
    rng = random.Random(3)
    texts = [rng.randbytes(20).hex() for _ in range(100)]
    data = lines(*({"text": t} for t in texts))
    for name, packed in (("a.jsonl.gz", gzip.compress(data)), ("a.jsonl.zst", zstandard.compress(data))):
        for _ in range(150):
            damaged = bytearray(packed[: rng.randrange(1, len(packed) + 1)])
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            found = read(name, bytes(damaged))
            assert len(found.rows) <= 102


def test_real_files_give_one_row_per_line():
    path = REAL / "webtext" / "c4_demo.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    found = read("c4_demo.jsonl.gz", path.read_bytes())
    wanted = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert found.texts() == [r["text"] for r in wanted]
    assert [r["url"] for r in found.rows] == [r.get("url") for r in wanted]
