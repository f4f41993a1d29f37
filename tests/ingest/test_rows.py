"""Ids and batches."""

import pyarrow as pa
import pytest

from tokenmill.core.document import RECORD
from tokenmill.ingest.rows import Row, Rows, ids, sound


def taken(*rows: Row) -> pa.RecordBatch:
    gathered = Rows("s", 1 << 20)
    for row in rows:
        gathered.add(row)
    return gathered.take()


def test_the_id_comes_from_the_first_thing_that_identifies():
    batch = taken(
        Row(own_id="a", text="x", raw=b"r"),
        Row(own_id="a", text="y"),
        Row(text="x", raw=b"q", place="p"),
        Row(text="x"),
        Row(html=b"x"),
        Row(html=b"x", charset="utf-8"),
        Row(html=b"x", raw=b"url x"),
        Row(error="e", place="x"),
        Row(error="e", place="y"),
    )
    assert batch.schema.equals(RECORD)
    a, b, c, d, e, f, g, h, i = batch["id"].to_pylist()
    assert a == b and c == d and e == f
    assert len({a, c, e, g, h, i}) == 6  # "x" as own id, text, bytes or place is four things


def test_no_rows_make_an_empty_batch():
    assert taken().num_rows == 0


def test_a_batch_is_full_by_bytes():
    rows = Rows("s", 10)
    rows.add(Row(text="12345"))
    assert not rows.full
    rows.add(Row(html=b"67890"))
    assert rows.full
    rows.take()
    assert not rows.full


def test_sources_have_ids_of_their_own():
    own = pa.array(["1"], pa.large_string())
    assert ids("a", own=own) != ids("b", own=own)


@pytest.mark.parametrize(
    ("text", "wanted"), [("a\ud800b", "a\ufffdb"), ("\ud83d\ude00", "\U0001f600"), ("é", "é"), ("", ""), (None, None)]
)
def test_text_is_made_encodable(text, wanted):
    assert sound(text) == wanted
