"""Which token ends a document: by request, by the tokenizer's own configuration, or by the usual names."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tokenmill.core.errors import RecipeError

# Tokens that end a document in published base models, most specific first. `<|endoftext|>` (GPT-2, GPT-NeoX, OLMo,
# Qwen) stands before `</s>` (Llama 2, T5): vocabularies that hold both are SentencePiece ones whose base model was
# trained with the former (Phi-3). `<|end_of_text|>`: Llama 3. `<｜end▁of▁sentence｜>`: DeepSeek. `<eos>`: Gemma.
# Not here, on purpose: `<|im_end|>`, `<|eot_id|>`, `<|EOT|>` end a turn of a conversation; name them if they are meant.
USUAL_NAMES = ("<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>", "<|eos|>", "[EOS]")

SHOWN = 12  # special tokens listed in an error; some tokenizers have a thousand


def end_of_document(tokenizer_json: Path, name: str | None) -> int:
    """The id of `end_token`."""
    return _end(tokenizer_json, name)[1]


def end_token(tokenizer_json: Path, name: str | None) -> str:
    """`name` itself, else what tokenizer_config.json, special_tokens_map.json or config.json beside the file call
    the end (`eos_token`, `eos_token_id`), else the first of USUAL_NAMES among the special tokens,
    else among all pieces (RoBERTa keeps GPT-2's `<|endoftext|>` as an ordinary one, and ends with `</s>`).

    Raises RecipeError if the token is not in the vocabulary, or if nothing says which it is.
    """
    return _end(tokenizer_json, name)[0]


def _end(path: Path, name: str | None) -> tuple[str, int]:
    tokenizer = open_tokenizer(path)
    found, origin = (name, "--eod") if name is not None else _configured(path.parent, tokenizer)
    if found is None:
        found = _usual(tokenizer)
    if found is None:
        raise RecipeError(
            f"{path}: no configuration beside it names an end token, and it has none of {', '.join(USUAL_NAMES)}; "
            f"its special tokens: {_special_tokens(tokenizer)}; choose one with --eod TOKEN"
        )
    id = tokenizer.token_to_id(found)
    if id is None:
        raise RecipeError(
            f"{path}: {origin} says that {found!r} ends a document, and it is not in the vocabulary; "
            f"its special tokens: {_special_tokens(tokenizer)}; choose one with --eod TOKEN"
        )
    return found, id


def open_tokenizer(path: Path) -> Tokenizer:
    """The file as it is. Raises RecipeError if it is no tokenizer.json."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception, for a missing file as for a wrong one
        raise RecipeError(f"{path}: not a tokenizer.json that `tokenizers` reads ({error}); give another") from error


def _configured(folder: Path, tokenizer: Tokenizer) -> tuple[str | None, str]:
    """The end token by the files in `folder`, and the file that said so."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        token = _json(folder / file).get("eos_token")
        if isinstance(token, dict):  # a serialised AddedToken
            token = token.get("content")
        if isinstance(token, str):
            return token, file
    ids = _json(folder / "config.json").get("eos_token_id")
    first = ids[0] if isinstance(ids, list) and ids else ids  # the first of several is the base model's
    if isinstance(first, int):
        name = tokenizer.id_to_token(first)
        if name is None:
            raise RecipeError(f"{folder / 'config.json'}: eos_token_id {first} is not in the vocabulary; use --eod")
        return name, "config.json"
    return None, ""


def _usual(tokenizer: Tokenizer) -> str | None:
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    known = [name for name in USUAL_NAMES if tokenizer.token_to_id(name) is not None]
    return next((name for name in known if name in special), known[0] if known else None)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecipeError(f"{path}: not JSON ({error}); mend it, or say --eod TOKEN") from error
    return content if isinstance(content, dict) else {}


def _special_tokens(tokenizer: Tokenizer) -> str:
    names = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items()) if token.special]
    if not names:
        return "none"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
