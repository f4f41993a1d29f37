"""Real text in more than 75 languages, with passages planted: none is cut inside a character, and the rest is kept."""

from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from verdict_runs import run_verdict

from tokenmill.dedup.substring import SubstringDedup
from tokenmill.kernels.substring_cut_reference import cut_reference
from tokenmill.kernels.substring_units_reference import tokens_of

DOCUMENTS = Path(__file__).parents[3] / "shared/data/multilingual/labelled_docs.parquet"


def planted() -> tuple[list[str], list[str], dict[str, str]]:
    """(texts, their languages, the passage of each language): two texts of each language end in the same passage."""
    table = pq.read_table(DOCUMENTS, columns=["text", "language"])
    by_language: dict[str, list[str]] = defaultdict(list)
    for text, language in zip(table["text"].to_pylist(), table["language"].to_pylist(), strict=True):
        by_language[language].append(text)
    texts, languages, passages = [], [], {}
    for language, own in by_language.items():
        longest = max(own, key=len)[:2_000]
        places = tokens_of(longest)
        if len(places) < 300:  # a source with enough text to take 60 tokens out of its middle
            continue
        passages[language] = longest.encode()[places[100][0] : places[159][1]].decode()
        others = [text[:200] for text in own if text[:2_000] != longest][:3] or ["(…)"]
        texts += [longest, f"A {others[0]} {passages[language]}", f"B {others[-1]}\n\n{passages[language]}\n\nC"]
        languages += [language] * 3
    return texts, languages, passages


@pytest.mark.skipif(not DOCUMENTS.exists(), reason="the multilingual documents are not on this machine")
@pytest.mark.parametrize(("unit", "length"), [("tokens", 50), ("bytes", 100)])
def test_no_cut_inside_a_character(unit: Literal["tokens", "bytes"], length: int) -> None:
    texts, languages, passages = planted()
    assert len(passages) >= 75
    batch = pa.record_batch(
        {
            "id": [f"{number:032x}" for number in range(len(texts))],
            "text": pa.array(texts, pa.large_string()),
            "priority": pa.array(np.arange(len(texts)) % 3, pa.int32()),  # the longest text of a language is preferred
            "shard": pa.array(np.zeros(len(texts)), pa.int32()),
            "row": pa.array(np.arange(len(texts)), pa.int64()),
        }
    )
    step = SubstringDedup(unit=unit, length=length, chars_left_at_least=0)
    spans = run_verdict(step, batch, parts=3, seed=1)[0]
    cut, _ = step.cut(batch, spans.to_batches()[0])
    cut.validate(full=True)  # valid UTF-8
    spans_of: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for span in spans.select(["row", "start", "stop"]).to_pylist():
        spans_of[span["row"]].append((span["start"], span["stop"]))
    for row, left in enumerate(cut["text"].to_pylist()):
        assert left == cut_reference(texts[row], spans_of[row]), languages[row]
        if row % 3:
            passage = passages[languages[row]]
            short = unit == "bytes" and len(passage.encode()) < length  # Romanian dashes
            assert short or passage not in left, f"{languages[row]}: a copy stayed"
        if unit == "tokens":
            data, places, gone = texts[row].encode(), tokens_of(texts[row]), spans_of[row]
            stay = [p for p in places if not any(start <= p[0] and p[1] <= stop for start, stop in gone)]
            kept = [left.encode()[begin:end] for begin, end in tokens_of(left)]
            assert kept == [data[begin:end] for begin, end in stay], languages[row]
    cut_languages = {languages[row] for row in spans_of}
    assert len(cut_languages) >= 75
    assert unit == "bytes" or cut_languages == set(passages)
