"""A model of three thousand numbers that loads like a real one: BERT's shape, weights by chance, letters as tokens.

It tests the machinery, not meaning: a model that has learnt nothing knows which letters a text has, and little else.
Weights come from Python's own generator, so the files are the same on every machine.
"""

import atexit
import functools
import json
import random
import shutil
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from safetensors.numpy import save_file
from tokenizers import models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LETTERS = string.ascii_lowercase + string.digits + ".,:;!?'\"()-"
VOCABULARY = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "the", "and", "##ing"]


@functools.cache
def tiny_text_model(dimensions: int = 8, seed: int = 0) -> Path:
    """A directory that transformers loads: 2 layers, 128 positions. Made in a few milliseconds, once per process."""
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_model(folder, dimensions, seed)
    return folder


def write_model(folder: Path, dimensions: int, seed: int, **config: Any) -> None:
    shape: dict[str, Any] = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": len(VOCABULARY),
        "hidden_size": dimensions,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 2 * dimensions,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(shape | config))
    save_file(_weights(dimensions, seed), folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer().save(str(folder / "tokenizer.json"))


def _weights(dimensions: int, seed: int) -> dict[str, np.ndarray]:
    chance = random.Random(seed)

    def matrix(*shape: int, scale: float) -> np.ndarray:
        numbers = [chance.uniform(-scale, scale) for _ in range(int(np.prod(shape)))]
        return np.array(numbers, np.float32).reshape(shape)

    d = dimensions
    tensors = {
        "embeddings.word_embeddings.weight": matrix(len(VOCABULARY), d, scale=1),
        "embeddings.position_embeddings.weight": matrix(128, d, scale=0.2),
        "embeddings.token_type_embeddings.weight": matrix(2, d, scale=0.2),
    }
    layers = [f"encoder.layer.{n}." for n in range(2)]
    linear = {"attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d)}
    linear |= {"attention.output.dense": (d, d), "intermediate.dense": (2 * d, d), "output.dense": (d, 2 * d)}
    for layer in layers:
        for name, shape in linear.items():
            tensors[f"{layer}{name}.weight"] = matrix(*shape, scale=0.5)
            tensors[f"{layer}{name}.bias"] = matrix(shape[0], scale=0.1)
    norms = ["embeddings.LayerNorm", *(layer + name for layer in layers for name in _NORMS)]
    for name in norms:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = np.ones(d, np.float32), np.zeros(d, np.float32)
    return tensors


_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


def _tokenizer() -> tokenizers.Tokenizer:
    vocabulary = {token: id for id, token in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    frame = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=frame)
    return tokenizer
