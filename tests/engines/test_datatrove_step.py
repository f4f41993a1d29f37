"""Stages of ours in somebody's datatrove pipeline: on its executor, beside its own steps."""

import json
from pathlib import Path
from typing import Any

import pytest
from sample_documents import BREAD, HARBOUR, documents
from toys import Count, Fragile, Length

pytest.importorskip("datatrove", reason="needs the extra datatrove: pip install 'tokenmill[datatrove]'")

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import LambdaFilter
from datatrove.pipeline.writers.disk_base import DiskWriter

from tokenmill.core.errors import RecipeError
from tokenmill.dedup.exact import ExactDedup
from tokenmill.engines.datatrove_step import TokenmillStages
from tokenmill.engines.loop import run_stages
from tokenmill.filters.c4_edit import C4Edit
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.identify_language import IdentifyLanguage
from tokenmill.filters.measure_text import MeasureText
from tokenmill.ingest.extract_html import ExtractHtml


class Lines(DiskWriter):  # datatrove's own JSONL needs a package that its base does not bring
    """Documents as JSON lines, a file per task."""

    default_output_filename = "${rank}.jsonl"
    name = "lines"
    type = "writer"

    def _write(self, document: dict[str, Any], file_handler: Any, _filename: str) -> None:
        file_handler.write(json.dumps(document) + "\n")


class Given(PipelineStep):
    """Every second document of a list for each of two tasks."""

    name = "given"
    type = "reader"

    def __init__(self, given: list[Document]) -> None:
        super().__init__()
        self.given = given

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        yield from self.given[rank::world_size]


def document(text: str, **metadata: Any) -> Document:
    return Document(text=text, id=text[:20], metadata=metadata)


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


def test_drops_with_reasons_counts_and_keeps_what_it_does_not_know() -> None:
    held = object()
    given = [document("one"), document("two words", held=held), document("three more words", words=99.0)]
    excluded = Excluded()
    step = TokenmillStages([Count(), Length(words_at_least=2)], exclusion_writer=excluded)
    kept = list(step.run(iter(given)))
    assert [d is g for d, g in zip(kept, given[1:], strict=True)] == [True, True], "the very objects"
    assert kept[0].metadata == {"held": held, "chars": 9, "words": 2.0}
    assert kept[1].metadata == {"chars": 16, "words": 3.0}
    assert [(d.text, d.metadata["filter_reason"]) for d in excluded.documents] == [("one", "length.words_at_least")]
    assert excluded.closed
    stats = {name: metric.total for name, metric in step.stats.stats.items()}
    assert stats == {
        "batches": 1,
        "total": 3,
        "forwarded": 2,
        "dropped": 1,
        "dropped_length.words_at_least": 1,
        "doc_len": 25,
    }


class Excluded:
    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.closed = False

    def __enter__(self) -> "Excluded":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def write(self, document: Document, rank: int = 0) -> None:
        self.documents.append(document)


def test_batches_are_measured_in_bytes_and_cut_nothing_differently() -> None:
    texts = [t for t in documents()["text"].to_pylist() if t is not None]
    stages = [IdentifyLanguage(), MeasureText(), GopherQuality(), C4Edit()]
    runs = []
    for size in (1, 5_000, 1 << 30):
        step = TokenmillStages(stages, batch_bytes=size)
        runs.append([(d.id, d.text, str(d.metadata)) for d in step.run(iter([document(t) for t in texts]))])
        assert step.stats["batches"].total == (len(texts) if size == 1 else 1) or size == 5_000
    assert runs[0] == runs[1] == runs[2]
    assert 0 < len(runs[0]) < len(texts)


def test_the_same_as_the_stages_alone() -> None:
    batch = documents().filter(documents()["text"].is_valid())
    stages = [IdentifyLanguage(), MeasureText(), GopherQuality(), C4Edit()]
    alone = run_stages(stages, batch, lambda _: None).to_pylist()
    given = [Document(text=t, id=i) for t, i in zip(batch["text"].to_pylist(), batch["id"].to_pylist(), strict=True)]
    kept = list(TokenmillStages(stages).run(iter(given)))
    assert [(d.id, d.text) for d in kept] == [(r["id"], r["text"]) for r in alone]
    for name in ("language", "language_score", "stop_words", "mean_word_length"):
        assert [d.metadata[name] for d in kept] == [r[name] for r in alone]


def test_a_stage_reads_what_it_needs_from_the_metadata() -> None:
    step = TokenmillStages([Length(words_at_least=3)])
    assert [d.text for d in step.run(iter([document("a", words=3.0), document("b", words=2.0)]))] == ["a"]


def test_a_document_that_a_stage_cannot_take_is_left_out_with_what_went_wrong() -> None:
    excluded = Excluded()
    step = TokenmillStages([Fragile(), Count()], exclusion_writer=excluded)
    assert [d.text for d in step.run(iter([document("a"), document("a bomb"), document("b")]))] == ["a", "b"]
    assert excluded.documents[0].metadata["filter_reason"] == "fragile: ZeroDivisionError: a bomb"
    assert step.stats["dropped_fragile.error"].total == 1


def test_pages_are_extracted_where_the_text_is_html() -> None:
    step = TokenmillStages([ExtractHtml()], text_is_html=True)
    page = f"<html><body><main><p>{HARBOUR}</p></main></body></html>"
    (got,) = step.run(iter([document(page, url="https://example.org")]))
    assert got.text.startswith("The harbour was quiet")
    assert got.metadata == {"url": "https://example.org"}


def test_what_needs_all_documents_is_refused() -> None:
    with pytest.raises(RecipeError, match="where documents must meet, run a recipe"):
        TokenmillStages([Count(), ExactDedup()])  # type: ignore[list-item]
    with pytest.raises(RecipeError, match="no stage: want stages"):
        TokenmillStages([])


@pytest.mark.slow
def test_on_the_local_executor_beside_its_own_steps(tmp_path: Path) -> None:
    texts = [HARBOUR, BREAD, "too short", HARBOUR.lower(), "x " * 200, BREAD[:900]]
    pipeline = [
        Given([document(text, number=n) for n, text in enumerate(texts)]),
        LambdaFilter(has_no_x),
        TokenmillStages([MeasureText(), GopherQuality()], exclusion_writer=Lines(str(tmp_path / "dropped"))),
        Lines(str(tmp_path / "kept")),
    ]
    LocalPipelineExecutor(pipeline, tasks=2, workers=2, logging_dir=str(tmp_path / "logs")).run()
    kept, dropped = written(tmp_path / "kept"), written(tmp_path / "dropped")
    assert sorted(d["metadata"]["number"] for d in kept) == [0, 1, 3, 5]
    assert [(d["metadata"]["number"], d["metadata"]["filter_reason"]) for d in dropped] == [
        (2, "gopher_quality.words_at_least")
    ]
    stats = json.loads((tmp_path / "logs" / "stats.json").read_text())
    (ours,) = [s for s in stats if "gopher_quality" in s["name"]]
    assert ours["stats"]["dropped_gopher_quality.words_at_least"] == 1


def has_no_x(document: Document) -> bool:
    return not document.text.startswith("x ")
