"""Stages of ours as a step of somebody's datatrove pipeline.

    LocalPipelineExecutor([JsonlReader(...), TokenmillStages([MeasureText(), GopherQuality()]), JsonlWriter(...)])

Documents are gathered into batches, taken through the stages, and handed on as the very objects that came: with the
text that they have now and, as metadata, the columns that the stages added. What a stage knows nothing of stays. Cost:
3 us a document of 3 kB beside the stages' own; datatrove's own filters cost 4.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from tokenmill.core.document import BATCH_BYTES, DOCUMENT, INTERNAL, RECORD, TRAVELLING
from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Stage
from tokenmill.engines.loop import Leaving, count_chars_in, run_stages
from tokenmill.manifests import ledger

_OURS = {*RECORD.names, *TRAVELLING.names}


class TokenmillStages(PipelineStep):  # type: ignore[misc]
    """`stages` in order, on batches of about `batch_bytes` of text.

    What a stage reads beside the columns of a document is taken from the metadata, by name. `text_is_html`: the texts
    are pages, as WarcReader gives them, and a stage will extract them. A dropped document goes to `exclusion_writer`
    with `filter_reason`: STAGE.RULE, or what went wrong where a stage could not take it.
    """

    name = "tokenmill"
    type = "🔻 - STAGES"

    def __init__(
        self,
        stages: Sequence[Stage],
        exclusion_writer: Any = None,
        text_is_html: bool = False,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self.name = ", ".join(stage.name for stage in stages)
        super().__init__()
        self.stages = tuple(stages)
        self.exclusion_writer = exclusion_writer
        self.text_is_html = text_is_html
        self.batch_bytes = batch_bytes
        self._check()

    def _check(self) -> None:
        if not self.stages or not all(isinstance(stage, Stage) for stage in self.stages):
            raise RecipeError(
                f"{self.name or 'no stage'}: want stages; where documents must meet, run a recipe: `tokenmill run`"
            )

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if data is None:
            return
        row = 0
        with self.exclusion_writer or nullcontext():
            for documents in self._gathered(data):
                self.stat_update("batches")
                with self.track_time("batch"):
                    kept, left = self._through(documents, rank, row)
                row += len(documents)
                self._exclude(left, rank)
                for document in kept:
                    self.stat_update("total", "forwarded")
                    self.update_doc_stats(document)
                    yield document

    def _gathered(self, data: Iterable[Document]) -> Iterator[list[Document]]:
        gathered: list[Document] = []
        size = 0
        for document in data:
            gathered.append(document)
            size += len(document.text) + 64  # characters stand for bytes: a batch is a matter of memory, not of output
            if size >= self.batch_bytes:
                yield gathered
                gathered, size = [], 0
        if gathered:
            yield gathered

    def _through(
        self, documents: list[Document], rank: int, first_row: int
    ) -> tuple[list[Document], list[tuple[Document, str, str]]]:
        """The documents that stay; those that leave, each with what stage and rule say and what is to be told."""
        left: list[tuple[Document, str, str]] = []

        def leave(leaving: Leaving) -> None:
            failed = leaving.fate == ledger.ERROR
            for row, rule in zip(leaving.batch["row"].to_pylist(), leaving.rule.to_pylist(), strict=True):
                counted = f"{leaving.stage}.{'error' if failed else rule}"
                told = f"{leaving.stage}: {rule}" if failed else counted
                left.append((documents[row - first_row], counted, told))

        before = self._batch(documents, rank, first_row)
        after = run_stages(self.stages, before, leave)
        kept = [documents[row - first_row] for row in after["row"].to_pylist()]
        self._hand_back(kept, after)
        return kept, left

    def _batch(self, documents: list[Document], rank: int, first_row: int) -> pa.RecordBatch:
        n = len(documents)
        texts = [document.text for document in documents]
        metadata = [document.metadata for document in documents]
        reads = {name for stage in self.stages for name in stage.reads.names}
        columns: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in RECORD}
        columns["id"] = pa.array([str(document.id) for document in documents], pa.string())
        if self.text_is_html:
            columns["html"] = pa.array([text.encode() for text in texts], pa.large_binary())
            columns["charset"] = pa.array(["utf-8"] * n, pa.string())
        else:
            columns["text"] = pa.array(texts, pa.large_string())
        columns["source"] = pa.array([str(m.get("source", "datatrove")) for m in metadata], pa.string())
        for name in ("url", "language"):
            columns[name] = pa.array([_text_or_null(m.get(name)) for m in metadata], pa.string())
        if "meta" in reads:
            columns["meta"] = pa.array([json.dumps(m, ensure_ascii=False, default=str) for m in metadata], pa.string())
        columns["shard"] = pa.array(np.full(n, rank, np.int32))
        columns["row"] = pa.array(np.arange(first_row, first_row + n, dtype=np.int64))
        columns["priority"] = pa.array(np.zeros(n, np.int32))
        columns["chars_in"] = pa.nulls(n, pa.int64())
        for field in self._from_metadata():
            columns[field.name] = pa.array([m.get(field.name) for m in metadata], field.type)
        return count_chars_in(pa.RecordBatch.from_pydict(columns))

    def _from_metadata(self) -> list[pa.Field]:
        """What a stage reads that is no column of a document and that no stage before it adds."""
        wanted: dict[str, pa.Field] = {}
        there = set(_OURS)
        for stage in self.stages:
            rules = [pa.field(r.measure, pa.float64()) for r in getattr(stage, "rules", ())]
            wanted |= {f.name: f for f in (*rules, *stage.reads) if f.name not in there}
            there |= {*stage.adds.names}
        return list(wanted.values())

    def _hand_back(self, kept: list[Document], after: pa.RecordBatch) -> None:
        added = {name for stage in self.stages for name in stage.adds.names} & set(after.schema.names)
        if "text" in added:
            for document, text in zip(kept, after["text"].to_pylist(), strict=True):
                document.text = text or ""
        if "meta" in added:
            for document, meta in zip(kept, after["meta"].to_pylist(), strict=True):
                document.metadata.update(json.loads(meta) if meta else {})
        for name in sorted(added - INTERNAL - {"id", "text", "meta"}):
            column = after[name]
            skipped = name in DOCUMENT.names  # a null there means unknown, not a value
            for document, value, known in zip(kept, column.to_pylist(), pc.is_valid(column).to_pylist(), strict=True):
                if known or not skipped:
                    document.metadata[name] = value

    def _exclude(self, left: list[tuple[Document, str, str]], rank: int) -> None:
        for document, counted, told in left:
            self.stat_update("total", "dropped", f"dropped_{counted}")
            if self.exclusion_writer is not None:
                document.metadata["filter_reason"] = told
                self.exclusion_writer.write(document, rank)


def _text_or_null(value: Any) -> str | None:
    return None if value is None else str(value)
