"""Runs of several sources, made in a folder and taken apart again: recipes, near copies, and what a run holds."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

RECIPES = """
from dataclasses import dataclass
from typing import ClassVar
import pyarrow as pa
import pyarrow.compute as pc
from tokenmill.core.recipe import Recipe
from tokenmill.core.stage import Filter, Measure, Rule, Stage
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.ingest.extract_html import ExtractHtml

TEXT = pa.schema([("text", pa.large_string())])
WORDS = pa.schema([("words", pa.float64())])

@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Measure):
    name: ClassVar[str] = "count"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = TEXT
    adds: ClassVar[pa.Schema] = WORDS

    def apply(self, batch):
        words = pc.list_value_length(pc.utf8_split_whitespace(batch["text"]))
        return batch.append_column("words", pc.cast(words, pa.float64()))

@dataclass(frozen=True, slots=True, kw_only=True)
class Short(Filter):
    name: ClassVar[str] = "short"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = WORDS
    at_most: float = 150

    @property
    def rules(self):
        return (Rule(name="at_most", measure="words", op="at_most", bound=self.at_most, source="a test"),)

@dataclass(frozen=True, slots=True, kw_only=True)
class Long(Filter):
    name: ClassVar[str] = "long"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = WORDS
    at_least: float = 70

    @property
    def rules(self):
        return (Rule(name="at_least", measure="words", op="at_least", bound=self.at_least, source="a test"),)

@dataclass(frozen=True, slots=True, kw_only=True)
class Mark(Stage):
    name: ClassVar[str] = "mark"
    revision: ClassVar[int] = 1
    edits: ClassVar[bool] = True
    reads: ClassVar[pa.Schema] = TEXT
    adds: ClassVar[pa.Schema] = TEXT

    def apply(self, batch):
        first, between = pa.scalar("marked", pa.large_string()), pa.scalar(" ", pa.large_string())
        marked = pc.binary_join_element_wise(first, batch["text"], between)
        return batch.set_column(batch.schema.get_field_index("text"), "text", marked)

WEB = Recipe("web", (ExtractHtml(), Count(), Long(), ExactDedup(), FuzzyDedup(), Short()))
APART = Recipe("apart", (ExtractHtml(), ExactDedup(), Count(), Long(), FuzzyDedup(), Short(), Mark()))
EDITED = Recipe("edited", (ExtractHtml(), ExactDedup(), Mark(), FuzzyDedup()))
CHAIN = Recipe("chain", (ExtractHtml(), FuzzyDedup()))
CUT = Recipe("cut", (ExtractHtml(), ExactDedup(), FuzzyDedup(), SubstringDedup(length=20)))
"""


def text(rng: random.Random, words: int) -> str:
    return " ".join(f"w{rng.randrange(1_000_000)}" for _ in range(words))


def near(of: str, rng: random.Random, *places: int) -> str:
    """`of` with other words at `places`: with 5 words a shingle, n places apart take 5 n of the shingles away."""
    words = of.split()
    for place in places:
        words[place] = f"x{rng.randrange(1_000_000)}"
    return " ".join(words)


class Folder:
    """Sources as JSON lines, and runs over them. A document is a pair (its own id, text)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "source_recipes.py").write_text(RECIPES)
        self.names: list[str] = []

    def source(self, name: str, documents: list[tuple[str | None, str]]) -> None:
        lines = [json.dumps({"id": i, "text": t} if i else {"text": t}) for i, t in documents]
        (self.path / f"{name}.jsonl").write_text("\n".join(lines))
        self.names.append(name)

    def run(self, out: str, recipe: str = "WEB", names: list[str] | None = None, *more: str) -> Manifest:
        sources = [a for n in names or self.names for a in ("--source", f"{n}={self.path}/{n}.jsonl")]
        command = ["run", f"{self.path}/source_recipes.py:{recipe}", "--out", f"{self.path}/{out}", "--workers", "1"]
        assert main([*command, *sources, *more]) == 0
        return self.verified(out)

    def take_down(self, run: str, source: str, out: str, recipe: str = "WEB", *more: str) -> Manifest:
        assert self.command(run, source, out, recipe, *more) == 0
        return self.verified(out)

    def command(self, run: str, source: str, out: str, recipe: str = "WEB", *more: str) -> int:
        command = ["takedown", f"{self.path}/{run}", "--source", source, "--out", f"{self.path}/{out}"]
        return main([*command, "--recipe", f"{self.path}/source_recipes.py:{recipe}", "--workers", "1", *more])

    def verified(self, out: str) -> Manifest:
        assert verify(self.path / out).problems == []
        assert not (self.path / out / "_work").exists()
        return Manifest.load(self.path / out)

    def rows(self, out: str, kind: str) -> list[dict[str, Any]]:
        return [r for p in sorted((self.path / out / kind).rglob("*.parquet")) for r in pq.read_table(p).to_pylist()]

    def texts(self, out: str, kind: str) -> dict[str, str]:
        """By id, which no two records share."""
        rows = self.rows(out, kind)
        assert len({r["id"] for r in rows}) == len(rows)
        return {r["id"]: r["text"] for r in rows}

    def books(self, out: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Ledger rows by address."""
        return {(r["shard"], r["row"]): r for r in self.rows(out, "ledger")}
