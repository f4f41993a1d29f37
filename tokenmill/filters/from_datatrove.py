"""Any datatrove step that works on one document at a time, as two steps of a recipe.

Recipe("mine", (ExtractHtml(), *from_datatrove("paragraphs", C4ParagraphFilter), ExactDedup()))
"""

from typing import Any

from tokenmill.core.errors import RecipeError
from tokenmill.core.foreign import Foreign
from tokenmill.core.stage import Filter, Stage
from tokenmill.filters.datatrove_drop import DatatroveDrop
from tokenmill.filters.datatrove_step import DatatroveStep


def from_datatrove(
    called: str,
    kind: type,
    /,
    *,
    shown: tuple[tuple[str, str], ...] = (),
    noted: tuple[tuple[str, str], ...] = (),
    anew: bool = False,
    distributions: tuple[str, ...] = (),
    **arguments: Any,
) -> tuple[Stage, Filter]:
    """The stage that runs `kind(**arguments)` and the filter, named `called`, that drops by its reasons.

    `shown` are columns that it shall find in the metadata beside `url`, `language` and the fields of `meta`; `noted`
    what it writes there and later steps want as a column, for example (("language_score", "double"),). The rest that
    it writes goes into `meta`. The version holds the arguments and the versions of datatrove, of what `kind` says it
    requires, and of `distributions` (say, spacy, for a filter that counts words). Raises RecipeError for a step that
    cannot be a stage.
    """
    if "PipelineStep" not in {c.__name__ for c in kind.__mro__}:
        raise RecipeError(f"{called}: {kind.__name__} is no step of datatrove")
    step = Foreign.of(kind, arguments, ("datatrove", *distributions))
    _check(called, step, anew)
    stage = DatatroveStep(called=called, step=step, shown=shown, noted=noted, anew=anew)
    return stage, DatatroveDrop(called=called)


def _check(called: str, step: Foreign, anew: bool) -> None:
    """Raises RecipeError for steps whose answer about a document depends on others."""
    kinds = {c.__name__ for c in step.kind.__mro__}
    where = f"{called}: {step.kind.__name__}"
    if step.argument("exclusion_writer") is not None:
        raise RecipeError(f"{where}: exclusion_writer has no use here; dropped documents are under dropped/")
    if "BaseExtractor" in kinds:
        raise RecipeError(f"{where} reads HTML; use ingest.datatrove_extractor")
    if "SamplerFilter" in kinds or ("C4BadWordsFilter" in kinds and step.argument("keep_fraction")):
        raise RecipeError(f"{where} draws from a running generator: what stays would depend on the documents before")
    turns = [n for n in ("email_replacement", "ip_replacement") if isinstance(step.argument(n), tuple)]
    if "PIIFormatter" in kinds and any(len(step.argument(n)) > 1 for n in turns) and not anew:
        raise RecipeError(
            f"{where} takes its replacements in turn, across documents; give one of each kind, or anew=True to begin "
            "with the first in every document"
        )
