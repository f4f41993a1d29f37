"""What the kernel takes on has the library's ids; what it does not take on is said, and goes by the library."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from tokenmill.kernels.pretoken_table import PRETOKENS
from tokenmill.tokenize.encoder import Encoder
from tokenmill.tokenize.library_encoder import LibraryEncoder

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
ENDS = {
    "llama3": "<|end_of_text|>",
    "qwen2": "<|endoftext|>",
    "dolma2": "<|endoftext|>",
    "deepseek": "<｜end▁of▁sentence｜>",
}
ENDS |= {"roberta-gpt2": "</s>", "gpt-neox-olmo": "<|endoftext|>", "llama2": "</s>", "t5-small": "</s>"}
BY_LIBRARY = {"llama2": "byte_fallback: a SentencePiece model", "t5-small": "a model without merges"}
ALPHABET = "abcdeTHE  ..,'s\n\t 12٣é\u0301中ーあ😀<not>\u00e9\u1100\u1161\u0344ſK"
AWKWARD = [
    "",
    " ",
    "  ",
    "\n",
    " a",
    "a ",
    "e\u0301",
    "\u0344",
    "x<not>y",
    "<not>",
    "<no",
    "<eod>",
    "a<eod>b",
    "\u1100\u1161\u11a8",
]

real = pytest.mark.skipif(not (DATA / "tokenizers").is_dir(), reason=f"no real tokenizers at {DATA / 'tokenizers'}")
needs_text = pytest.mark.skipif(not (DATA / "code").is_dir(), reason=f"no real text at {DATA}")


def tokenizer(folder: Path, pre_tokenizer: Any = None, normalizer: Any = None, **model: Any) -> Path:
    made = Tokenizer(models.BPE(**model))
    made.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    if normalizer is not None:
        made.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(
        ["the cat sat on the mat 12 123", "déjà vu, été", "THE END's 中中中 \n\n  and more"] * 3, trainer
    )
    made.add_special_tokens(["<eod>"])
    made.add_tokens([AddedToken("<not>", special=False), AddedToken("<not>2", special=False)])
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def split(pattern: str, behavior: str = "isolated", *, invert: bool = False) -> Any:
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def bytes_after(*splits: Any) -> Any:
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def check(path: Path, eod: str, texts: Sequence[str]) -> Encoder:
    encoder = Encoder(path, eod)
    ids, lengths = encoder.encode(pa.array(texts, pa.large_string()))
    wanted, of_wanted = LibraryEncoder(path, eod).encode(texts)
    if not np.array_equal(lengths, of_wanted) or not np.array_equal(ids, wanted):
        here, there = (np.split(i, np.cumsum(n)[:-1]) for i, n in ((ids, lengths), (wanted, of_wanted)))
        wrong = next(k for k in range(len(texts)) if not np.array_equal(here[k], there[k]))
        raise AssertionError(f"text {wrong}, {texts[wrong][:200]!r}: {here[wrong][:40]}, want {there[wrong][:40]}")
    return encoder


KINDS = {
    "byte level": {},
    "a space before a text": {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
    "nfc": {"normalizer": normalizers.NFC()},
    "no normaliser in a sequence": {"normalizer": normalizers.Sequence([])},
    "whole pretokens": {"ignore_merges": True},
    "digits one by one": {
        "pre_tokenizer": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    },
    "runs of digits": {
        "pre_tokenizer": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    },
    "two splits": {"pre_tokenizer": bytes_after(split(r"\p{N}{1,2}"), split(r" ?\p{L}+|[^\p{L}]+"))},
    "a split that leaves text out": {"pre_tokenizer": bytes_after(split(r" ?\p{L}+"))},
    "matches kept": {"pre_tokenizer": bytes_after(split(r"\p{L}+|\P{L}", "removed", invert=True))},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_gives_the_library_s_ids(tmp_path, kind):
    path, rng = tokenizer(tmp_path, **KINDS[kind]), random.Random(len(kind))
    texts = [*AWKWARD, *("".join(rng.choices(ALPHABET, k=rng.randrange(30))) for _ in range(1_000))]
    encoder = check(path, "<eod>", texts)
    assert encoder.why_library is None


UNKNOWN = {
    "a split at a string": {"pre_tokenizer": bytes_after(pre_tokenizers.Split("a", "isolated"))},
    "a split whose behavior": {"pre_tokenizer": bytes_after(split(r"\s+|\S+", "merged_with_next"))},
    "a split that loses": {"pre_tokenizer": bytes_after(split(r"\p{L}+", "removed", invert=True))},
    "a group": {"pre_tokenizer": bytes_after(split(r"(?<=a)b|[^b]"))},
    "the pre_tokenizer WhitespaceSplit": {"pre_tokenizer": bytes_after(pre_tokenizers.WhitespaceSplit())},
    "the normalizer Lowercase": {"normalizer": normalizers.Lowercase()},
}


@pytest.mark.parametrize("why", UNKNOWN)
def test_what_the_kernel_does_not_do_goes_by_the_library_and_is_said(tmp_path, why):
    encoder = check(tokenizer(tmp_path, **UNKNOWN[why]), "<eod>", AWKWARD)
    assert encoder.why_library is not None and encoder.why_library.startswith(why)


def test_only_texts_with_an_added_token_leave_the_kernel(tmp_path):
    encoder = check(tokenizer(tmp_path), "<eod>", ["the cat", "<not> this", "sat"])
    assert encoder._kernel is not None
    assert encoder._kernel[1].counts[PRETOKENS] == 3


@real
@pytest.mark.parametrize("name", BY_LIBRARY)
def test_which_real_tokenizers_do_not_go_by_the_kernel(name):
    assert Encoder(DATA / "tokenizers" / f"{name}.tokenizer.json", ENDS[name]).why_library == BY_LIBRARY[name]


def real_texts(most: int) -> list[str]:
    """Code, 75 languages and traces: whole documents, `most` bytes of each file, by turns from all over it."""
    found: list[str] = []
    for file in sorted([*DATA.glob("code/*.parquet"), *DATA.glob("multilingual/*.parquet")]):
        texts = [t for t in pq.read_table(file)["text"].to_pylist() if t]
        random.Random(file.name).shuffle(texts)
        size = 0
        for text in texts:
            size += len(text.encode())
            if size > most:
                break
            found.append(text)
    for file in sorted((DATA / "traces").rglob("*.json*")):
        found += [line for line in file.read_text(errors="replace")[:most].splitlines() if line]
    return found


@real
@needs_text
@pytest.mark.parametrize("name", sorted(ENDS.keys() - BY_LIBRARY.keys()))
def test_ids_of_real_text_are_the_library_s(name):
    encoder = check(DATA / "tokenizers" / f"{name}.tokenizer.json", ENDS[name], real_texts(100_000))
    assert encoder.why_library is None


@real
@needs_text
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ENDS.keys() - BY_LIBRARY.keys()))
def test_ids_of_all_real_text_are_the_library_s(name):
    check(DATA / "tokenizers" / f"{name}.tokenizer.json", ENDS[name], real_texts(1 << 40))


CONTEXTS = ("{}", "a{}", "A{}b", " {}", "1{}2", "'{}", "\n{}", "{}{}", ".{}\u0301x", "  {} ")


@real
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ENDS.keys() - BY_LIBRARY.keys()))
def test_every_code_point_in_ten_contexts(name):
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    path = DATA / "tokenizers" / f"{name}.tokenizer.json"
    encoder, library = Encoder(path, ENDS[name]), LibraryEncoder(path, ENDS[name])
    for context in CONTEXTS:
        texts = [context.replace("{}", point) for point in points]
        ids, lengths = encoder.encode(pa.array(texts, pa.large_string()))
        wanted, of_wanted = library.encode(texts)
        assert np.array_equal(lengths, of_wanted) and np.array_equal(ids, wanted), context


def test_a_file_without_a_type_is_what_its_merges_say(tmp_path):
    """As older files of Hugging Face are."""
    path = tokenizer(tmp_path)
    content = json.loads(path.read_text())
    del content["model"]["type"]
    path.write_text(json.dumps(content))
    assert check(path, "<eod>", AWKWARD).why_library is None
    content["model"]["end_of_word_suffix"] = "</w>"
    path.write_text(json.dumps(content))
    assert check(path, "<eod>", AWKWARD).why_library == "model.end_of_word_suffix"
