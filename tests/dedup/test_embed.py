"""An embedding depends on the text alone, and is the one that transformers itself gives."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from sample_documents import documents
from tiny_text_model import VOCABULARY, tiny_text_model, write_model

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.dedup.embed import Embed
from tokenmill.dedup.embed_directory import embed_from
from tokenmill.dedup.embed_model import TextModel, text_model
from tokenmill.dedup.embedding import EMBEDDING, embeddings_of, vectors_of
from tokenmill.kernels.int8_vectors import quantised

TEXTS = ["The cat sat.", "the cat sat!", "", "x", "a longer text, and more of it " * 20, " \n ", "42", "🎈"]


def batch(texts: list[str | None]) -> pa.RecordBatch:
    return pa.record_batch({"text": pa.array(texts, pa.large_string())})


def embedded(step: Embed, texts: list[str | None]) -> list[bytes | None]:
    found: list[bytes | None] = step.apply(batch(texts))["embedding"].to_pylist()
    return found


def model_of(step: Embed) -> TextModel:
    return text_model(step.config, step.tokenizer, step.weights, step.max_tokens, step.device)


def test_a_text_has_one_byte_per_dimension_and_nothing_has_none() -> None:
    found = embedded(embed_from(tiny_text_model()), [*TEXTS, None])
    assert [None if value is None else len(value) for value in found] == [8, 8, None, 8, 8, None, 8, 8, None]
    assert all(max(abs(np.frombuffer(value, np.int8).astype(int))) == 127 for value in found if value)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_equals_what_transformers_gives(pooling: Any) -> None:
    """Its own tokenizer class, its own batch of one; pooled here by hand."""
    directory = tiny_text_model()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    model = transformers.BertModel.from_pretrained(directory, add_pooling_layer=False)
    want = []
    for text in TEXTS[:2]:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        want.append({"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling])
    vectors, present = model_of(embed_from(directory)).embed(TEXTS[:2], pooling)
    assert present.all()
    assert vectors == pytest.approx(np.array(want), abs=1e-6)
    step = embed_from(directory, pooling=pooling)
    assert vectors_of(step.apply(batch(TEXTS[:2]))["embedding"], "test").tolist() == quantised(vectors).tolist()


def test_does_not_depend_on_neighbours_order_or_threads() -> None:
    step = embed_from(tiny_text_model(32))
    texts = documents()["text"].to_pylist()
    whole = embedded(step, texts)
    assert [embedded(step, [text])[0] for text in texts] == whole
    assert embedded(step, texts[::-1]) == whole[::-1]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert embedded(step, texts) == whole
        assert torch.get_num_threads() == threads + 1, "what others set is left as it was"
    finally:
        torch.set_num_threads(threads)


def test_blocks_of_one_shape_give_the_same_but_for_the_last_bits() -> None:
    """What a GPU does, done here: 150 texts make three blocks of 64 rows, some padded."""
    model = model_of(embed_from(tiny_text_model(32)))
    ids = [[2, *((7 * n + k) % 60 + 4 for k in range(n % 90)), 3] for n in range(150)]
    alone, blocks = model.alone(ids, "mean"), model.in_blocks(ids, "mean")
    assert blocks == pytest.approx(alone, abs=1e-5)
    assert model.in_blocks(ids, "last") == pytest.approx(model.alone(ids, "last"), abs=1e-5)
    assert model.in_blocks([], "mean").shape == (0, 32)


def test_golden_bytes_belong_to_no_machine() -> None:
    """No byte of the sample documents is so near a border of rounding that another processor might round otherwise.

    Machines differ by some 1e-7 of a component, 1e-5 of a step. If a new sample comes too near, take another seed.
    """
    vectors, _ = model_of(embed_from(tiny_text_model())).embed(
        [t or "" for t in documents()["text"].to_pylist()], "mean"
    )
    steps = vectors * (127 / np.abs(vectors).max(axis=1).astype(np.float64))[:, None]
    from_border = np.abs(np.abs(steps - np.floor(steps)) - 0.5)[np.abs(steps) < 126.9]
    assert from_border.min() > 3e-4


def test_only_the_beginning_counts() -> None:
    step = embed_from(tiny_text_model(), max_tokens=16)
    one, other = embedded(step, ["a b c d e f g h i j k l m n" + tail for tail in (" same", " another end")])
    assert one == other, "14 letters and two that frame them"
    assert embedded(step, ["a b c d e f g h i j k l m x same"]) != [one]
    far = " " * (32 * 16)
    assert embedded(step, [far + "x"]) == [None], "what begins beyond 32 characters a token is not looked for"


def test_the_longest_text_that_the_model_takes() -> None:
    assert embedded(embed_from(tiny_text_model(), max_tokens=128), ["word " * 20_000]) != [None]
    with pytest.raises(RecipeError, match=r"does not take 129 tokens .*lower embed\.max_tokens"):
        embedded(embed_from(tiny_text_model(), max_tokens=129), ["x"])


def test_the_version_names_the_model_not_where_it_lies(tmp_path: Path) -> None:
    here, there = embed_from(tiny_text_model()), tmp_path / "elsewhere"
    there.mkdir()
    write_model(there, 8, 0)
    assert embed_from(there).version == here.version
    write_model(there, 8, 1)
    assert embed_from(there).version != here.version
    assert {f.name for f in dataclasses.fields(here)} == {
        *("config", "tokenizer", "weights", "pooling", "max_tokens", "device")
    }


def test_weights_in_two_files_are_the_same_model(tmp_path: Path) -> None:
    write_model(tmp_path, 8, 0)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    places = {name: f"part-{n % 2}.safetensors" for n, name in enumerate(sorted(tensors))}
    for part in set(places.values()):
        mine = {name: tensors[name] for name in tensors if places[name] == part}
        save_file(mine, tmp_path / part, metadata={"format": "pt"})
    index = '{"metadata": {}, "weight_map": ' + str(places).replace("'", '"') + "}"
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert embedded(embed_from(tmp_path), TEXTS) == embedded(embed_from(tiny_text_model()), TEXTS)


def test_files_that_no_hash_names_are_not_read(tmp_path: Path) -> None:
    write_model(tmp_path, 8, 0)
    step = embed_from(tmp_path)
    (tmp_path / "adapter_config.json").write_text("this would be read, and fail")
    assert embedded(step, TEXTS) == embedded(embed_from(tiny_text_model()), TEXTS)


def test_a_weight_that_is_missing_is_not_left_to_chance(tmp_path: Path) -> None:
    write_model(tmp_path, 8, 0)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RecipeError, match=r"lack encoder\.layer\.1\.output\.dense\.weight and 0 more"):
        embedded(embed_from(tmp_path), ["x"])


def test_a_model_that_gives_no_numbers_names_the_document(tmp_path: Path) -> None:
    write_model(tmp_path, 8, 0)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][VOCABULARY.index("z")] = np.nan
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    step = embed_from(tmp_path)
    assert embedded(step, ["x"]) != [None]
    rows = batch(["x", None, "z"]).append_column("id", pa.array(["first", "second", "third"]))
    with pytest.raises(DataError, match="embed: document third: the model gives NaN or infinity"):
        step.apply(rows)


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.json", '{"model_type": "no such"}', "transformers cannot load this model"),
        ("config.json", '{"model_type": "t5", "vocab_size": 90, "d_model": 8}', "cannot load|lack|decoder"),
        ("tokenizer.json", "{}", "no tokenizer"),
        ("model.safetensors", "not tensors", "transformers cannot load this model"),
    ],
)
def test_files_that_are_no_model_are_refused_by_name(tmp_path: Path, file: str, content: str, match: str) -> None:
    write_model(tmp_path, 8, 0)
    (tmp_path / file).write_text(content)
    with pytest.raises(RecipeError, match=match):
        embedded(embed_from(tmp_path), ["x"])


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("pooling", "max", "embed: pooling=max, want mean, cls or last"),
        ("device", "tpu", "embed: device=tpu, want cpu or cuda"),
        ("max_tokens", 7, "embed: max_tokens=7, want at least 8"),
        ("weights", (), "embed: no weights"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(field: str, value: Any, match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        dataclasses.replace(embed_from(tiny_text_model()), **{field: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_a_gpu_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(RecipeError, match="torch finds no GPU here"):
        embedded(embed_from(tiny_text_model(), device="cuda"), ["x"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bytes_however_batches_are_cut() -> None:
    step = embed_from(tiny_text_model(32), device="cuda")
    texts = documents()["text"].to_pylist()
    whole = embedded(step, texts)
    assert [embedded(step, [text])[0] for text in texts] == whole
    near = [
        np.abs(np.frombuffer(a, np.int8).astype(int) - np.frombuffer(b, np.int8)).max()
        for a, b in zip(whole, embedded(embed_from(tiny_text_model(32)), texts), strict=True)
        if a and b
    ]
    assert max(near) <= 1, "at most a rounding away from the CPU's"


def test_without_the_extra_it_says_what_to_install() -> None:
    script = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.embed_directory import embed_from
import tokenmill.dedup.cluster_sample, tokenmill.dedup.semantic
try:
    embed_from(sys.argv[1])
except RecipeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny_text_model())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'embed needs torch, transformers: pip install "tokenmill[models]"\n'


def test_the_column_round_trips_with_nulls_slices_and_chunks() -> None:
    vectors = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
    column = embeddings_of(vectors, np.array([True, False, True, True, False, True]))
    assert column.type == EMBEDDING.type
    assert column.to_pylist()[:3] == [bytes([250, 251, 252]), None, bytes([253, 254, 255])]
    assert vectors_of(column, "test").tolist() == vectors.tolist()
    assert vectors_of(column.slice(2), "test").tolist() == vectors[1:].tolist()
    assert vectors_of(pa.chunked_array([column.slice(3), column.slice(0, 1)]), "test").tolist() == [
        *vectors[2:].tolist(),
        vectors[0].tolist(),
    ]
    assert vectors_of(column.slice(1, 1), "test").shape == (0, 0)
    assert embeddings_of(np.zeros((0, 3), np.int8), np.zeros(2, np.bool_)).to_pylist() == [None, None]


def test_embeddings_of_two_models_are_told_apart() -> None:
    with pytest.raises(DataError, match="dedup: embeddings of 2 and of 3 dimensions"):
        vectors_of(pa.array([b"ab", None, b"abc"], EMBEDDING.type), "dedup")
