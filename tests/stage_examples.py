"""One instance of every step, the columns that it reads, and how to call it without an engine.

Steps are found by scanning the package: nobody registers anything. A step with a parameter that has no default
needs one line in `EXAMPLES`.
"""

import atexit
import functools
import importlib
import inspect
import io
import pkgutil
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import tokenizers
from datatrove_examples import between_tags, c4
from sample_documents import documents
from tiny_text_model import tiny_text_model

import tokenmill
from tokenmill.core.asset import Asset
from tokenmill.core.barrier import Regroup, Summary, Verdict
from tokenmill.core.document import SHARD_NAME
from tokenmill.core.format import Format
from tokenmill.core.recipe import SOURCE_COLUMNS
from tokenmill.core.stage import Filter, Stage
from tokenmill.core.step import Step
from tokenmill.dedup.embed import Embed
from tokenmill.dedup.embed_directory import embed_from
from tokenmill.filters.datatrove_drop import DatatroveDrop
from tokenmill.filters.datatrove_step import DatatroveStep
from tokenmill.ingest.datatrove_extractor import DatatroveExtractor
from tokenmill.tokenize.megatron_shards import MegatronShards
from tokenmill.tokenize.tokenize import Tokenize

STEP_FOLDERS = ("ingest", "filters", "dedup", "synth", "tokenize")
EOD = "<end>"

Kind = TypeVar("Kind", bound=Step)


@functools.cache
def tiny_tokenizer() -> Asset:
    """Every byte a token, four merges by hand, and an end token: no training, so the same on every machine."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("e", "r")]
    tokens = [EOD, *alphabet, *(a + b for a, b in merges)]
    model = tokenizers.models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([EOD])
    folder = Path(tempfile.mkdtemp(prefix="tokenmill-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "tiny.tokenizer.json"
    tokenizer.save(str(path))
    return Asset.of(path)


# What a step needs to be made at all. Everything else is tried with its defaults.
EXAMPLES: dict[type[Step], Callable[[], Step]] = {
    Tokenize: lambda: Tokenize(tokenizer=tiny_tokenizer(), eod=EOD),
    Embed: lambda: embed_from(tiny_text_model()),
    DatatroveStep: lambda: c4()[0],
    DatatroveDrop: lambda: c4()[1],
    DatatroveExtractor: between_tags,
    MegatronShards: lambda: MegatronShards(vocabulary_size=261),
}


@functools.cache
def step_classes() -> tuple[type[Step], ...]:
    """Every concrete step of the package, by name.

    Modules are scanned, not `__subclasses__()`: `@dataclass(slots=True)` leaves a ghost class there.
    """
    found: set[type[Step]] = set()
    for folder in STEP_FOLDERS:
        package = importlib.import_module(f"tokenmill.{folder}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(value) and issubclass(value, Step) and not inspect.isabstract(value):
                    if value.__module__.startswith(f"{tokenmill.__name__}.") and hasattr(value, "name"):
                        found.add(value)
    return tuple(sorted(found, key=lambda c: (c.name, c.__module__)))


@functools.cache
def example(cls: type[Kind]) -> Kind:
    """An instance of `cls`. Raises TypeError, saying what to do, where one cannot be made."""
    if cls in EXAMPLES:
        return EXAMPLES[cls]()  # type: ignore[return-value]
    try:
        return cls()
    except TypeError as error:
        raise TypeError(
            f"{cls.__module__}.{cls.__name__} needs parameters; add it to EXAMPLES in {__file__}"
        ) from error


def every(kind: type[Kind]) -> list[Kind]:
    return [example(c) for c in step_classes() if issubclass(c, kind)]


@functools.cache
def prepared(step: Step) -> pa.RecordBatch:
    """The documents with every column that `step` reads, measured by the steps that measure it."""
    batch = documents()
    for stage in _providers(step):
        batch = stage.apply(batch)
        batch = batch.filter(pc.is_null(batch["error"]))
    if isinstance(step, Format):  # the engine names the shard for a format
        batch = batch.append_column(SHARD_NAME, pa.repeat("sample-00000", batch.num_rows))
    return batch


def _providers(step: Step) -> list[Stage]:
    """The stages that add what `step` reads, in the order in which they must run."""
    reads = [f.name for f in step.reads]
    if isinstance(step, Filter):
        reads += [rule.measure for rule in step.rules]
    # A reader gives no language; a filter on it is shown what a stage found out.
    given = {*SOURCE_COLUMNS.names, SHARD_NAME.name} - ({"language"} if isinstance(step, Filter) else set())
    chain: list[Stage] = []
    for column in reads:
        if column in given:
            continue
        # Who reads the column too passes it on, and does not find it out.
        others = [s for s in every(Stage) if s is not step and not isinstance(s, Filter)]
        candidates = [s for s in others if column in s.adds.names and column not in s.reads.names]
        if not candidates:
            raise LookupError(f"{step.name} reads {column}, and no stage of the package adds that")
        chain += [s for s in (*_providers(candidates[0]), candidates[0]) if s not in chain]
    return chain


def summary_for(step: Regroup | Verdict) -> pa.Table | None:
    """The asset that `step` wants, as the sample documents make it."""
    if step.wants is None:
        return None
    (wanted,) = [s for s in every(Summary) if s.name == step.wants]
    return wanted.finish(wanted.merge(wanted.observe(prepared(wanted))))


class Kept(io.BytesIO):
    """A file whose content outlives its closing."""

    content = b""

    def close(self) -> None:
        if not self.closed:
            self.content = self.getvalue()
        super().close()


def written(format: Format, batches: list[pa.RecordBatch]) -> dict[str, bytes]:
    files: dict[str, Kept] = {}

    def create(suffix: str) -> Kept:
        files[suffix] = Kept()
        return files[suffix]

    format.write(batches, create)
    for file in files.values():
        file.close()
    return {suffix: file.content for suffix, file in files.items()}
