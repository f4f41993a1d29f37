"""Shards are byte for byte what Megatron's own builder writes, and what it reads."""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.tokenize import megatron_shards
from tokenmill.tokenize.megatron_shards import MegatronShards

SMALL, LARGE = 1_000, 100_000  # vocabularies: uint16 and int32
DOCUMENTS = [[7, 8, 9, 0], [0], [5, 0], [1] * 50 + [0]]


def rows(documents: Sequence[Sequence[int] | None]) -> pa.RecordBatch:
    n = len(documents)
    return pa.record_batch(
        {
            "id": pa.array([f"{i:032x}" for i in range(n)]),
            "source": pa.array(["web"] * n),
            "shard_name": pa.array([f"s-{i % 3}" for i in range(n)]),
            "row": pa.array([100 + i for i in range(n)], pa.int64()),
            "ids": pa.array(documents, pa.large_list(pa.int32())),
        }
    )


def written(batches: Sequence[pa.RecordBatch], vocabulary_size: int = SMALL) -> dict[str, bytes]:
    class Kept(io.BytesIO):
        def close(self) -> None:
            contents[suffixes[id(self)]] = self.getvalue()

    contents: dict[str, bytes] = {}
    suffixes: dict[int, str] = {}
    files: list[Kept] = []  # keeps every id() alive

    def create(suffix: str) -> BinaryIO:
        files.append(Kept())
        suffixes[id(files[-1])] = suffix
        return files[-1]

    MegatronShards(vocabulary_size=vocabulary_size).write(batches, create)
    return contents


def save(folder: Path, batches: Sequence[pa.RecordBatch], vocabulary_size: int = SMALL) -> Path:
    for suffix, content in written(batches, vocabulary_size).items():
        (folder / f"train-00000{suffix}").write_bytes(content)
    return folder / "train-00000"


@pytest.mark.parametrize(("size", "dtype"), [(65_499, "<u2"), (65_500, "<i4"), (LARGE, "<i4")])
def test_the_vocabulary_decides_the_type_of_ids(size: int, dtype: str) -> None:
    assert written([rows(DOCUMENTS)], size)[".bin"] == np.concatenate(DOCUMENTS).astype(dtype).tobytes()


def test_the_map_leads_from_a_document_to_its_tokens_and_back() -> None:
    found = pq.read_table(io.BytesIO(written([rows(DOCUMENTS)])[".map.parquet"]))
    assert found.schema.names == ["id", "source", "shard", "row", "position", "start", "length"]
    assert found["position"].to_pylist() == [0, 1, 2, 3]
    assert found["start"].to_pylist() == [0, 4, 5, 7]
    assert found["length"].to_pylist() == [4, 1, 2, 51]
    assert found["row"].to_pylist() == [100, 101, 102, 103]
    assert found["shard"].to_pylist() == ["s-0", "s-1", "s-2", "s-0"]
    assert found["length"].type == pa.int32() and found["start"].type == pa.int64()


def test_bytes_do_not_depend_on_how_batches_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(megatron_shards, "MAP_ROWS", 7)
    whole = rows([[i % 900, 0] for i in range(40)])
    wanted = written([whole])
    assert pq.ParquetFile(io.BytesIO(wanted[".map.parquet"])).metadata.num_row_groups == 6  # 5 x 7 + 5
    for cuts in ([0, 1, 2, 3, 40], [0, 20, 20, 40], [0, 7, 14, 39, 40]):
        assert written([whole.slice(a, b - a) for a, b in pairwise(cuts)]) == wanted


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        pytest.param([SMALL, 0], "id 1000 is outside the vocabulary of 1,000", id="beyond the vocabulary"),
        pytest.param([-1, 0], "id -1 is outside", id="negative"),
        pytest.param([70_000, 0], "id 70000 is outside", id="would wrap in uint16"),
        pytest.param([], "0 ids", id="empty: its end is missing"),
        pytest.param(None, "0 ids", id="null"),
    ],
)
def test_what_a_shard_cannot_hold_is_an_error_naming_the_document(document: list[int] | None, complaint: str) -> None:
    with pytest.raises(DataError, match=rf"document 0+2 \(shard s-2, row 102\): {complaint}"):
        written([rows([[5, 0], [6, 0], document, [7, 0]])])


def test_no_documents_make_empty_files_with_a_true_header() -> None:
    assert {name: len(content) for name, content in written([]).items() if name != ".map.parquet"} == {
        ".bin": 0,
        ".idx": 34 + 8,
    }


def test_a_vocabulary_fits_int32() -> None:
    for size in (0, 2**31 + 1):
        with pytest.raises(RecipeError, match="want 1"):
            MegatronShards(vocabulary_size=size)


@pytest.mark.filterwarnings("ignore")  # megatron-core warns about what is not installed (0.16.1)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_equals_the_builder_of_megatron_core_and_is_read_by_it(tmp_path: Path, size: int) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    documents = [[*random.integers(1, size, random.integers(0, 300)).tolist(), 0] for _ in range(200)]
    builder = indexed.IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=indexed.DType.optimal_dtype(size))
    for document in documents:
        builder.add_document(torch.tensor(document), [len(document)])
    builder.finalize(str(tmp_path / "theirs.idx"))
    builder.data_file.close()

    whole = rows(documents)
    prefix = save(tmp_path, [whole.slice(0, 77), whole.slice(77)], size)
    for suffix in (".bin", ".idx"):
        assert Path(f"{prefix}{suffix}").read_bytes() == Path(f"{tmp_path / 'theirs'}{suffix}").read_bytes()
    dataset = indexed.IndexedDataset(str(prefix))
    assert [dataset[i].tolist() for i in range(len(dataset))] == documents
