"""A remote file reads like a local one: any seek, any size, through any fault; never two versions in one reading."""

import gzip
import io
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import Proxy, s3

from tokenmill.core.errors import DataError, EngineError
from tokenmill.core.source import File
from tokenmill.ingest.files import Files
from tokenmill.manifests.objects import objects_at
from tokenmill.manifests.remote_stream import FIRST_BYTES, HELD_BYTES, open_uri
from tokenmill.manifests.retrying import Patience

CONTENT = np.arange(5 << 20, dtype=np.uint32).tobytes()  # 20 MiB, of which every stretch is different


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        objects, _ = objects_at(f"s3://{bucket}/")
        objects.put("big", CONTENT)
        yield proxy, bucket


@pytest.fixture
def proxy(server) -> Proxy:
    return server[0]


@pytest.fixture
def big(server) -> str:
    return f"s3://{server[1]}/big"


def put(server: tuple[Proxy, str], key: str, content: bytes) -> str:
    objects, _ = objects_at(f"s3://{server[1]}/")
    objects.put(key, content)
    return f"s3://{server[1]}/{key}"


def test_reads_all_of_it_in_parallel_ranges(big, proxy):
    with proxy.failing(delay_s=0.02):
        with open_uri(big, size=len(CONTENT)) as stream:
            parts = iter(lambda: stream.read(100_000), b"")
            assert b"".join(parts) == CONTENT
        assert set(proxy.counts) == {"GET"} and proxy.counts["GET"] <= 16
        assert proxy.bytes_out <= len(CONTENT) + 4096, "nothing is read twice"


def test_a_look_at_a_header_costs_one_small_request(big, proxy):
    with proxy.failing():
        with open_uri(big) as stream:
            assert stream.read(1000) == CONTENT[:1000]
            assert stream.read(1000) == CONTENT[1000:2000]
        assert dict(proxy.counts) == {"GET": 1} and proxy.bytes_out == FIRST_BYTES


@pytest.mark.parametrize("seed", range(3))
def test_any_seek_and_read_is_as_in_memory(big, seed):
    drawn = random.Random(seed)
    with open_uri(big) as remote:
        local = io.BytesIO(CONTENT)
        for _ in range(60):
            if drawn.random() < 0.5:
                whence = drawn.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
                offset = {
                    io.SEEK_SET: drawn.randrange(len(CONTENT) + 100),
                    io.SEEK_CUR: drawn.randrange(-min(local.tell(), 5000), 5000),
                    io.SEEK_END: -drawn.randrange(200_000),
                }[whence]
                assert remote.seek(offset, whence) == local.seek(offset, whence)
            n = drawn.choice([0, 1, 10, 70_000, 3_000_000])
            assert remote.read(n) == local.read(n)
            assert remote.tell() == local.tell()


def test_an_empty_file_and_the_end_of_a_file(server, big):
    with open_uri(put(server, "empty", b"")) as stream:
        assert stream.read() == b"" and stream.seek(0, io.SEEK_END) == 0
    with open_uri(big) as stream:
        stream.seek(len(CONTENT) + 5)
        assert stream.read(10) == b""


def test_memory_is_bounded_however_long_the_file_is_read(big):
    with open_uri(big) as stream:
        for at in random.Random(0).choices(range(len(CONTENT)), k=100):
            stream.seek(at)
            stream.read(1 << 20)
            assert sum(b.size for b in stream._blocks) <= HELD_BYTES  # type: ignore[attr-defined]


@pytest.mark.slow
def test_faults_on_a_third_of_all_requests_change_nothing(big, proxy):
    with proxy.failing(busy=0.1, broken=0.1, cut=0.15, seed=5):
        for _ in range(4):
            with open_uri(big) as stream:
                assert stream.read() == CONTENT
        assert {"busy", "broken", "cut within"} <= set(proxy.injected)


def test_a_cut_connection_goes_on_from_the_byte_it_reached(big, proxy):
    with proxy.failing(cut=1, seed=11):  # no request is ever answered whole
        proxy._random.choice = lambda kinds: "cut within"  # type: ignore[method-assign]
        with open_uri(big) as stream:
            assert stream.read(FIRST_BYTES) == CONTENT[:FIRST_BYTES]
            stream.seek(8 << 20)
            assert stream.read(4 << 20) == CONTENT[8 << 20 : 12 << 20]
        assert proxy.bytes_out < 3 * (4 << 20), "half of what is left each time: the sum is twice the whole"


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_is_waited_for(big, proxy):
    with open_uri(big) as stream:
        first = stream.read(2 << 20)
        proxy.down()
        with pytest.raises(EngineError, match=r"big: .*; tried \d+ times in"):
            open_uri(big, patience=Patience(total_s=0.5)).read(1)
        proxy.up()
        assert first + stream.read() == CONTENT


def test_a_changed_file_is_an_error_and_never_a_mixture(server):
    uri = put(server, "changing", CONTENT)
    with open_uri(uri) as stream:
        stream.read(10)
        put(server, "changing", CONTENT[::-1])
        with pytest.raises(DataError, match="changing: changed while it was read"):
            stream.read()


def test_a_file_that_the_plan_knew_otherwise_is_an_error(big, server):
    with open_uri(big, size=5) as stream, pytest.raises(DataError, match=r"big: 20,971,520 bytes, 5 when .* planned"):
        stream.read(1)
    hour_ago = time.time_ns() - 3600 * 10**9
    with open_uri(big, modified_ns=hour_ago) as stream, pytest.raises(DataError, match="replaced since the run was"):
        stream.read(1)
    with open_uri(f"s3://{server[1]}/gone") as stream, pytest.raises(DataError, match="gone: no such object"):
        stream.read(1)


def test_a_local_path_is_a_plain_file(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    for uri in (str(tmp_path / "a"), f"file://{tmp_path / 'a'}"):
        with open_uri(uri) as stream:
            assert stream.read() == b"abc" and isinstance(stream, io.BufferedReader)


def test_a_local_file_that_the_plan_knew_otherwise_is_an_error(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    facts = (tmp_path / "a").stat()
    open_uri(str(tmp_path / "a"), size=3, modified_ns=facts.st_mtime_ns).close()
    for known in ({"size": 4}, {"size": 3, "modified_ns": facts.st_mtime_ns - 1}):
        with pytest.raises(DataError, match="a: changed since the run was planned"):
            open_uri(str(tmp_path / "a"), **known)


def test_other_stores_are_read_through_fsspec():
    objects, _ = objects_at("memory://streams/")
    objects.put("a", CONTENT[:300_000])
    with open_uri("memory://streams/a") as stream:
        stream.seek(100_000)
        assert stream.read() == CONTENT[100_000:300_000]


def documents(rows: int) -> pa.Table:
    return pa.table(
        {"text": [f"{n} " * 300 for n in range(rows)], "a": range(rows), "b": [str(n) for n in range(rows)]}
    )


def parquet(rows: int) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(documents(rows), sink, row_group_size=2000, compression="none", use_dictionary=False)
    return sink.getvalue().to_pybytes()


def lines(rows: int) -> bytes:
    return b"".join(json.dumps({"text": f"{n} " * 300}).encode() + b"\n" for n in range(rows))


FORMATS = {"a.parquet": parquet, "a.jsonl": lines, "a.jsonl.gz": lambda rows: gzip.compress(lines(rows), 1)}


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_reads_it_as_it_reads_a_local_file(server, proxy, tmp_path, name):
    content = FORMATS[name](6000)
    (tmp_path / name).write_bytes(content)
    uri = put(server, name, content)
    file = File(name=name, uri=uri, size=len(content))
    remote, local = Files(name="s", files=(file,)), Files(name="s", files=(replace(file, uri=str(tmp_path / name)),))
    with proxy.failing(busy=0.1):
        splits = remote.splits(open_uri)
        read = [c.records for split in splits for c in remote.read(split, open_uri, 1 << 20)]
        assert proxy.bytes_out <= 1.3 * len(content) + 3 * FIRST_BYTES
    kept = [c.records for split in local.splits(open_uri) for c in local.read(split, open_uri, 1 << 20)]
    assert pa.Table.from_batches(read) == pa.Table.from_batches(kept)
    assert sum(b.num_rows for b in read) == 6000


@pytest.mark.parametrize("name", FORMATS)
def test_a_store_that_fails_is_never_taken_for_bad_data(server, proxy, name):
    content = FORMATS[name](30_000)  # more than is read ahead
    file = File(name=name, uri=put(server, name, content), size=len(content))
    source = Files(name="s", files=(file,))
    (split, *_) = source.splits(open_uri)
    chunks = source.read(split, lambda uri: open_uri(uri, patience=Patience(total_s=0)), 1 << 16)
    next(chunks)
    with proxy.failing(busy=1), pytest.raises(EngineError, match="SlowDown"):
        list(chunks)
