"""Documents to Megatron's token shards, shuffled, with some held out."""

from typing import Any

from tokenmill.core.asset import Asset
from tokenmill.core.recipe import Recipe
from tokenmill.ingest.extract_html import ExtractHtml
from tokenmill.tokenize.count_tokens import CountTokens
from tokenmill.tokenize.end_of_document import end_token
from tokenmill.tokenize.megatron_shards import MegatronShards
from tokenmill.tokenize.shuffle_into_shards import ShuffleIntoShards
from tokenmill.tokenize.tokenize import Tokenize, encoder_of

HOLDOUT = 0.001  # of the documents: of a trillion tokens a billion, more than any validation reads
TOKENS_PER_SHARD = 2**28  # half a gigabyte as uint16: a shard is written in seconds and sorted in memory


def tokenize_recipe(
    tokenizer: Asset,
    *,
    eod: str | None = None,
    holdout: float = HOLDOUT,
    seed: int = 0,
    tokens_per_shard: int = TOKENS_PER_SHARD,
) -> Recipe:
    """A function, not a constant: a tokenizer is always the user's. `eod` None: as tokenize/end_of_document.py finds.

    Raises RecipeError for a file that is no tokenizer and an end that it does not have.
    """
    end = end_token(tokenizer.path(), eod)
    return Recipe(
        "tokenize",
        (
            ExtractHtml(),  # crawls may be given as they are: without it a page would have no text, and one token
            Tokenize(tokenizer=tokenizer, eod=end),
            CountTokens(holdout=holdout),
            ShuffleIntoShards(seed=seed, holdout=holdout, tokens_per_shard=tokens_per_shard),
        ),
        format=MegatronShards(vocabulary_size=encoder_of(tokenizer, end).vocabulary_size),
    )


def why_slow(recipe: Recipe) -> str | None:
    """What the kernel does not do of the recipe's tokenizer, so that the library does all of it; None where it does."""
    step = next(s for s in recipe.steps if isinstance(s, Tokenize))
    return encoder_of(step.tokenizer, step.eod).why_library


def token_facts(recipe: Recipe) -> dict[str, Any]:
    """What readers of the shards must know, for the run's manifest: whose ids they are, and what ends a document."""
    step = next(s for s in recipe.steps if isinstance(s, Tokenize))
    count = next(s for s in recipe.steps if isinstance(s, CountTokens))
    encoder = encoder_of(step.tokenizer, step.eod)
    return {
        "tokenizer": step.tokenizer.sha256,
        "vocabulary_size": encoder.vocabulary_size,
        "eod": encoder.eod,
        "eod_token": step.eod,
        "holdout": count.holdout,
    }
