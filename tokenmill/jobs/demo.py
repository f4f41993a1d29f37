"""`tokenmill demo`: the whole way, from raw files to training steps, on what is already on this machine."""

import time
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tokenmill.core.errors import RecipeError
from tokenmill.jobs import blend as blend_job
from tokenmill.jobs import tokenize as tokenize_job
from tokenmill.jobs import train as train_job
from tokenmill.jobs.demo_input import write_inputs
from tokenmill.jobs.engines import chosen_engine
from tokenmill.jobs.recipes import find_recipe
from tokenmill.jobs.run import funnel, run_recipe
from tokenmill.manifests.checked_json import write_whole
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

VOCABULARY = 4096
END = "<|endoftext|>"
TOKENIZER_CHARS = 4_000_000  # of text the demo's own tokenizer learns from: five seconds
SEQUENCE, BATCH, STEPS = 256, 8, 30
# A phase needs shards of its own: Megatron starts every dataset anew at a phase change. Toy sources need toy shards.
SHARD_TOKENS = {"code": 500_000, "docs": 4_000}

BLEND = """\
# The demo's blend: code beside documentation, more documentation at the end.
name: demo
tokenizer: ../tokenizer.json
sequence_length: {sequence}
total_tokens: {tokens}
seed: 1
sources:
  code: {{manifest: ../tokens/code, max_epochs: 4}}
  docs: {{manifest: ../tokens/docs, max_epochs: 4}}
phases:
  - {{name: start, until: 0.8, weights: {{code: 70, docs: 30}}}}
  - {{name: finish, until: 1.0, weights: {{code: 40, docs: 60}}}}
"""


def command(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json; without it the demo trains its own.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
) -> None:
    """Raw files to training steps, with every document accounted for. Under three minutes on two cores."""
    if tokenizer is not None and not tokenizer.is_file():
        raise RecipeError(f"{tokenizer}: no such file; give a tokenizer.json, or none")
    began = time.monotonic()
    raw = out / "input"
    if not (raw / "code.jsonl").exists():
        _say(f"1/6 Collecting the standard library, its documentation and the packages' own words into {raw}")
        written = write_inputs(raw)
        print("\n".join(f"  {n:>6,} records in {name}" for name, n in written.items()))
    _say("2/6 Documentation: HTML to text, language, Gopher, C4 and FineWeb rules, exact and near duplicates (web_en)")
    docs = _run(
        "web_en", [f"pages={raw / 'pages.warc.gz'}", f"packages={raw / 'packages.jsonl'}"], out / "docs", workers
    )
    _say("3/6 Code: near duplicates (fuzzy_dedup)")
    _run("fuzzy_dedup", [f"code={raw / 'code.jsonl'}"], out / "code", workers)
    own = tokenizer is None
    tokenizer = tokenizer or out / "tokenizer.json"
    _say(f"4/6 Tokens, in Megatron's format, with {'a tokenizer trained on the result' if own else tokenizer}")
    if own and not tokenizer.exists():
        write_whole(tokenizer, _train_tokenizer([out / "code", out / "docs"]).encode())
    for name, per_shard in SHARD_TOKENS.items():
        tokenize_job.command(
            source=[str(out / name)],
            tokenizer=str(tokenizer),
            out=str(out / "tokens" / name),
            holdout=0.05,
            shard_tokens=per_shard,
            workers=workers,
        )
    _say("5/6 Blend, and 30 steps of a tiny hybrid Mamba-MoE-attention model on it")
    recipe = out / "blend" / "demo.yaml"
    write_whole(recipe, BLEND.format(sequence=SEQUENCE, tokens=STEPS * BATCH * SEQUENCE).encode())
    blend_job.command(blend=recipe, out=out / "blend" / "compiled")
    train_job.command(blend=out / "blend" / "compiled", out=out / "model", model="tiny", batch=BATCH, steps=STEPS)
    _say("6/6 Verifying every byte")
    for place in ("docs", "code", "tokens/docs", "tokens/code"):
        found = verify(out / place)
        print(
            f"  {out / place}: {'as the manifest says' if found.ok else found.problems}, identity {found.identity[:16]}"
        )
    _say(f"Done in {time.monotonic() - began:.0f} s. What became of the documentation:")
    print(funnel(docs, out / "docs"))
    print(_where_next(out, docs))


def _run(recipe: str, sources: list[str], out: Path, workers: int | None) -> Manifest:
    manifest = run_recipe(
        find_recipe(recipe), sources, str(out), chosen_engine("local", workers=workers), {}, False, quiet=True
    )
    assert manifest is not None
    print(f"  {manifest.totals['kept']:,} of {manifest.totals['documents_in']:,} documents kept")
    return manifest


def _train_tokenizer(runs: list[Path]) -> str:
    """A byte-level BPE tokenizer of VOCABULARY ids, learned from the first documents of each run."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    texts = []
    for run in runs:
        left = TOKENIZER_CHARS // len(runs)
        for shard in Manifest.load(run).of_kind("documents"):
            for text in pq.read_table(run / shard.path, columns=["text"])["text"].to_pylist():
                if left > 0:
                    texts.append(text)
                    left -= len(text)
    learner.train_from_iterator(texts, trainer)
    return learner.to_str()


def _where_next(out: Path, docs: Manifest) -> str:
    dropped = next(s.path for s in docs.of_kind("dropped"))
    example = pq.read_table(out / "docs" / dropped, columns=["id"])["id"][0].as_py()
    return "\n".join(
        [
            "",
            "Where to look next:",
            f"  tokenmill why {out / 'docs'} {example}        # why this page went",
            f"  tokenmill what-if {out / 'docs'} --set gopher_quality.words_at_least=30",
            f"  tokenmill verify {out / 'docs'}",
            f"  {out / 'docs' / 'ledger'}                     # one row per document, in Parquet",
            f"  {out / 'model' / 'metrics.jsonl'}             # the loss, step by step",
        ]
    )


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)
