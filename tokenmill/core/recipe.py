"""A recipe is a named, ordered list of steps: the what, never the how."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

import pyarrow as pa

from tokenmill.core.barrier import Barrier, Regroup, SpanVerdict, Summary, Verdict
from tokenmill.core.document import RECORD, SHARD_NAME, TRAVELLING
from tokenmill.core.errors import RecipeError
from tokenmill.core.format import Format
from tokenmill.core.stage import Filter, Measure, Stage

SOURCE_COLUMNS = pa.schema([*RECORD, *TRAVELLING])  # what the first step may read


@dataclass(frozen=True, slots=True)
class Segment:
    """The stages between two runs of barriers, and the barriers that end it."""

    stages: tuple[Stage, ...]
    barriers: tuple[Barrier, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """`steps` in order. `format` is None where the run ends in Parquet documents.

    `keeps_dropped`: documents that leave are kept under dropped/, with their text. Without, the ledger alone
    remembers them, and what a filter took can only be had again by a new run. `indexes`: what verdicts know of the
    kept documents is written under index/, and later runs are deduplicated against it.
    """

    name: str
    steps: tuple[Stage | Barrier, ...]
    format: Format | None = None
    keeps_dropped: bool = True
    indexes: bool = False

    def all_steps(self) -> tuple[Stage | Barrier | Format, ...]:
        return self.steps if self.format is None else (*self.steps, self.format)

    def check(self) -> pa.Schema:
        """The columns behind the last step. Raises RecipeError, before anything runs, naming the step that is wrong."""
        names = Counter(step.name for step in self.all_steps())
        for name, count in names.items():
            if count > 1:
                raise RecipeError(f"{self.name}: {count} steps are called {name}; names must differ, `--set` uses them")
        columns = SOURCE_COLUMNS
        summaries: set[str] = set()
        regrouped: Regroup | None = None
        for step in self.all_steps():
            where = f"{self.name}: {step.name}"
            if isinstance(step, Format):
                columns = columns.append(SHARD_NAME)
            for field in step.reads:
                if field.name not in columns.names:
                    near = get_close_matches(field.name, columns.names, n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise RecipeError(
                        f"{where} reads {field.name}: {field.type}, and no step before it adds that{hint}"
                    )
                if (found := columns.field(field.name).type) != field.type:
                    raise RecipeError(f"{where} reads {field.name} as {field.type}, but here it is {found}")
            if regrouped and isinstance(step, Filter | Barrier):
                raise RecipeError(f"{where} stands behind {regrouped.name}; there are no filters and barriers there")
            if isinstance(step, Filter):
                for rule in step.rules:
                    if rule.measure not in columns.names:
                        raise RecipeError(
                            f"{where}: rule {rule.name} asks about {rule.measure}, which no step measures"
                        )
            if isinstance(step, Summary):
                summaries.add(step.name)
            if isinstance(step, Regroup):
                regrouped = step
            if isinstance(step, Regroup | Verdict) and step.wants is not None and step.wants not in summaries:
                raise RecipeError(f"{where} wants the summary {step.wants}, and no step before it makes that")
            for field in step.adds:
                if (
                    isinstance(step, Measure | SpanVerdict)
                    and field.name in columns.names
                    and columns.field(field.name) not in RECORD
                ):
                    raise RecipeError(f"{where} measures {field.name}, which an earlier step adds already")
                place = columns.get_field_index(field.name)
                columns = columns.append(field) if place < 0 else columns.set(place, field)
        return columns

    def segments(self) -> tuple[Segment, ...]:
        """The recipe cut behind each run of barriers. The last segment has none."""
        segments: list[Segment] = []
        stages: list[Stage] = []
        barriers: list[Barrier] = []
        for step, following in pairwise((*self.steps, None)):
            if isinstance(step, Barrier):
                barriers.append(step)
                if not _shares_pass(step, following, {b.name for b in barriers if isinstance(b, Summary)}):
                    segments.append(Segment(tuple(stages), tuple(barriers)))
                    stages, barriers = [], []
            elif step is not None:
                stages.append(step)
        return (*segments, Segment(tuple(stages), ()))

    def measures(self) -> pa.Schema:
        """Every measure that the recipe records, in order of measuring, and the language where it is told."""
        fields = [f for step in self.steps if isinstance(step, Measure) for f in step.adds]
        cuts = [f for step in self.steps if isinstance(step, SpanVerdict) for f in step.adds if f not in RECORD]
        return pa.schema([*fields, *cuts])

    @property
    def version(self) -> str:
        """12 hex digits over the versions of all steps, in order."""
        versions = [s.version for s in self.all_steps()]
        versions += [] if self.keeps_dropped else ["without dropped"]
        versions += ["with an index"] if self.indexes else []
        return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]


def _shares_pass(step: Barrier, following: Stage | Barrier | None, summaries: set[str]) -> bool:
    """Whether `following` may work on the same documents as `step`: not if they are fewer or elsewhere by then.

    Nor if it is a verdict that wants one of the `summaries` that are made of this very pass.
    """
    if isinstance(following, Verdict) and following.wants in summaries:
        return False
    match step:
        case SpanVerdict():
            return False  # it changes the text that the next one would look at
        case Verdict():
            return isinstance(following, Verdict)
        case Summary():
            return isinstance(following, Barrier)
        case _:
            return False
