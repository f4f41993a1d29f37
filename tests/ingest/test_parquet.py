"""Parquet files of others and of our own runs."""

import datetime as dt
import decimal
import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest.reading import read

from tokenmill.core.document import DOCUMENT
from tokenmill.core.errors import DataError
from tokenmill.core.source import File
from tokenmill.ingest import parquet
from tokenmill.ingest.limits import SPLIT_BYTES


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def with_invalid_utf8(kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, 3, pa.array([b"a", b"\xff", b"b"], pa.large_binary()).buffers())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_any_kind_of_string_is_text(kind):
    data = parquet_bytes(pa.table({"text": pa.array(["a", "\0é", ""]).cast(kind)}))
    assert read("a.parquet", data).texts() == ["a", "\0é", ""]


def test_other_columns_are_meta_without_their_nulls():
    table = pa.table(
        {
            "text": ["x", "y", "z"],
            "url": ["u", None, None],
            "n": pa.array([1, None, 3]),
            "deep": pa.array([{"b": [1, 2], "a": None}, None, None]),
            "odd": pa.array([1.5, None, float("nan")]),
        }
    )
    found = read("a.parquet", parquet_bytes(table))
    assert [r["meta"] for r in found.rows] == [
        '{"deep":{"a":null,"b":[1,2]},"n":1,"odd":1.5}',
        None,
        '{"n":3,"odd":null}',
    ]
    assert [r["url"] for r in found.rows] == ["u", None, None]


def test_values_that_json_lacks_are_written_as_text():
    table = pa.table(
        {
            "text": ["x"],
            "when": [dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)],
            "price": [decimal.Decimal("1.10")],
            "raw": [b"a\xff"],
            "ids": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    (row,) = read("a.parquet", parquet_bytes(table)).rows
    assert row["meta"] == '{"ids":[["k",1]],"price":"1.10","raw":"a\\\\xff","when":"2024-01-02T03:04:05+00:00"}'


def test_an_own_id_decides_the_id_and_else_the_text():
    by_id = read("a.parquet", parquet_bytes(pa.table({"id": ["1", "1", None], "text": ["a", "b", "b"]}))).rows
    assert by_id[0]["id"] == by_id[1]["id"] != by_id[2]["id"]
    by_text = read("b.parquet", parquet_bytes(pa.table({"text": ["b"]}))).rows
    assert by_text[0]["id"] == by_id[2]["id"]
    as_json = read("a.jsonl", b'{"text": "b"}\n{"text": "a", "id": "1"}').rows
    assert [r["id"] for r in as_json] == [by_id[2]["id"], by_id[0]["id"]]


def test_a_row_without_readable_text_is_an_error_and_its_neighbours_are_read():
    for kind in (pa.string(), pa.large_string()):
        table = pa.table({"text": with_invalid_utf8(pa.large_string()).cast(kind, safe=False)})
        found = read("a.parquet", parquet_bytes(table))
        assert [(r["text"], r["error"]) for r in found.rows] == [("a", None), (None, "invalid UTF-8"), ("b", None)]
    found = read("a.parquet", parquet_bytes(pa.table({"text": ["a", None]})))
    assert [(r["text"], r["error"]) for r in found.rows] == [("a", None), (None, "text is null")]


def test_other_columns_may_hold_anything():
    table = pa.table({"text": ["a", "b", "c"], "title": with_invalid_utf8(pa.large_string())})
    assert [r["meta"] for r in read("a.parquet", parquet_bytes(table)).rows] == ['{"title":"a"}', None, '{"title":"b"}']


def test_the_documents_of_a_run_keep_their_id_source_and_meta():
    rows = [{"id": f"{i:032x}", "text": f"t{i}", "source": "books", "meta": '{"a":1}', "url": None} for i in range(3)]
    data = parquet_bytes(pa.Table.from_pylist(rows, DOCUMENT).append_column("score", pa.array([1.0, 2.0, 3.0])))
    found = read("a.parquet", data, keeps_ids=True).rows
    assert [{k: r[k] for k in rows[0]} for r in found] == rows
    anew = read("a.parquet", data).rows
    assert {r["source"] for r in anew} == {"web"} and anew[0]["id"] != rows[0]["id"]


def test_what_can_never_be_documents_is_refused_by_name():
    with pytest.raises(DataError, match=r"a\.parquet: no readable Parquet file"):
        read("a.parquet", b"PAR1 this is none")
    with pytest.raises(DataError, match=r"a\.parquet: no readable Parquet file"):
        read("a.parquet", b"")
    with pytest.raises(DataError, match=r"a\.parquet: no column text among \(body: string\)"):
        read("a.parquet", parquet_bytes(pa.table({"body": ["x"]})))
    with pytest.raises(DataError, match=r"a\.parquet: text is int64, want string"):
        read("a.parquet", parquet_bytes(pa.table({"text": [1]})))
    with pytest.raises(DataError, match=r"a\.parquet: no id, source, url, language, meta among"):
        read("a.parquet", parquet_bytes(pa.table({"text": ["x"]})), keeps_ids=True)
    with pytest.raises(DataError, match=r"a\.jsonl: jsonl, want the Parquet documents of a run"):
        read("a.jsonl", b'{"text": "x"}', keeps_ids=True)


def test_no_rows_are_one_empty_split():
    found = read("a.parquet", parquet_bytes(pa.table({"text": pa.array([], pa.string())})))
    assert (found.rows, len(found.ends)) == ([], 1)


def test_row_groups_are_gathered_until_they_are_a_split():
    third = "x" * (SPLIT_BYTES // 3 + 1)
    table = pa.table({"text": [third] * 4})
    data = parquet_bytes(table, row_group_size=1, use_dictionary=False, write_statistics=False)
    file = File(name="a.parquet", uri="", size=len(data))
    assert [(s.start, s.stop) for s in parquet.splits(file, io.BytesIO(data), False)] == [(0, 3), (3, 4)]
    assert read("a.parquet", data).texts() == [third] * 4


def test_long_rows_come_in_small_batches_and_the_same_whatever_the_size():
    texts = ["x" * (i % 7) * 10_000 for i in range(60)]
    data = parquet_bytes(pa.table({"text": texts, "id": [str(i) for i in range(60)]}))
    small, large = read("a.parquet", data, batch_bytes=20_000), read("a.parquet", data, batch_bytes=1 << 24)
    assert small.rows == large.rows
    assert small.texts() == texts


def test_a_corrupt_row_group_is_one_error_and_the_others_are_read():
    rng = random.Random(4)
    texts = [rng.randbytes(100).hex() for _ in range(30)]
    data = bytearray(
        parquet_bytes(
            pa.table({"text": texts}),
            row_group_size=10,
            use_dictionary=False,
            write_page_checksum=True,
            compression="none",
        )
    )
    at = bytes(data).index(texts[13].encode())
    data[at] ^= 0xFF
    found = read("a.parquet", bytes(data))
    assert found.texts() == texts[:10] + texts[20:]
    (reason,) = found.errors
    assert reason.startswith("unreadable row group 1 from row 0 on: ")


def test_bit_flips_and_cuts_never_crash():
    rng = random.Random(5)
    texts = [rng.randbytes(30).hex() for _ in range(60)]
    table = pa.table({"text": texts, "n": list(range(60))})
    data = parquet_bytes(table, row_group_size=20, write_page_checksum=True)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.2:
            del damaged[rng.randrange(1, len(damaged)) :]
        try:
            found = read("a.parquet", bytes(damaged))
        except DataError:
            refused += 1
            continue
        assert len(found.rows) <= 60 + 3
    assert 0 < refused < 300
