"""Documents that mean the same: embedded by the user's model, gathered into clusters, compared within each."""

from pathlib import Path
from typing import Literal

from tokenmill.core.recipe import Recipe
from tokenmill.dedup.cluster_sample import ClusterSample
from tokenmill.dedup.embed_directory import embed_from
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.semantic import SemanticDedup
from tokenmill.ingest.extract_html import ExtractHtml


def semantic_dedup_recipe(model: str | Path, *, device: Literal["cpu", "cuda"] = "cpu") -> Recipe:
    """A function, not a constant: a model is always the user's. `model` is a directory that transformers has saved.

    Raises RecipeError for a directory that holds no model that can be run, saying which file is missing.
    """
    return Recipe(
        "semantic_dedup",
        (
            ExtractHtml(),
            ExactDedup(),  # embedding is dear, 10 to 70 ms a document on a core, and equal texts need it once
            embed_from(model, device=device),
            ClusterSample(),
            SemanticDedup(),
        ),
    )
