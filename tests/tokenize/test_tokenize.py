"""Ids are those of the reference library, end with EOD, decode to the text, and no text becomes a special token."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.tokenize import byte_bpe, library_encoder
from tokenmill.tokenize.end_of_document import end_token
from tokenmill.tokenize.tokenize import Tokenize, encoder_of

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
TOKENIZERS = DATA / "tokenizers"
LOSSLESS = ["deepseek", "dolma2", "llama3", "qwen2", "roberta-gpt2"]  # byte-level, without a normaliser that edits
ALL = [*LOSSLESS, "gpt-neox-olmo", "llama2", "t5-small"]
AWKWARD = [
    "",
    " ",
    "\n\n",
    "a\0b",
    "e\u0301 \u00e9",
    "👩‍👩‍👧‍👦🇩🇪",
    "日本語テキスト",
    "مرحبا",
    "\u202e\ufeff\ufffd",
    "  spaces   and\ttabs\r\n",
    "x" * 100_000,
]

real = pytest.mark.skipif(not TOKENIZERS.is_dir(), reason=f"no real tokenizers at {TOKENIZERS}")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A byte-level BPE of 256 bytes and a few merges, <eod> special, <not> added but not special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<eod>"], show_progress=False
    )
    tokenizer.train_from_iterator(["the cat sat on the mat", "the end"], trainer)
    tokenizer.add_tokens([AddedToken("<not>", special=False)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def stage(path: Path, eod: str = "<eod>") -> Tokenize:
    return Tokenize(tokenizer=Asset.of(path), eod=eod)


def batch(*texts: str | None) -> pa.RecordBatch:
    return pa.record_batch({"text": pa.array(texts, pa.large_string())})


def ids_of(path: Path, *texts: str | None, eod: str = "<eod>") -> list[list[int]]:
    return stage(path, eod).apply(batch(*texts))["ids"].to_pylist()  # type: ignore[no-any-return]


def test_every_document_ends_with_its_end_and_tokens_counts_it(tiny: Path) -> None:
    out = stage(tiny).apply(batch("the cat", "", None))
    eod = encoder_of(Asset.of(tiny), "<eod>").eod
    assert out.schema.names == ["text", "ids", "tokens"]
    assert out.schema.field("ids").type == pa.large_list(pa.int32())
    assert [ids[-1] for ids in out["ids"].to_pylist()] == [eod] * 3
    assert out["ids"].to_pylist()[1:] == [[eod], [eod]]
    assert out["tokens"].to_pylist() == [len(ids) for ids in out["ids"].to_pylist()]


def test_no_rows_give_no_rows(tiny: Path) -> None:
    assert stage(tiny).apply(batch()).num_rows == 0


def test_a_sliced_batch_gives_the_rows_of_the_slice(tiny: Path) -> None:
    whole = stage(tiny).apply(batch("the cat", "sat", "on the mat", None))["ids"].to_pylist()
    assert stage(tiny).apply(batch("the cat", "sat", "on the mat", None).slice(1, 2))["ids"].to_pylist() == whole[1:3]


def test_ids_do_not_depend_on_how_texts_are_chunked(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the cat", "", "sat on the mat", "the " * 50, "", "end"]
    whole = ids_of(tiny, *texts)
    monkeypatch.setattr(byte_bpe, "AT_ONCE", 10)
    monkeypatch.setattr(library_encoder, "CHUNK_CHARS", 10)
    assert ids_of(tiny, *texts) == whole


def test_special_tokens_in_a_text_stay_text(tiny: Path) -> None:
    eod = encoder_of(Asset.of(tiny), "<eod>").eod
    (ids,) = ids_of(tiny, "one <eod> two<eod>")
    assert ids.count(eod) == 1 and ids[-1] == eod
    assert Tokenizer.from_file(str(tiny)).decode(ids[:-1], skip_special_tokens=False) == "one <eod> two<eod>"


def test_an_added_token_that_is_not_special_is_vocabulary_until_it_ends_documents(tiny: Path) -> None:
    added = Tokenizer.from_file(str(tiny)).token_to_id("<not>")
    assert added in ids_of(tiny, "a <not> b")[0]
    (ids,) = ids_of(tiny, "a <not> b", eod="<not>")
    assert ids.index(added) == len(ids) - 1


def test_an_end_that_is_an_ordinary_piece_is_spelled_out_inside_texts(tmp_path: Path) -> None:
    """The model can make the piece `ab` from plain text; as the end of documents it must not."""
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert ids_of(tmp_path / "tokenizer.json", "aab", eod="ab") == [[0, 0, 1, 2]]
    assert ids_of(tmp_path / "tokenizer.json", "aab", eod="b") == [[0, 2, 1]]


def test_a_piece_that_cannot_be_spelled_otherwise_is_refused(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"ab": 0, "[end]": 1}, unk_token="ab")).save(str(tmp_path / "known.json"))
    assert ids_of(tmp_path / "known.json", "[end]", eod="[end]") == [[0] * 5 + [1]]  # each character is unknown
    Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).save(str(tmp_path / "unknown.json"))
    with pytest.raises(RecipeError, match="no other way to write 'a'"):
        ids_of(tmp_path / "unknown.json", "a", eod="a")


def test_truncation_padding_and_random_merges_in_the_file_are_ignored(tiny: Path) -> None:
    plain = ids_of(tiny, "the cat sat", "the")
    tokenizer = Tokenizer.from_file(str(tiny))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=64)
    tokenizer.model.dropout = 0.9
    tokenizer.save(str(tiny.with_name("other.json")))
    assert ids_of(tiny.with_name("other.json"), "the cat sat", "the") == plain


def test_the_vocabulary_ends_behind_the_highest_id(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"a": 0, "</s>": 70_000}, unk_token="a")).save(str(tmp_path / "gap.json"))
    assert encoder_of(Asset.of(tmp_path / "gap.json"), "</s>").vocabulary_size == 70_001


def test_an_unknown_end_is_refused(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="'<gone>' is not in the vocabulary"):
        ids_of(tiny, "a", eod="<gone>")


def test_the_version_follows_the_content_and_the_end_not_the_place(tiny: Path) -> None:
    copy = tiny.with_name("copy.json")
    copy.write_bytes(tiny.read_bytes())
    assert stage(tiny).version == stage(copy).version != stage(tiny, "<not>").version


@real
@pytest.mark.parametrize("name", ALL)
def test_no_special_token_of_a_published_tokenizer_can_be_written_as_text(name: str) -> None:
    path = TOKENIZERS / f"{name}.tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    eod = end_token(path, None)
    special = {id: t.content for id, t in tokenizer.get_added_tokens_decoder().items() if t.special}
    unknown = {id for id, content in special.items() if content == "<unk>"}  # what no piece covers may be unknown
    texts = [form for content in special.values() for form in (content, f"a {content} b", f"x{content}{content}y")]
    for text, ids in zip(texts, ids_of(path, *texts, eod=eod), strict=True):
        assert not (set(ids[:-1]) & (special.keys() - unknown)), text
        assert ids[-1] == tokenizer.token_to_id(eod)


@real
@pytest.mark.parametrize("name", LOSSLESS)
def test_decoding_gives_the_document_back(name: str) -> None:
    path = TOKENIZERS / f"{name}.tokenizer.json"
    eod = end_token(path, None)
    with gzip.open(DATA / "webtext" / "c4_demo.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][:30]
    texts += [*AWKWARD, f"a {eod} in the text", "a<s></s><|im_start|>"]
    tokenizer = Tokenizer.from_file(str(path))
    for text, ids in zip(texts, ids_of(path, *texts, eod=eod), strict=True):
        assert tokenizer.decode(ids[:-1], skip_special_tokens=False) == text


@real
@pytest.mark.parametrize("name", ALL)
def test_ids_are_those_of_the_library_where_no_special_token_is_written(name: str) -> None:
    path = TOKENIZERS / f"{name}.tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    eod = end_token(path, None)
    wanted = [tokenizer.encode(text, add_special_tokens=False).ids for text in AWKWARD]
    assert [ids[:-1] for ids in ids_of(path, *AWKWARD, eod=eod)] == wanted
