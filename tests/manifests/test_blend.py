"""A compiled blend gives Megatron what was asked for, says what that is, and refuses what cannot be."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from token_runs import EOD, SHA, Documents, blend_of_two, documents, token_run

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.manifests.blend import compile_blend, load_blend


@pytest.fixture
def blend(tmp_path: Path) -> Callable[..., Path]:
    return blend_of_two(tmp_path)


@pytest.fixture
def web(blend: Callable[..., Path], tmp_path: Path) -> Path:
    return tmp_path / "web"


@pytest.fixture
def code(blend: Callable[..., Path], tmp_path: Path) -> Path:
    return tmp_path / "code"


def splits(path: Path, phase: int) -> dict[str, list[str] | None]:
    compiled = compile_blend(path)
    return json.loads(list(compiled.files.values())[phase])  # type: ignore[no-any-return]


def test_says_what_was_requested_what_is_achieved_and_how_often_it_repeats(blend: Callable[..., Path]) -> None:
    body = compile_blend(blend()).body
    assert [(p["name"], p["first_sample"], p["samples"], p["tokens"]) for p in body["phases"]] == [
        ("wide", 0, 120, 1_200),
        ("fine", 120, 80, 800),
    ]
    assert body["requested"] == {"web": {"wide": 0.75, "fine": 0.5}, "code": {"wide": 0.25, "fine": 0.5}}
    assert body["achieved"] == body["requested"]  # whole samples here
    # web wants 900 and 400: 3 shards to the first phase (900/3000), 1 to the second (400/1000); code 300 and 400.
    assert body["epochs"] == {"web": {"wide": 0.3, "fine": 0.4}, "code": {"wide": 0.3, "fine": 0.4}}
    assert body["sources"]["web"]["epochs"] == pytest.approx(1_300 / 4_000)
    assert body["sources"]["code"]["tokens"] == 2_000
    assert (body["tokenizer"], body["vocabulary_size"], body["eod"]) == (SHA, 60_000, EOD)
    assert (body["sequence_length"], body["total_tokens"], body["samples"], body["seed"]) == (10, 2_000, 200, 0)
    assert [p["simulated"] for p in body["phases"]] == [True, True]


def test_a_phase_has_a_flat_list_of_weights_and_absolute_prefixes_and_no_shard_is_in_two(
    blend: Callable[..., Path], web: Path, code: Path
) -> None:
    first, second = (splits(blend(), i) for i in (0, 1))
    for phase in (first, second):
        assert list(phase) == ["train", "valid", "test"] and phase["test"] is None
        assert phase["valid"] == [
            "100.0", str(web / "tokens/holdout-00000-1a2b3c4d"), "50.0", str(code / "tokens/holdout-00000-1a2b3c4d"),
        ]  # fmt: skip
    assert [float(w) for w in (first["train"] or [])[::2]] == [0.25, 0.25, 0.25, 0.25]  # 3 of web, 1 of code
    assert [float(w) for w in (second["train"] or [])[::2]] == [0.5, 0.5]
    used = (first["train"] or [])[1::2] + (second["train"] or [])[1::2]
    assert len(used) == len(set(used)) == 6
    assert all(Path(prefix).is_absolute() and Path(f"{prefix}.bin").is_file() for prefix in used)


def test_weights_of_shards_are_in_proportion_to_their_tokens(blend: Callable[..., Path], tmp_path: Path) -> None:
    token_run(tmp_path / "odd", {"train-00000": documents(1, 1, 100), "train-00001": documents(2, 3, 100)})
    path = blend(
        sources={"odd": {"manifest": "odd"}}, phases=[{"name": "all", "weights": {"odd": 1}}], total_tokens=400
    )
    assert [float(w) for w in (splits(path, 0)["train"] or [])[::2]] == [0.25, 0.75]


def test_writes_every_phase_and_blend_json_last_and_again_the_same(blend: Callable[..., Path], tmp_path: Path) -> None:
    path, out = blend(), tmp_path / "out"
    compile_blend(path).write(out)
    assert sorted(p.name for p in out.iterdir()) == ["blend.json", "phase-1-wide.json", "phase-2-fine.json"]
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    compile_blend(path).write(out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert load_blend(out) == compile_blend(path).body


def test_another_blend_in_the_same_place_is_refused(blend: Callable[..., Path], tmp_path: Path) -> None:
    compile_blend(blend()).write(tmp_path / "out")
    with pytest.raises(RecipeError, match="holds another blend"):
        compile_blend(blend(seed=1)).write(tmp_path / "out")


def test_a_changed_or_missing_phase_file_is_noticed(blend: Callable[..., Path], tmp_path: Path) -> None:
    compile_blend(blend()).write(tmp_path / "out")
    phase = tmp_path / "out" / "phase-1-wide.json"
    phase.write_text(phase.read_text().replace("train-00000", "train-00001"))
    with pytest.raises(DataError, match=r"phase-1-wide\.json: not as it was written"):
        load_blend(tmp_path / "out")
    phase.unlink()
    with pytest.raises(DataError, match=r"phase-1-wide\.json: No such file"):
        load_blend(tmp_path / "out")


def test_identity_does_not_depend_on_where_things_lie(blend: Callable[..., Path], tmp_path: Path) -> None:
    here = compile_blend(blend()).body
    (tmp_path / "moved").mkdir()
    for name in ("web", "code", "blend.yaml"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    there = compile_blend(tmp_path / "moved" / "blend.yaml").body
    assert here["identity"] == there["identity"]
    assert here != there


def test_holdout_is_used_where_there_is_some_left_out_on_request_and_refused_where_demanded_in_vain(
    blend: Callable[..., Path], tmp_path: Path
) -> None:
    assert splits(blend(holdout=False), 0)["valid"] is None
    assert (
        compile_blend(blend()).body["holdout_tokens"]
        == compile_blend(blend(holdout=True)).body["holdout_tokens"]
        == 150
    )
    token_run(tmp_path / "none", {"train-00000": documents(1, 10, 10)})
    alone = {
        "sources": {"none": {"manifest": "none"}},
        "phases": [{"name": "all", "weights": {"none": 1}}],
        "total_tokens": 100,
    }
    assert splits(blend(**alone), 0)["valid"] is None
    with pytest.raises(RecipeError, match="no source holds anything out; tokenize with a larger --holdout"):
        compile_blend(blend(**alone, holdout=True))


def test_more_epochs_than_allowed_are_refused_with_the_numbers(blend: Callable[..., Path]) -> None:
    # code: 300 + 400 = 700 of 2,000 tokens. Each phase has one of its 2 shards: .3 and .4 epochs of 1,000.
    def allowed(epochs: float) -> Path:
        return blend(sources={"web": {"manifest": "web"}, "code": {"manifest": "code", "max_epochs": epochs}})

    with pytest.raises(RecipeError, match=r"code: the phases want 700 tokens and it has 2,000, which is 0.35 epochs"):
        compile_blend(allowed(0.349))
    with pytest.raises(RecipeError, match=r"code: phase fine wants 400 tokens.* gets 1,000 tokens, that is 0.4 epochs"):
        compile_blend(allowed(0.399))
    compile_blend(allowed(0.4))


def test_exactly_as_much_as_allowed_is_allowed(blend: Callable[..., Path]) -> None:
    body = compile_blend(blend(total_tokens=6_000, phases=[{"name": "all", "weights": {"web": 2, "code": 1}}])).body
    assert body["epochs"] == {"web": {"all": 1.0}, "code": {"all": 1.0}}


def test_a_source_with_fewer_shards_than_phases_is_refused_with_what_to_do(blend: Callable[..., Path]) -> None:
    phases = [{"name": f"p{i}", "until": (i + 1) / 3, "weights": {"web": 1, "code": 1}} for i in range(3)]
    with pytest.raises(
        RecipeError, match=r"source code: 3 phases use it \(p0, p1, p2\) and it has 2 shards of 2,000 tokens"
    ):
        compile_blend(blend(phases=phases))


def test_sources_of_different_tokenizers_or_ends_are_refused(blend: Callable[..., Path], tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("a", {"tokenizer": "cd" * 32}, "source code: made with the tokenizer sha256:cdcd.*source web has sha256:abab"),
        ("b", {"eod": 7}, r"different ids \(web 0, code 7\)"),
        ("c", {"eod": None}, "not of tokens"),
    ]
    for name, facts, complaint in cases:
        token_run(
            tmp_path / name, {"train-00000": documents(5, 200, 10), "train-00001": documents(6, 200, 10)}, **facts
        )
        with pytest.raises(RecipeError, match=complaint):
            compile_blend(blend(sources={"web": {"manifest": "web"}, "code": {"manifest": name}}))


def test_the_tokenizer_may_be_named_by_its_file(blend: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"blend\.yaml: tokenizer tokenizer\.json has sha256:44136fa355b3"):  # of "{}"
        compile_blend(blend(tokenizer="tokenizer.json"))
    assert compile_blend(blend(tokenizer=f"sha256:{SHA}")).body["tokenizer"] == SHA


def test_a_source_whose_files_contradict_its_manifest_is_an_error_of_the_data(
    blend: Callable[..., Path], web: Path, tmp_path: Path
) -> None:
    shard = web / "tokens" / "train-00001-1a2b3c4d.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(DataError, match=r"train-00001-1a2b3c4d\.bin: 1,998 bytes, the manifest says 2,000"):
        compile_blend(blend())
    shard.write_bytes(whole)
    (web / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest\.json: not as it was written"):
        compile_blend(blend())
    cases: list[tuple[str, dict[str, Documents], str]] = [
        ("held", {"holdout-00000": documents(1, 1, 10)}, "no shard for training"),
        ("empty", {"train-00000": []}, "Megatron cannot open an empty shard"),
    ]
    for name, shards, complaint in cases:
        token_run(tmp_path / name, shards)
        with pytest.raises(DataError, match=complaint):
            compile_blend(blend(sources={"web": {"manifest": name}}, phases=[{"name": "all", "weights": {"web": 1}}]))


@pytest.mark.filterwarnings("ignore")  # megatron-core warns about what is not installed (0.16.1)
def test_megatron_reads_two_phases_of_two_sources_and_gives_the_documents(
    blend: Callable[..., Path], tmp_path: Path, web: Path, code: Path
) -> None:
    """Every sample is 10 tokens of real documents; both phases together show no document of a source twice."""
    pytest.importorskip("megatron.core", exc_type=ImportError)
    out = tmp_path / "out"
    compile_blend(blend()).write(out)
    body = load_blend(out)
    seen: list[set[int]] = []
    for phase in body["phases"]:
        train, valid = megatron_samples(out / phase["file"], phase["samples"], body["sequence_length"])
        assert len(train) >= phase["samples"]
        taken = train[: phase["samples"]]
        from_code = sum(1 for sample in taken if max(sample) >= 10_000)
        assert from_code / phase["samples"] == pytest.approx(body["achieved"]["code"][phase["name"]])
        for sample in taken:
            assert follows_documents(sample, web if max(sample) < 10_000 else code)
        assert all(9_000 <= max(sample) < 9_010 or 30_000 <= max(sample) < 30_005 for sample in valid)
        seen.append({token for sample in taken for token in sample} - {EOD})
    assert seen[0] and seen[1] and not seen[0] & seen[1]


def follows_documents(sample: Sequence[int], run: Path) -> bool:
    """Whether a sample is documents one behind the other: a value changes only across an EOD, and lengths fit."""
    length = 10 if run.name == "web" else 20
    parts = " ".join(map(str, sample)).replace(f" {EOD} ", f" {EOD}|").split("|")
    values = [[int(v) for v in part.split() if int(v) != EOD] for part in parts]
    inner = [len(v) == length - 1 for v in values[1:-1]]
    return all(len(set(v)) <= 1 and len(v) < length for v in values) and all(inner)


def megatron_samples(file: Path, samples: int, sequence_length: int) -> tuple[list[list[int]], list[list[int]]]:
    """What Megatron's own dataset builder makes of a phase's file: the tokens of each training and hold-out sample."""
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import get_blend_from_list

    class Tokenizer:
        unique_identifiers: ClassVar = {"class": "test"}
        vocab_size, eod, eos, pad = 60_000, EOD, EOD, -1

    splits = json.loads(file.read_text())
    config = GPTDatasetConfig(
        random_seed=0,
        sequence_length=sequence_length,
        blend_per_split=[get_blend_from_list(splits[name]) for name in ("train", "valid", "test")],
        tokenizer=Tokenizer(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    datasets = BlendedMegatronDatasetBuilder(GPTDataset, [samples, 20, None], lambda: True, config).build()
    assert datasets[2] is None
    train, valid = ([data[i]["tokens"].tolist() for i in range(len(data))] for data in datasets[:2])
    return train, valid
