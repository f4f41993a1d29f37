"""Run a datatrove step on each document: edit and annotate as it does, and note why it would drop which.

The step's own `run` is called, on the documents of a batch: its decisions, their reasons, its edits of the text and
what it writes into the metadata are those of a native run. What differs, on purpose: a dropped document keeps the
text that it had. `from_datatrove` makes this stage and the filter behind it that drops by the reasons.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.asset import Asset
from tokenmill.core.document import DOCUMENT
from tokenmill.core.errors import RecipeError
from tokenmill.core.foreign import Foreign
from tokenmill.core.stage import Stage
from tokenmill.filters.datatrove_drop import CalledName, reason_of

_METADATA = ("url", "language")  # columns that are metadata there; the rest of it is the JSON object `meta`


@dataclass(frozen=True, slots=True, kw_only=True)
class DatatroveStep(Stage):
    """Runs the step on each document; `<called>_reason` says why it would be dropped, null where it stays.

    A document without text is shown to the step with an empty one, and stays without if that is not changed. Cost:
    20 us a document beside the step's own.
    """

    name: ClassVar[str] = CalledName("datatrove_run", "_run")  # type: ignore[assignment]
    revision: ClassVar[int] = 1
    edits: ClassVar[bool] = True

    called: str
    step: Foreign
    shown: tuple[tuple[str, str], ...] = ()  # more columns that it finds in the metadata: name, Arrow type
    noted: tuple[tuple[str, str], ...] = ()  # what it writes into the metadata and becomes a column: name, Arrow type
    anew: bool = False  # a fresh copy for each document: for a step that remembers

    @property
    def reads(self) -> pa.Schema:
        return pa.schema([*(DOCUMENT.field(n) for n in ("id", "text", *_METADATA, "meta")), *_fields(self.shown)])

    @property
    def adds(self) -> pa.Schema:
        columns = [DOCUMENT.field(n) for n in ("text", *_METADATA, "meta")]
        return pa.schema([*columns, *_fields(self.noted), reason_of(self.called)])

    def parameters(self) -> dict[str, Any]:
        columns = {"shown": [list(c) for c in self.shown], "noted": [list(c) for c in self.noted]}
        return {"called": self.called, **columns, "anew": self.anew, **self.step.described()}

    def assets(self) -> Iterator[Asset]:
        return self.step.assets()

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        metas: list[dict[str, Any]] = [json.loads(meta) if meta else {} for meta in batch["meta"].to_pylist()]
        columns = [*_METADATA, *(name for name, _ in self.shown)]
        shown = [_without_nulls(row) for row in batch.select(columns).to_pylist()]
        texts = [text or "" for text in batch["text"].to_pylist()]
        documents = [
            _document(id, text, {**copy.deepcopy(meta), **row})
            for id, text, meta, row in zip(batch["id"].to_pylist(), texts, metas, shown, strict=True)
        ]
        reasons = self._run(documents)
        edited = [r is None and d.text != t for d, t, r in zip(documents, texts, reasons, strict=True)]
        if any(edited):
            new = pa.array([d.text if e else None for d, e in zip(documents, edited, strict=True)], pa.large_string())
            batch = _with(batch, DOCUMENT.field("text"), pc.if_else(pa.array(edited), new, batch["text"]))
        batch = self._noted(batch, metas, shown, [document.metadata for document in documents])
        return batch.append_column(reason_of(self.called), pa.array(reasons, pa.string()))

    def _run(self, documents: list[Any]) -> list[str | None]:
        """Why each document is dropped; runs the step for its edits of text and metadata."""
        step = _built(self.step)
        if not self.anew:
            return _dropped(step, documents, self.called)
        return [_dropped(copy.deepcopy(step), [document], self.called)[0] for document in documents]

    def _noted(
        self,
        batch: pa.RecordBatch,
        metas: list[dict[str, Any]],
        shown: list[dict[str, Any]],
        found: list[dict[str, Any]],
    ) -> pa.RecordBatch:
        """`batch` with what the step left in the metadata; what it did not touch stays as it was, byte by byte."""
        for field in _fields(self.noted):
            batch = _with(batch, field, pa.array([m.pop(field.name, None) for m in found], field.type))
        changes: dict[str, list[Any]] = {name: [] for name in _METADATA}
        for meta, row, after in zip(metas, shown, found, strict=True):
            for name, values in changes.items():
                if after.get(name) != row.get(name, meta.get(name)):
                    values.append(after.pop(name, None))
                else:
                    values.append(row.get(name))
                    _put_back(after, meta, name)
            for name, value in row.items():
                if name not in _METADATA and after.get(name) == value:
                    _put_back(after, meta, name)
        for name, values in changes.items():
            new = pa.array(values, DOCUMENT.field(name).type)
            batch = batch if new.equals(batch[name]) else _with(batch, DOCUMENT.field(name), new)
        changed = [after != meta for after, meta in zip(found, metas, strict=True)]
        if any(changed):
            new = pa.array([_json(m) if c else None for m, c in zip(found, changed, strict=True)], pa.string())
            batch = _with(batch, DOCUMENT.field("meta"), pc.if_else(pa.array(changed), new, batch["meta"]))
        return batch


class _Reasons:
    """Takes the place of a filter's exclusion writer: hears which documents are dropped, and why."""

    def __init__(self, without: str) -> None:
        self._without = without
        self.heard: dict[int, str] = {}

    def __enter__(self) -> "_Reasons":
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, document: Any, rank: int = 0) -> None:
        self.heard[id(document)] = str(document.metadata.pop("filter_reason", self._without))


def _dropped(step: Any, documents: list[Any], without: str) -> list[str | None]:
    """The reason of each document that `step.run` does not give back, `without` where it has none."""
    reasons = _Reasons(without)
    if hasattr(step, "exclusion_writer"):
        step.exclusion_writer = reasons
    given = {id(document) for document in documents}
    kept: set[int] = set()
    for document in step.run(iter(documents), 0, 1):
        if id(document) not in given or id(document) in kept:
            raise ValueError(f"{type(step).__name__} yields a document that it was not given, or one twice")
        kept.add(id(document))
    return [None if id(d) in kept else reasons.heard.get(id(d), without) for d in documents]


@cache
def _built(step: Foreign) -> Any:
    """The step, made once per process: models stay loaded."""
    return step.build()


def _document(id: str, text: str, metadata: dict[str, Any]) -> Any:
    from datatrove.data import Document

    return Document(text=text, id=id, metadata=metadata)


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _put_back(after: dict[str, Any], meta: dict[str, Any], name: str) -> None:
    """Into `after` what `meta` had under a name that a column hid."""
    after.pop(name, None)
    if name in meta:
        after[name] = meta[name]


def _json(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))


def _fields(columns: tuple[tuple[str, str], ...]) -> list[pa.Field]:
    try:
        return [pa.field(name, pa.type_for_alias(kind)) for name, kind in columns]
    except ValueError as error:
        raise RecipeError(f"{columns}: {error}; want Arrow's name of a type, such as double or string") from error


def _with(batch: pa.RecordBatch, field: pa.Field, column: pa.Array) -> pa.RecordBatch:
    place = batch.schema.get_field_index(field.name)
    return batch.append_column(field, column) if place < 0 else batch.set_column(place, field, column)
