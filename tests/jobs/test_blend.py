"""`tokenmill blend` writes what it says, plans without writing, and speaks JSON; end to end from documents."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from toys import Silence, lines_source, run_here
from typer.testing import CliRunner, Result

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.engines.plan import make_plan
from tokenmill.jobs.blend import command
from tokenmill.manifests.megatron_index import read_header
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.pipelines.tokens import token_facts, tokenize_recipe

BLEND = """
name: small
tokenizer: tokenizer.json
sequence_length: 64
total_tokens: 6_400
sources:
  cats: {manifest: cats}
  dogs: {manifest: dogs/manifest.json, max_epochs: 2}
phases:
  - {name: wide, until: 0.75, weights: {cats: 2, dogs: 1}}
  - {name: fine, until: 1, weights: {cats: 1, dogs: 1}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer, two token runs of 100 documents each, a byte a token, and blend.yaml."""
    folder = tmp_path_factory.mktemp("blend")
    alphabet = {piece: i for i, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["</s>"])
    made.save(str(folder / "tokenizer.json"))
    recipe = tokenize_recipe(Asset.of(folder / "tokenizer.json"), holdout=0.1, tokens_per_shard=1_000)
    for name in ("cats", "dogs"):
        (folder / f"{name}-in").mkdir()
        lines = [f"{name} {i}: {name} are {'very ' * (i % 12)}fine, say {name}; </s> is text" for i in range(100)]
        (folder / f"{name}-in" / "a.txt").write_text("\n".join(lines))
        plan = make_plan(recipe, [lines_source(folder / f"{name}-in", name)], open_uri, facts=token_facts(recipe))
        run_here(plan, folder / name, workers=1, progress=Silence())
    (folder / "blend.yaml").write_text(BLEND)
    return folder


def blend(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_prints_one_object_with_the_promised_keys_and_writes_the_same(place: Path, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(blend(place / "blend.yaml", "--out", tmp_path / "out", "--json").stdout)
    for key in ("requested", "achieved", "epochs"):
        assert {name: sorted(phases) for name, phases in found[key].items()} == {
            "cats": ["fine", "wide"],
            "dogs": ["fine", "wide"],
        }
    assert found["requested"]["cats"]["wide"] == pytest.approx(2 / 3)
    assert found["achieved"]["cats"]["wide"] == pytest.approx(2 / 3, abs=0.5 / 75)  # 50 of 75 samples
    written = json.loads((tmp_path / "out" / "blend.json").read_text())
    assert {key: value for key, value in written.items() if key != "checksum"} == found
    assert [p["samples"] for p in found["phases"]] == [75, 25]
    for phase in found["phases"]:
        prefixes = json.loads((tmp_path / "out" / phase["file"]).read_text())["train"][1::2]
        assert all(read_header(Path(p)).tokens > 0 for p in prefixes)


def test_the_text_states_shares_epochs_and_what_comes_next(place: Path, tmp_path: Path) -> None:
    text = blend(place / "blend.yaml", "--out", tmp_path / "out").stdout
    assert "small: 100 sequences of 64 tokens" in text
    assert "  cats: 66.6667% requested, 66.6667% achieved" in text
    assert "dogs: 0." in text and "epochs in all, 2 allowed" in text
    assert "tokens held out" in text
    assert f"next: tokenmill train --model tiny --blend {tmp_path / 'out'}" in text


def test_a_plan_writes_nothing(place: Path, tmp_path: Path) -> None:
    text = blend(place / "blend.yaml", "--out", tmp_path / "out", "--plan").stdout
    assert "phase wide: 75 sequences" in text and "next:" not in text
    assert not (tmp_path / "out").exists()
    assert blend(place / "blend.yaml", "--plan").stdout == text


def test_a_place_is_needed_to_write(place: Path) -> None:
    with pytest.raises(RecipeError, match="no --out given"):
        blend(place / "blend.yaml")


def test_too_many_epochs_are_refused_before_anything_is_written(place: Path, tmp_path: Path) -> None:
    path = place / "greedy.yaml"
    path.write_text(BLEND.replace("6_400", "640_000"))
    with pytest.raises(RecipeError, match=r"source cats: the phases want .* epochs; max_epochs is 1"):
        blend(path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore")  # megatron-core warns about what is not installed (0.16.1)
def test_megatron_reads_the_blend_and_its_samples_decode_to_the_documents(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("megatron.core", exc_type=ImportError)
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import get_blend_from_list

    blend(place / "blend.yaml", "--out", tmp_path / "out")
    body = json.loads((tmp_path / "out" / "blend.json").read_text())
    decoder = Tokenizer.from_file(str(place / "tokenizer.json"))

    class Client:
        unique_identifiers = {"class": "test"}  # noqa: RUF012  (Megatron reads it so)
        vocab_size, eod, eos, pad = body["vocabulary_size"], body["eod"], body["eod"], -1

    lines = {line for name in ("cats", "dogs") for line in (place / f"{name}-in" / "a.txt").read_text().splitlines()}
    for phase in body["phases"]:
        splits = json.loads((tmp_path / "out" / phase["file"]).read_text())
        config = GPTDatasetConfig(
            random_seed=body["seed"],
            sequence_length=body["sequence_length"],
            blend_per_split=[get_blend_from_list(splits[name]) for name in ("train", "valid", "test")],
            tokenizer=Client(),
            reset_position_ids=False,
            reset_attention_mask=False,
            eod_mask_loss=False,
            create_attention_mask=False,
            path_to_cache=None,
        )
        train, valid, test = BlendedMegatronDatasetBuilder(
            GPTDataset, [phase["samples"], 10, None], lambda: True, config
        ).build()
        assert test is None and len(valid) >= 10
        cats = 0
        for i in range(phase["samples"]):
            sample = train[i]
            ids = sample["tokens"].tolist()
            assert len(ids) == 64
            parts = split_at(ids, body["eod"])
            texts = [decoder.decode(part, skip_special_tokens=False) for part in parts]
            assert all(any(text in line for line in lines) for text in texts)  # the ends of a sample may be cut
            assert all(text in lines for text in texts[1:-1])
            cats += Path(splits["train"][1 + 2 * sample["dataset_id"]]).is_relative_to(place / "cats")
        assert cats / phase["samples"] == pytest.approx(body["achieved"]["cats"][phase["name"]])


def split_at(ids: list[int], eod: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for id in ids:
        if id == eod:
            parts.append([])
        else:
            parts[-1].append(id)
    return parts
