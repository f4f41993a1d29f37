"""The token that ends a document: asked for, configured, or usual; never guessed silently."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from tokenmill.core.errors import RecipeError
from tokenmill.tokenize.end_of_document import end_of_document, end_token

TOKENIZERS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "tokenizers"


def tokenizer_json(folder: Path, *tokens: str, special: tuple[str, ...] = ()) -> Path:
    """A vocabulary of these tokens, ids in order, then the special ones."""
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token=tokens[0]))
    tokenizer.add_special_tokens(list(special))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_the_request_comes_before_the_configuration_and_the_usual_names(tmp_path: Path) -> None:
    path = tokenizer_json(tmp_path, "a", special=("</s>", "<stop>", "<other>"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<other>"}))
    assert end_of_document(path, "<stop>") == 2
    assert end_of_document(path, None) == 3
    (tmp_path / "tokenizer_config.json").unlink()
    assert end_of_document(path, None) == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        pytest.param("tokenizer_config.json", {"eos_token": "<stop>"}, id="tokenizer_config, as text"),
        pytest.param("tokenizer_config.json", {"eos_token": {"content": "<stop>", "lstrip": False}}, id="as a token"),
        pytest.param("special_tokens_map.json", {"eos_token": "<stop>"}, id="special_tokens_map"),
        pytest.param("config.json", {"eos_token_id": 2}, id="config, by id"),
        pytest.param("config.json", {"eos_token_id": [2, 1]}, id="config, the first of several"),
    ],
)
def test_the_configuration_beside_the_file_decides(tmp_path: Path, file: str, content: dict[str, object]) -> None:
    path = tokenizer_json(tmp_path, "a", special=("</s>", "<stop>"))
    (tmp_path / file).write_text(json.dumps(content))
    assert end_token(path, None) == "<stop>"


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        pytest.param("tokenizer_config.json", '{"eos_token": "<gone>"}', "json says that '<gone>' ends", id="a token"),
        pytest.param("config.json", '{"eos_token_id": 99}', "eos_token_id 99 is not in the vocabulary", id="an id"),
        pytest.param("config.json", "{", "config.json: not JSON", id="broken"),
    ],
)
def test_a_configuration_that_contradicts_the_vocabulary_is_refused(
    tmp_path: Path, file: str, content: str, complaint: str
) -> None:
    path = tokenizer_json(tmp_path, "a", special=("</s>",))
    (tmp_path / file).write_text(content)
    with pytest.raises(RecipeError, match=complaint):
        end_of_document(path, None)


def test_a_configuration_without_an_end_leaves_it_to_the_usual_names(tmp_path: Path) -> None:
    path = tokenizer_json(tmp_path, "a", special=("</s>",))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": null}')
    (tmp_path / "config.json").write_text('{"eos_token_id": null}')
    assert end_token(path, None) == "</s>"


def test_the_end_of_a_text_comes_before_the_end_of_a_sentence_and_a_turn_ends_no_document(tmp_path: Path) -> None:
    all_three = tokenizer_json(tmp_path, "a", special=("<|im_end|>", "</s>", "<|endoftext|>"))
    assert end_token(all_three, None) == "<|endoftext|>"
    with pytest.raises(RecipeError, match=r"its special tokens: <\|im_end\|>; choose one with --eod"):
        end_token(tokenizer_json(tmp_path, "a", special=("<|im_end|>",)), None)


def test_where_nothing_says_the_special_tokens_are_listed(tmp_path: Path) -> None:
    many = tuple(f"<{i}>" for i in range(20))
    with pytest.raises(RecipeError, match=r"special tokens: <0>, <1>, .*<11> and 8 more"):
        end_of_document(tokenizer_json(tmp_path, "a", special=many), None)
    with pytest.raises(RecipeError, match="special tokens: none"):
        end_of_document(tokenizer_json(tmp_path, "a"), None)


def test_a_named_token_must_exist(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--eod says that '<stop>' ends a document, and it is not in the vocabulary"):
        end_of_document(tokenizer_json(tmp_path, "a", special=("</s>",)), "<stop>")


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    for path in (tmp_path / "tokenizer.json", tmp_path / "absent.json"):
        with pytest.raises(RecipeError, match=r"not a tokenizer\.json"):
            end_of_document(path, None)


@pytest.mark.skipif(not TOKENIZERS.is_dir(), reason=f"no real tokenizers at {TOKENIZERS}")
@pytest.mark.parametrize(
    ("file", "token", "id"),
    [
        ("deepseek", "<｜end▁of▁sentence｜>", 1),
        ("dolma2", "<|endoftext|>", 100257),
        ("gpt-neox-olmo", "<|endoftext|>", 50279),
        ("llama2", "</s>", 2),
        ("llama3", "<|end_of_text|>", 128001),
        ("qwen2", "<|endoftext|>", 151643),
        ("roberta-gpt2", "</s>", 2),
        ("t5-small", "</s>", 1),
    ],
)
def test_published_tokenizers_end_as_their_base_models_do(file: str, token: str, id: int) -> None:
    path = TOKENIZERS / f"{file}.tokenizer.json"
    assert (end_token(path, None), end_of_document(path, None)) == (token, id)
