"""A directory says how its model wants to be used, or that it wants what we do not do."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_text_model import tiny_text_model, write_model

from tokenmill.core.errors import RecipeError
from tokenmill.dedup.embed_directory import embed_from

MODULES = "sentence_transformers.models."


def sentence_transformer(root: Path, pooling: dict[str, Any], others: tuple[str, ...] = ("Normalize",)) -> Path:
    """As sentence-transformers saves one: the transformer at the root, the pooling in a folder of its own."""
    write_model(root, 8, 0)
    modules = [{"idx": 0, "path": "", "type": f"{MODULES}Transformer"}]
    modules += [{"idx": 1, "path": "1_Pooling", "type": f"{MODULES}Pooling"}]
    modules += [{"idx": 2, "path": f"2_{name}", "type": f"{MODULES}{name}"} for name in others]
    (root / "modules.json").write_text(json.dumps(modules))
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, **pooling}))
    return root


def test_a_plain_model_is_pooled_by_the_mean_of_as_much_as_it_takes() -> None:
    step = embed_from(tiny_text_model())
    assert (step.pooling, step.max_tokens, step.device) == ("mean", 128, "cpu")


@pytest.mark.parametrize(
    ("said", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "include_prompt": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_sentence_transformers_say_how_they_pool(tmp_path: Path, said: dict[str, Any], pooling: str) -> None:
    assert embed_from(sentence_transformer(tmp_path, said)).pooling == pooling


def test_what_is_asked_for_goes_before_what_the_directory_says(tmp_path: Path) -> None:
    root = sentence_transformer(tmp_path, {"pooling_mode_cls_token": True})
    (root / "sentence_bert_config.json").write_text('{"max_seq_length": 100, "do_lower_case": false}')
    assert (embed_from(root).pooling, embed_from(root).max_tokens) == ("cls", 100)
    asked = embed_from(root, pooling="mean", max_tokens=64)
    assert (asked.pooling, asked.max_tokens) == ("mean", 64)


def test_the_transformer_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "0_Transformer").mkdir()
    write_model(tmp_path / "0_Transformer", 8, 0)
    modules = [{"path": "0_Transformer", "type": f"{MODULES}Transformer"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert embed_from(tmp_path).version == embed_from(tiny_text_model()).version


@pytest.mark.parametrize(
    ("pooling", "others", "match"),
    [
        ({"pooling_mode_max_tokens": True}, (), "pooling max_tokens; want one of mean, cls and last token"),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            (),
            "pooling mean_tokens, cls_token; want",
        ),
        ({}, (), "pooling unknown; want"),
        ({"pooling_mode_mean_tokens": True}, ("Dense",), "a module Dense, which we do not have"),
    ],
)
def test_what_we_do_not_do_is_refused(
    tmp_path: Path, pooling: dict[str, Any], others: tuple[str, ...], match: str
) -> None:
    with pytest.raises(RecipeError, match=match):
        embed_from(sentence_transformer(tmp_path, pooling, others))


def test_lower_casing_outside_the_tokenizer_is_refused(tmp_path: Path) -> None:
    root = sentence_transformer(tmp_path, {"pooling_mode_mean_tokens": True})
    (root / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(RecipeError, match="do_lower_case, which we do not do"):
        embed_from(root)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named_with_what_makes_it(tmp_path: Path, file: str) -> None:
    write_model(tmp_path, 8, 0)
    (tmp_path / file).unlink()
    with pytest.raises(RecipeError, match=f"{file}: no such file; save .* save_pretrained"):
        embed_from(tmp_path)


def test_no_directory_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no such directory; want one with config\.json"):
        embed_from(tmp_path / "nowhere")
    write_model(tmp_path, 8, 0)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RecipeError, match=r"config\.json: no JSON"):
        embed_from(tmp_path)
