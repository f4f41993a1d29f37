"""One datatrove step run natively and as stages of ours, on the same documents: where do they differ?

As a program (`python tests/datatrove_parity.py CASE...`) it prints the differences as JSON, for an interpreter that
has what the step requires.
"""

import copy
import gzip
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from datatrove.data import Document
from sample_documents import documents

from tokenmill.core.recipe import SOURCE_COLUMNS
from tokenmill.engines.loop import Leaving, run_stages
from tokenmill.filters.from_datatrove import from_datatrove

REAL = Path(__file__).parents[2] / "shared" / "data" / "webtext"

# What is tried: module of datatrove.pipeline, class, arguments, what only our side is told.
CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "c4 lines": ("filters", "C4QualityFilter", {"min_num_sentences": -1}, {}),
    "c4 lines, FineWeb's way": (
        "filters",
        "C4QualityFilter",
        {"min_num_sentences": -1, "filter_no_terminal_punct": False},
        {},
    ),
    "paragraphs": ("filters", "C4ParagraphFilter", {}, {}),
    "regex": ("filters", "RegexFilter", {"regex_exp": r"\b(bread|the year)\b"}, {}),
    "symbol lines": ("formatters", "SymbolLinesFormatter", {"replace_char": "\n"}, {}),
    "addresses": (
        "formatters",
        "PIIFormatter",
        {"email_replacement": "a@example.com", "ip_replacement": "192.0.2.1", "only_remove_public_ips": False},
        {},
    ),
    # These need datatrove[processing].
    "c4 sentences": ("filters", "C4QualityFilter", {}, {"distributions": ("spacy",)}),
    "gopher quality": ("filters", "GopherQualityFilter", {}, {"distributions": ("spacy",)}),
    "gopher repetition": ("filters", "GopherRepetitionFilter", {}, {"distributions": ("spacy",)}),
    "fineweb": ("filters", "FineWebQualityFilter", {}, {"distributions": ("spacy",)}),
    "ftfy": ("formatters", "FTFYFormatter", {}, {}),
}


def samples(chars_at_most: int, every: int) -> pa.RecordBatch:
    """The made documents that have a text of some length, and one in `every` real ones where they are at hand."""
    made = documents()
    rows = [row for row in made.to_pylist() if row["text"] is not None and len(row["text"]) <= chars_at_most]
    if REAL.is_dir():
        with gzip.open(REAL / "c4_demo.jsonl.gz", "rt") as file:
            texts = [json.loads(line)["text"] for line in file]
        with gzip.open(REAL / "dclm_human_quality_majority.jsonl.gz", "rt") as file:
            texts += [next(v for v in json.loads(line).values() if isinstance(v, str) and len(v) > 40) for line in file]
        for n, text in enumerate(texts[::every]):
            meta = json.dumps({"n": n, "url": "hidden behind the column"})
            rows.append({**rows[0], "id": f"{n:032x}", "text": text, "url": f"https://example.org/{n}", "meta": meta})
    for n, row in enumerate(rows):
        row["row"] = n
    return pa.RecordBatch.from_pylist(rows, SOURCE_COLUMNS)


Results = dict[int, tuple[Any, ...]]  # by row: ("kept", text, metadata) or ("dropped", reason) or ("error", what)


class Excluded:
    """Takes the place of an exclusion writer."""

    def __init__(self) -> None:
        self.documents: list[Document] = []

    def __enter__(self) -> "Excluded":
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, document: Document, rank: int = 0) -> None:
        self.documents.append(document)


def natively(kind: type, arguments: dict[str, Any], batch: pa.RecordBatch, called: str) -> Results:
    """One run over all documents that the step does not fail on."""
    found: Results = {}
    given: dict[int, Document] = {}
    alone = kind(**arguments)
    for row in batch.to_pylist():
        columns = {name: row[name] for name in ("url", "language") if row[name] is not None}
        document = Document(text=row["text"], id=row["id"], metadata={**json.loads(row["meta"] or "{}"), **columns})
        try:
            list(alone.run(iter([copy.deepcopy(document)])))
            given[row["row"]] = document
        except Exception as error:
            found[row["row"]] = ("error", type(error).__name__)
    step, excluded = kind(**arguments), Excluded()
    step.exclusion_writer = excluded
    rows = {id(document): row for row, document in given.items()}
    for document in step.run(iter(list(given.values()))):
        found[rows[id(document)]] = ("kept", document.text, document.metadata)
    for document in excluded.documents:
        found[rows[id(document)]] = ("dropped", document.metadata.get("filter_reason", called))
    return found


def as_stages(kind: type, arguments: dict[str, Any], batch: pa.RecordBatch, called: str, **told: Any) -> Results:
    found: Results = {}

    def leave(leaving: Leaving) -> None:
        for row, rule in zip(leaving.batch["row"].to_pylist(), leaving.rule.to_pylist(), strict=True):
            what = rule.partition(":")[0] if leaving.fate == "error" else rule
            found[row] = (leaving.fate, what)

    stages = from_datatrove(called, kind, **told, **arguments)
    for row in run_stages(stages, batch, leave).to_pylist():
        columns = {name: row[name] for name in ("url", "language") if row[name] is not None}
        found[row["row"]] = ("kept", row["text"], {**json.loads(row["meta"] or "{}"), **columns})
    return found


def differences(case: str, chars_at_most: int = 200_000, every: int = 1) -> dict[str, Any]:
    """How many documents met each fate, and those that differ."""
    module, name, arguments, told = CASES[case]
    kind = getattr(importlib.import_module(f"datatrove.pipeline.{module}"), name)
    batch = samples(chars_at_most, every)
    native = natively(kind, arguments, batch, "step")
    ours = as_stages(kind, arguments, batch, "step", **told)
    texts = dict(zip(batch["row"].to_pylist(), batch["text"].to_pylist(), strict=True))
    fates = [what for what, *_ in native.values()]
    return {
        "documents": batch.num_rows,
        **{fate: fates.count(fate) for fate in ("kept", "dropped", "error")},
        "edited": sum(what[0] == "kept" and what[1] != texts[row] for row, what in native.items()),
        "differ": [[n, native.get(n), ours.get(n)] for n in range(batch.num_rows) if native.get(n) != ours.get(n)],
    }


if __name__ == "__main__":
    print(json.dumps({case: differences(case, 6_000, 4) for case in sys.argv[1:]}))
