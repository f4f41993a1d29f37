"""A model's directory, as transformers or sentence-transformers saves it, to an `Embed` that says the same.

Understood of sentence-transformers: modules.json with a Transformer, a Pooling (mean, cls, last token) and a
Normalize, and max_seq_length. What else a model asks for (a Dense layer, lower-casing before the tokenizer) is refused:
its embeddings would be others than its authors'. Prompts are not put before texts.
"""

import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.embed import Embed

Pooling: TypeAlias = Literal["mean", "cls", "last"]

MAX_TOKENS = 256  # of a model that does not say: what all-MiniLM-L6-v2 was trained for
_POOLING: dict[str, Pooling] = {"mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls"}
_POOLING |= {"lasttoken": "last"}


def embed_from(
    directory: str | Path,
    *,
    pooling: Pooling | None = None,
    max_tokens: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Embed:
    """`pooling` and `max_tokens` None: as the directory says, else mean and 256.

    Raises RecipeError where a file is missing (which one, and how to make it) or the model asks for what we do not do.
    """
    root = Path(directory)
    if not root.is_dir():
        raise RecipeError(f"{root}: no such directory; want one with config.json, tokenizer.json and model.safetensors")
    folder, said = root, None
    if (root / "modules.json").is_file():
        folder, said = _modules(root)
    longest = _settings(folder, root)
    config = _json(_existing(folder / "config.json", "save the model with transformers' save_pretrained"))
    limit = config.get("max_position_embeddings")
    known = longest if isinstance(longest, int) else min(MAX_TOKENS, limit) if isinstance(limit, int) else MAX_TOKENS
    return Embed(
        config=Asset.of(folder / "config.json"),
        tokenizer=Asset.of(_existing(folder / "tokenizer.json", "save the fast tokenizer with save_pretrained")),
        weights=tuple(Asset.of(path) for path in _weights(folder)),
        pooling=pooling or said or "mean",
        max_tokens=known if max_tokens is None else max_tokens,
        device=device,
    )


def _modules(root: Path) -> tuple[Path, Pooling | None]:
    """Where the transformer lies, and how its states are pooled."""
    folder, pooling = root, None
    for module in _json(root / "modules.json"):
        match str(module.get("type", "")).rpartition(".")[2]:
            case "Transformer":
                folder = root / module.get("path", "")
            case "Pooling":
                pooling = _pooling(root / module.get("path", "") / "config.json")
            case "Normalize":
                pass  # a cosine does not ask for the length
            case other:
                raise RecipeError(f"{root}: a module {other}, which we do not have; choose a model without it")
    return folder, pooling


def _pooling(path: Path) -> Pooling:
    said = _json(_existing(path, "restore it"))
    chosen = [said["pooling_mode"]] if isinstance(said.get("pooling_mode"), str) else []
    chosen += [key.removeprefix("pooling_mode_") for key, on in said.items() if on is True and "pooling_mode_" in key]
    if len(chosen) != 1 or chosen[0] not in _POOLING:
        raise RecipeError(f"{path}: pooling {', '.join(chosen) or 'unknown'}; want one of mean, cls and last token")
    return _POOLING[chosen[0]]


def _settings(folder: Path, root: Path) -> Any:
    """The longest input that sentence-transformers gives the model, where it says so."""
    for path in (folder / "sentence_bert_config.json", root / "sentence_bert_config.json"):
        if path.is_file():
            said = _json(path)
            if said.get("do_lower_case"):
                raise RecipeError(f"{path}: do_lower_case, which we do not do; choose a model whose tokenizer does")
            return said.get("max_seq_length")
    return None


def _weights(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        return [index, *(folder / name for name in sorted(set(_json(index)["weight_map"].values())))]
    return [_existing(folder / "model.safetensors", "save the model with save_pretrained(safe_serialization=True)")]


def _existing(path: Path, advice: str) -> Path:
    if not path.is_file():
        raise RecipeError(f"{path}: no such file; {advice}")
    return path


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise RecipeError(f"{path}: no JSON ({error}); restore the file") from error
