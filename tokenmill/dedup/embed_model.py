"""A transformer that turns texts into vectors: loaded from files known by their hashes, run so that rows do not mix.

Padding, and the number of rows in a matrix product, change the last bits of a row. What we do about it:

- On a CPU each text goes through alone, unpadded, on one thread. Texts a second beside batches of 32, on one core with
  a model of 6 layers of 384 (benchmarks/semantic.py, 2026-11-24): .62 at 32 tokens, .87 at 64, .89 at 128, 1.08 at 256
  where a batch leaves the cache, and 1.33 for uneven texts of 10 to 256 tokens, which a batch must pad. 24 a second.
- On a GPU, that would leave it idle. Texts are padded to a power of two and go through in blocks of one shape, 64
  rows. When a model is loaded it is tried whether a row has the same bits in another place beside other rows, at
  each length; a device that fails is refused. Not tried on a GPU yet: there was none.

torch and transformers are imported when a model is loaded: the core installs without them.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError

ROWS = 64  # of a block on a GPU
_SHORTEST = 16  # tokens of a padded row
Floats = npt.NDArray[np.float32]


def need_models_extra(step: str) -> None:
    """Raises RecipeError, naming what is missing and how to get it."""
    missing = [name for name in ("torch", "transformers", "safetensors") if not _installed(name)]
    if missing:
        raise RecipeError(f'{step} needs {", ".join(missing)}: pip install "tokenmill[models]"')


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # where imports are blocked
        return False


@lru_cache(maxsize=1)
def text_model(
    config: Asset, tokenizer: Asset, weights: tuple[Asset, ...], max_tokens: int, device: str
) -> "TextModel":
    """Loaded once per process: seconds, and the size of the weights as float32."""
    return TextModel(config.path(), tokenizer.path(), [w.path() for w in weights], max_tokens, device)


class TextModel:
    """`embed` gives a vector per text that has a token."""

    def __init__(self, config: Path, tokenizer: Path, weights: Sequence[Path], max_tokens: int, device: str) -> None:
        """Raises RecipeError for files that are no model of ours to run, saying why."""
        self._tokenizer = _open_tokenizer(tokenizer, max_tokens)
        self._max_tokens = max_tokens
        self._device = device
        self._model, self.dimensions = _load(config, weights, device)
        self._padding = self._model.config.pad_token_id or 0
        self._try(config)

    def embed(self, texts: Sequence[str], pooling: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(float32[m, dimensions], bool[n]: the m texts of n with a token that is not the tokenizer's frame)."""
        present = np.zeros(len(texts), np.bool_)
        ids: list[Sequence[int]] = []
        for start in range(0, len(texts), ROWS):  # the library keeps what it cuts off, some 100 bytes a token
            encodings = self._tokenizer.encode_batch_fast(list(texts[start : start + ROWS]), add_special_tokens=True)
            for place, encoding in enumerate(encodings, start):
                if sum(encoding.special_tokens_mask) < len(encoding.ids):
                    present[place] = True
                    ids.append(encoding.ids)
        return (self.alone if self._device == "cpu" else self.in_blocks)(ids, pooling), present

    def alone(self, ids: Sequence[Sequence[int]], pooling: str) -> Floats:
        """Each text by itself, on one thread."""
        vectors = np.zeros((len(ids), self.dimensions), np.float32)
        for place, own in enumerate(ids):
            vectors[place] = self._forward([own], len(own), pooling)[0]
        return vectors

    def in_blocks(self, ids: Sequence[Sequence[int]], pooling: str) -> Floats:
        """Blocks of ROWS texts of about one length, padded to one shape; what is missing in the last is a filler."""
        vectors = np.zeros((len(ids), self.dimensions), np.float32)
        lengths = np.array([self._padded(len(own)) for own in ids], np.int64)
        for length in np.unique(lengths):
            places = np.flatnonzero(lengths == length)
            for start in range(0, len(places), ROWS):
                block = places[start : start + ROWS]
                rows = [ids[place] for place in block] + [ids[block[0]]] * (ROWS - len(block))
                vectors[block] = self._forward(rows, int(length), pooling)[: len(block)]
        return vectors

    def _padded(self, length: int) -> int:
        return min(max(_SHORTEST, 1 << (length - 1).bit_length()), self._max_tokens)

    def _forward(self, rows: Sequence[Sequence[int]], length: int, pooling: str) -> Floats:
        import torch

        ids = torch.full((len(rows), length), self._padding, dtype=torch.int64)
        mask = torch.zeros((len(rows), length), dtype=torch.int64)
        for place, own in enumerate(rows):
            ids[place, : len(own)] = torch.tensor(own)
            mask[place, : len(own)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        with torch.inference_mode(), _one_thread():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            match pooling:
                case "mean":
                    pooled = (states * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
                case "cls":
                    pooled = states[:, 0]
                case _:
                    pooled = states[torch.arange(len(rows), device=states.device), mask.sum(1) - 1]
            found: Floats = pooled.float().cpu().numpy()
        return found

    def _try(self, config: Path) -> None:
        """Whether the model takes `max_tokens` tokens, and whether rows of a block mix."""
        some = [(self._padding + 1 + n) % self._model.config.vocab_size for n in range(self._max_tokens)]
        some = [id if id != self._padding else (id + 1) % self._model.config.vocab_size for id in some]
        try:
            self._forward([some], len(some), "mean")
        except (IndexError, RuntimeError) as error:
            raise RecipeError(
                f"{config}: the model does not take {self._max_tokens} tokens ({error}); lower embed.max_tokens"
            ) from error
        if self._device == "cpu":
            return
        for length in sorted({self._padded(n) for n in range(1, self._max_tokens + 1)}):
            own, other = some[: length - 1], some[1:length]
            first = self._forward([own] + [other] * (ROWS - 1), length, "mean")[0]
            last = self._forward([other[: 1 + n % length] for n in range(ROWS - 1)] + [own], length, "mean")[-1]
            if not (first == last).all():
                raise RecipeError(
                    f"on {self._device} a text's numbers depend on its neighbours; use --set embed.device=cpu"
                )


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """No progress bar for a file that is there, and no report of a missing pooler, which we do not ask."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads divide sums, and another number of them divides otherwise. A worker is one core anyway."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _open_tokenizer(path: Path, max_tokens: int) -> tokenizers.Tokenizer:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the library asks at every call; a worker is one core
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise RecipeError(
            f"{path}: no tokenizer ({error}); want a tokenizer.json of Hugging Face tokenizers"
        ) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _load(config: Path, weights: Sequence[Path], device: str) -> tuple[Any, int]:
    """(the model, its dimensions). Nothing is read but these files, and no code comes with them."""
    import torch
    import transformers

    if device == "cuda" and not torch.cuda.is_available():
        raise RecipeError("embed.device=cuda, and torch finds no GPU here; use cpu, or a build of torch for CUDA")
    with tempfile.TemporaryDirectory(prefix="tokenmill-model-") as folder:
        (Path(folder) / "config.json").symlink_to(config.resolve())
        for path in weights:
            name = "model.safetensors" if len(weights) == 1 else path.name
            (Path(folder) / name).symlink_to(path.resolve())
        try:
            with _quiet(transformers.utils.logging):
                model, found = transformers.AutoModel.from_pretrained(
                    folder,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except Exception as error:  # whatever is wrong with a user's model, the user must give another
            raise RecipeError(f"{config}: transformers cannot load this model ({error})") from error
    # A pooler is not asked. Anything else that the weights lack would be chance.
    if missing := sorted(name for name in found["missing_keys"] if "pooler" not in name):
        raise RecipeError(f"{config}: the weights lack {missing[0]} and {len(missing) - 1} more; give the whole model")
    if model.config.is_encoder_decoder:
        raise RecipeError(f"{config}: an encoder with a decoder; give an encoder, as sentence-transformers models are")
    return model.eval().to(device), int(model.config.hidden_size)
