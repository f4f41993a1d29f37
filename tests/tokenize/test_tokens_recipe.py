"""The recipe as a whole: from documents to shards that verify, and back to the documents."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from toys import Silence, lines_source, run_here

from tokenmill.core.asset import Asset
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.engines.plan import make_plan
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.megatron_index import check_token_shard, read_index, tokens_of
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.pipelines.tokens import token_facts, tokenize_recipe

LINES = [f"line {i}: the cat sat on the mat <|endoftext|> {'é日🇩🇪'[: i % 5]}" for i in range(200)] + ["", "  spaces  "]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    made.train_from_iterator(LINES[:5], trainer)
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def run(
    folder: Path, out: Path, tokenizer: Path, workers: int = 1, holdout: float = 0.2, shard: int = 2_000
) -> Manifest:
    recipe = tokenize_recipe(Asset.of(tokenizer), holdout=holdout, tokens_per_shard=shard)
    plan = make_plan(recipe, [lines_source(folder)], open_uri, facts=token_facts(recipe))
    return run_here(plan, out, workers=workers, progress=Silence())


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    folder = tmp_path / "lines"
    folder.mkdir()
    for name, part in [("a.txt", LINES[:90]), ("b.txt", LINES[90:])]:
        (folder / name).write_text("\n".join(part), encoding="utf-8")
    return folder


def test_every_document_comes_back_from_the_shards_by_its_map(lines: Path, tokenizer: Path, tmp_path: Path) -> None:
    manifest = run(lines, tmp_path / "out", tokenizer)
    decoder, eod = Tokenizer.from_file(str(tokenizer)), manifest.facts["eod"]
    found: dict[tuple[str, int], str] = {}
    total = 0
    for shard in (s for s in manifest.of_kind("tokens") if s.path.endswith(".bin")):
        prefix = tmp_path / "out" / shard.path.removesuffix(".bin")
        assert check_token_shard(prefix, eod) == []
        index = read_index(prefix)
        ids = np.fromfile(tokens_of(prefix), index.shard.dtype)
        total += len(ids)
        for place in pq.read_table(f"{prefix}.map.parquet").to_pylist():
            document = ids[place["start"] : place["start"] + place["length"] - 1].tolist()
            found[place["shard"], place["row"]] = decoder.decode(document, skip_special_tokens=False)
    first, second = ((f"lines-{n:05d}", part) for n, part in enumerate([LINES[:90], LINES[90:]]))
    wanted = {(name, row): line for name, part in (first, second) for row, line in enumerate(part)}
    assert found == wanted
    assert manifest.totals["tokens"] == total
    assert manifest.totals["kept"] == len(LINES)


def test_there_are_shards_for_training_and_held_out_and_the_facts_say_whose_ids_they_are(
    lines: Path, tokenizer: Path, tmp_path: Path
) -> None:
    manifest = run(lines, tmp_path / "out", tokenizer)
    names = {s.path.split("/")[1].rpartition("-")[0] for s in manifest.of_kind("tokens")}
    assert {"train-00000", "train-00001", "holdout-00000"} <= names
    assert manifest.facts == {
        "tokenizer": Asset.of(tokenizer).sha256,
        "vocabulary_size": Tokenizer.from_file(str(tokenizer)).get_vocab_size(),
        "eod": 0,
        "eod_token": "<|endoftext|>",
        "holdout": 0.2,
    }


def test_one_identity_for_any_number_of_workers_and_another_for_another_seed(
    lines: Path, tokenizer: Path, tmp_path: Path
) -> None:
    one, two = (run(lines, tmp_path / f"out{n}", tokenizer, workers=n) for n in (1, 2))
    assert one.shards == two.shards and one.identity == two.identity
    other = tokenize_recipe(Asset.of(tokenizer), seed=1, holdout=0.2, tokens_per_shard=2_000)
    assert f"tokenize@{other.version}" != one.recipe


def test_a_hold_out_of_everything_is_an_error_of_the_data(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "a.txt").write_text("one")
    with pytest.raises(DataError, match="all 1 documents fall into the hold-out"):
        run(tmp_path / "few", tmp_path / "out", tokenizer, holdout=0.999_999)


def test_the_end_is_settled_before_anything_runs(tokenizer: Path) -> None:
    assert tokenize_recipe(Asset.of(tokenizer)).check().field("tokens")
    with pytest.raises(RecipeError, match="'<gone>' ends a document"):
        tokenize_recipe(Asset.of(tokenizer), eod="<gone>")
