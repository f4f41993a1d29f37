"""One source, files of several kinds."""

import io

import pytest
from ingest.reading import gzipped, page, read_splits

from tokenmill.core.errors import DataError
from tokenmill.core.source import File
from tokenmill.ingest.files import Files

HELD = {"b.warc.gz": gzipped([page("1", b"<p>w")]), "a.jsonl": b'{"text": "j"}\n', "c/d.arc": b"filedesc:"}


def files(*names: str) -> Files:
    return Files(name="mixed", files=tuple(File(name=n, uri=n, size=len(HELD[n])) for n in names))


def test_shards_follow_the_names_whatever_the_order_given():
    def opener(uri):
        return io.BytesIO(HELD[uri])

    source = files("c/d.arc", "b.warc.gz", "a.jsonl")
    splits = source.splits(opener)
    assert [s.file.name for s in splits] == ["a.jsonl", "b.warc.gz", "c/d.arc"]
    found = read_splits(source, splits, opener)
    assert [(r["text"], r["html"], r["source"]) for r in found.good] == [("j", None, "mixed"), (None, b"<p>w", "mixed")]
    assert found.errors == ["no record header"]


def test_a_file_of_no_known_kind_is_refused_by_name():
    source = Files(name="x", files=(File(name="notes.txt", uri="n", size=3),))
    with pytest.raises(DataError, match=r"notes\.txt: of no known format"):
        source.splits(lambda uri: io.BytesIO(b"abc"))
