"""`tokenmill tokenize` from a file to shards; what is wrong with the request is said before anything runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from typer.testing import CliRunner

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.tokenize import command
from tokenmill.manifests.manifest import Manifest


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A byte a token, two special ones."""
    alphabet = {piece: i for i, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["</s>", "<stop>"])
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "text": f"text {i}"}) + "\n" for i in range(20)))
    return path


def tokenize(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [*map(str, arguments), "--workers", "1", "--json"], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def decoded(out: Path, tokenizer: Path) -> list[str]:
    """Every document of every shard, in order of their texts."""
    manifest, decoder = Manifest.load(out), Tokenizer.from_file(str(tokenizer))
    shards = [np.fromfile(out / s.path, "<u2") for s in manifest.of_kind("tokens") if s.path.endswith(".bin")]
    documents = [
        part for ids in shards for part in np.split(ids, np.flatnonzero(ids == manifest.facts["eod"]) + 1)[:-1]
    ]
    return sorted(decoder.decode(ids[:-1].tolist(), skip_special_tokens=False) for ids in documents)


def test_documents_become_shards_and_the_facts_are_printed(source: Path, tokenizer: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = tokenize("--source", source, "--tokenizer", tokenizer, "--out", out, "--eod", "<stop>", "--holdout", "0.2")
    texts = [f"text {i}" for i in range(20)]
    assert found["totals"]["tokens"] == sum(len(t) + 1 for t in texts)
    assert decoded(out, tokenizer) == sorted(texts)
    assert Manifest.load(out).facts["eod_token"] == "<stop>"
    assert found["identity"] == Manifest.load(out).identity


def test_a_crawl_is_taken_as_it_is(tokenizer: Path, tmp_path: Path) -> None:
    page = b"<html><body><p>A page of a crawl, in one paragraph.</p></body></html>"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    record = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.com/\r\n"
        b"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (len(http), http)
    )
    (tmp_path / "in.warc").write_bytes(record)
    tokenize("--source", tmp_path / "in.warc", "--tokenizer", tokenizer, "--out", tmp_path / "out", "--holdout", "0")
    assert decoded(tmp_path / "out", tokenizer) == ["A page of a crawl, in one paragraph."]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--device", "cuda"], "this version tokenizes on the CPU", id="no GPU path"),
        pytest.param(
            ["--eod", "<gone>"], "'<gone>' ends a document, and it is not in the vocabulary", id="no such end"
        ),
        pytest.param(["--holdout", "1"], "holdout=1.0, want a share", id="everything held out"),
        pytest.param(["--shard-tokens", "0"], "tokens_per_shard=0, want at least 1", id="empty shards"),
        pytest.param(["--tokenizer", "gone.json"], "gone.json: no such file", id="no tokenizer"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(
    source: Path, tokenizer: Path, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    with pytest.raises(RecipeError, match=complaint):
        tokenize("--source", source, "--tokenizer", tokenizer, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()
