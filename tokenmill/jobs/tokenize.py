"""`tokenmill tokenize`: documents to Megatron's token shards."""

from enum import Enum
from typing import Annotated

import typer

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import warn
from tokenmill.jobs.engines import chosen_engine
from tokenmill.jobs.places import scratch_folder
from tokenmill.jobs.run import run_recipe
from tokenmill.manifests.asset_cache import use_assets
from tokenmill.pipelines.tokens import HOLDOUT, TOKENS_PER_SHARD, token_facts, tokenize_recipe, why_slow


class Device(Enum):
    """Where ids are made. Both must give the same."""

    CPU = "cpu"
    CUDA = "cuda"


def command(
    source: Annotated[list[str], typer.Option(help="PATH or NAME=PATH: file, folder, quoted glob or run; repeatable.")],
    tokenizer: Annotated[str, typer.Option(help="A Hugging Face tokenizer.json: its path or URL.")],
    out: Annotated[str, typer.Option(help="The run's directory or URL: new, or this very run unfinished.")],
    eod: Annotated[str | None, typer.Option(help="The token that ends a document; by default the tokenizer's.")] = None,
    holdout: Annotated[float, typer.Option(help="Share of the documents kept from training, by id.")] = HOLDOUT,
    seed: Annotated[int, typer.Option(help="Of the shuffle.")] = 0,
    shard_tokens: Annotated[int, typer.Option(help="Tokens per shard, about.")] = TOKENS_PER_SHARD,
    device: Annotated[Device, typer.Option(help="Where to tokenize.")] = Device.CPU,
    engine: Annotated[str, typer.Option(help="Where the work runs: local, spark, dask or datatrove.")] = "local",
    workers: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    master: Annotated[str | None, typer.Option(help="Of Spark; by default spark-submit's, or all cores here.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of Dask's; by default processes here.")] = None,
    assets: Annotated[
        str | None, typer.Option(help="PATH or URL that all workers reach: the tokenizer is put there by content.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Write token shards that Megatron reads, and a map from every document to its place in them."""
    if device is Device.CUDA:
        raise RecipeError("--device cuda: this version tokenizes on the CPU; leave --device out")
    use_assets(assets, scratch_folder())
    where = chosen_engine(engine, workers=workers, master=master, scheduler=scheduler)
    recipe = tokenize_recipe(Asset.of(tokenizer), eod=eod, holdout=holdout, seed=seed, tokens_per_shard=shard_tokens)
    if (reason := why_slow(recipe)) is not None:
        warn(f"{tokenizer}: goes by Hugging Face tokenizers, some ten times slower than our kernel: {reason}")
    run_recipe(recipe, source, out, where, token_facts(recipe), as_json, assets=assets)
