"""An index is read as Megatron would, and everything that Megatron would not notice is an error."""

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmill.core.errors import DataError
from tokenmill.manifests import megatron_index
from tokenmill.manifests.megatron_index import check_token_shard, read_header, read_index
from tokenmill.tokenize.megatron_shards import MegatronShards

DOCUMENTS = [[7, 8, 9, 0], [0], [5, 0]]


@pytest.fixture(params=[1_000, 100_000], ids=["uint16", "int32"])
def prefix(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    n = len(DOCUMENTS)
    batch = pa.record_batch(
        {
            "id": pa.array([f"{i:032x}" for i in range(n)]),
            "source": pa.array(["web"] * n),
            "shard_name": pa.array(["s-00000"] * n),
            "row": pa.array(range(n), pa.int64()),
            "ids": pa.array(DOCUMENTS, pa.large_list(pa.int32())),
        }
    )
    path = tmp_path / "train-00000-1a2b3c4d"
    shards = MegatronShards(vocabulary_size=request.param)
    shards.write([batch], lambda suffix: path.with_name(path.name + suffix).open("wb"))
    return path


def file(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def patch(path: Path, at: int, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)


def test_reads_lengths_boundaries_and_totals(prefix: Path) -> None:
    index = read_index(prefix)
    assert index.lengths.tolist() == [4, 1, 2]
    assert index.boundaries.tolist() == [0, 1, 2, 3]
    assert index.starts.tolist() == [0, 4, 5, 7]
    assert (index.shard.documents, index.shard.tokens) == (3, 7)
    assert index.shard == read_header(prefix)


def test_a_sound_shard_has_no_problems(prefix: Path) -> None:
    assert check_token_shard(prefix, 0) == []
    assert check_token_shard(prefix, None) == []


@pytest.mark.parametrize(
    ("at", "content", "complaint"),
    [
        pytest.param(0, b"X", "begins with b'XMIDIDX", id="magic"),
        pytest.param(9, b"\x02", "version 2, want 1", id="version"),
        pytest.param(17, b"\x05", "type 5 of the ids", id="a type that holds no ids here"),
        pytest.param(18, b"\x04", "4 sequences, 4 document boundaries", id="counts"),
        pytest.param(34, struct.pack("<i", -4), "document 0 has -4 tokens", id="negative length"),
        pytest.param(34, struct.pack("<i", 5), "document 1 begins at byte", id="length against pointer"),
        pytest.param(42, struct.pack("<i", 9), "7 tokens, its index says 14", id="last length against the .bin"),
        pytest.param(46 + 8, struct.pack("<q", 2), "document 1 begins at byte 2", id="pointer"),
        pytest.param(70 + 8, struct.pack("<q", 0), "document boundary 1 is at sequence 0", id="boundary"),
    ],
)
def test_a_damaged_index_is_refused_with_its_reason(prefix: Path, at: int, content: bytes, complaint: str) -> None:
    patch(file(prefix, ".idx"), at, content)
    with pytest.raises(DataError, match=complaint):
        read_index(prefix)
    (problem,) = check_token_shard(prefix, 0)
    assert complaint in problem and str(prefix) in problem


def test_a_shortened_index_or_bin_is_refused_by_the_header_alone(prefix: Path) -> None:
    whole = file(prefix, ".bin").read_bytes()
    file(prefix, ".bin").write_bytes(whole[:-1])
    with pytest.raises(DataError, match="no whole number of"):
        read_header(prefix)
    file(prefix, ".bin").write_bytes(whole)
    file(prefix, ".idx").write_bytes(file(prefix, ".idx").read_bytes()[:-1])
    with pytest.raises(DataError, match=r"101 bytes, 3 sequences make 102"):
        read_header(prefix)
    file(prefix, ".idx").write_bytes(b"MMID")
    with pytest.raises(DataError, match="4 bytes, a header alone has 34"):
        read_header(prefix)


def test_a_bin_that_lost_whole_ids_is_noticed(prefix: Path) -> None:
    size = read_header(prefix).dtype.itemsize
    file(prefix, ".bin").write_bytes(file(prefix, ".bin").read_bytes()[:-size])
    (problem,) = check_token_shard(prefix, 0)
    assert "6 tokens, its index says 7" in problem


@pytest.mark.parametrize("suffix", [".bin", ".idx"])
def test_a_missing_file_is_named(prefix: Path, suffix: str) -> None:
    file(prefix, suffix).unlink()
    with pytest.raises(DataError, match=rf"1a2b3c4d\{suffix}: cannot be read"):
        read_header(prefix)


@pytest.mark.parametrize("block", [1 << 22, 2, 1])
def test_missing_or_misplaced_ends_are_found(prefix: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(megatron_index, "BLOCK", block)
    assert check_token_shard(prefix, 0) == []
    size = read_header(prefix).dtype.itemsize
    patch(file(prefix, ".bin"), 6 * size, np.array([3], "<u2").tobytes())  # the last end becomes a 3
    patch(file(prefix, ".bin"), 1 * size, np.array([0], "<u2").tobytes())  # an end inside the first document
    lacking, stray = check_token_shard(prefix, 0)
    assert "1 documents do not end with id 0, the first is document 2" in lacking
    assert "stands inside one 1 times, first at token 1" in stray


@pytest.mark.parametrize(
    ("column", "values", "complaint"),
    [
        pytest.param("start", [0, 4, 6], "document 2 has start 6, the index says 5", id="start"),
        pytest.param("length", [4, 2, 2], "document 1 has length 2, the index says 1", id="length"),
        pytest.param("position", [0, 2, 1], "document 1 has position 2, the index says 1", id="position"),
    ],
)
def test_a_map_against_the_index_is_found(prefix: Path, column: str, values: list[int], complaint: str) -> None:
    path = file(prefix, ".map.parquet")
    rows = pq.read_table(path)
    at = rows.schema.get_field_index(column)
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type)), path)
    (problem,) = check_token_shard(prefix, 0)
    assert complaint in problem


def test_a_map_that_is_short_or_gone_is_found(prefix: Path) -> None:
    path = file(prefix, ".map.parquet")
    pq.write_table(pq.read_table(path).slice(0, 2), path)
    assert "2 documents, the index has 3" in check_token_shard(prefix, 0)[0]
    path.unlink()
    assert "cannot be read" in check_token_shard(prefix, 0)[0]
