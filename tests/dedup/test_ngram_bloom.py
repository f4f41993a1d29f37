"""Paragraphs that a preferred document has are cut out, in whatever order documents and filters come."""

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_runs import run_verdict

from tokenmill.core.barrier import SPANS
from tokenmill.core.errors import DataError, RecipeError
from tokenmill.dedup.ngram_bloom import NgramBloom
from tokenmill.dedup.ngram_filter import NgramFilter
from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest

FILTER = NgramFilter(tokens=3, cells=1 << 16)
SMALL = NgramBloom(ngrams_at_least=1, chars_left_at_least=0)
Document = tuple[str | None, int, int]  # text, priority, id


def batch_of(documents: list[Document]) -> pa.RecordBatch:
    """Document i is row i of shard 0."""
    n = len(documents)
    return pa.record_batch(
        {
            "id": pa.array([f"{number:032x}" for _, _, number in documents], pa.string()),
            "text": pa.array([text for text, _, _ in documents], pa.large_string()),
            "priority": pa.array([priority for _, priority, _ in documents], pa.int32()),
            "shard": pa.array([0] * n, pa.int32()),
            "row": pa.array(range(n), pa.int64()),
        }
    )


def spans_of(
    documents: list[Document], step: NgramBloom = SMALL, filter_: NgramFilter = FILTER, **how: Any
) -> pa.Table:
    batch = batch_of(documents)
    return run_verdict(step, batch, summary=filter_.finish(filter_.merge(filter_.observe(batch))), **how)[0]


def cut(documents: list[Document], step: NgramBloom = SMALL, filter_: NgramFilter = FILTER) -> list[str | None]:
    spans = spans_of(documents, step, filter_)
    columns = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in spans.columns]
    after, _ = step.cut(batch_of(documents), pa.RecordBatch.from_arrays(columns, schema=SPANS))
    after.validate(full=True)
    return after["text"].to_pylist()


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        pytest.param(["a b c d", "x\na b c d\ny"], ["a b c d", "x\ny"], id="a paragraph of a preferred document"),
        pytest.param(["a b c d", "x a b c d"], ["a b c d", "x a b c d"], id="2 of 3 n-grams are not enough"),
        pytest.param(["a b c d e f", "x a b c d e f"], ["a b c d e f", ""], id="4 of 5 are"),
        pytest.param(["a b", "a b"], ["a b", "a b"], id="shorter than an n-gram"),
        pytest.param(["a b c", "a b\nc"], ["a b c", "a b\nc"], id="n-grams do not cross lines"),
        pytest.param(["a b c\na b c"], ["a b c\na b c"], id="a document is not compared with itself"),
        pytest.param([None, "", "\n\n"], [None, "", "\n\n"], id="null and empty"),
        pytest.param(["日本語です", "日本語です\n終わり"], ["日本語です", "終わり"], id="Han by the character"),
    ],
)
def test_what_is_cut(texts: list[str | None], left: list[str | None]) -> None:
    assert cut([(text, number, number) for number, text in enumerate(texts)]) == left


def test_the_span_names_the_document_that_has_it() -> None:
    documents: list[Document] = [("é\na b c d\nz", 5, 7), ("a b c d", 1, 8), ("e f g h", 0, 9)]
    assert spans_of(documents).to_pylist() == [
        {
            "shard": 0,
            "row": 0,
            "start": 3,
            "stop": 10,
            "keeper": f"{8:032x}",
            "keeper_shard": 0,
            "keeper_row": 1,
            "occurrences": 2,
        }
    ]


TEXTS = st.none() | st.lists(st.sampled_from(["a", "b", "c", "é", "\n"]), max_size=20).map(" ".join)


@settings(deadline=None, max_examples=100)  # the first call compiles
@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 2)), max_size=6),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_is_the_exact_answer_while_the_filter_is_empty_enough(
    found: list[tuple[str | None, int]], rng: random.Random, parts: int
) -> None:
    """Whatever the order of documents: an n-gram is seen where a document of smaller rank has it."""
    documents: list[Document] = [(text, priority, number) for number, (text, priority) in enumerate(found)]
    rng.shuffle(documents)
    batch = batch_of(documents)
    ranks = SMALL.observe(batch, FILTER.finish(FILTER.merge(FILTER.observe(batch))))["rank"].to_pylist()
    grams = [
        [[tuple(ws[i : i + 3]) for i in range(len(ws) - 2)] for ws in map(str.split, (text or "").split("\n"))]
        for text, _, _ in documents
    ]
    want = set()
    for row, lines in enumerate(grams):
        earlier = {g for other, ls in enumerate(grams) if ranks[other] < ranks[row] for line in ls for g in line}
        want |= {
            (row, number)
            for number, line in enumerate(lines)
            if line and sum(g in earlier for g in line) >= 0.8 * len(line)
        }
    spans = spans_of(documents, parts=parts, seed=parts)
    got = set()
    for span in spans.to_pylist():
        text = documents[span["row"]][0] or ""
        got.add((span["row"], text.encode()[: span["start"]].count(b"\n")))
        assert ranks[span["keeper_row"]] < ranks[span["row"]]
    assert got == want


def test_new_paragraphs_are_lost_as_rarely_as_stated() -> None:
    """5,000 paragraphs of 5 n-grams that occur once, in a filter of an error near 10%: 5 in 10,000 at most."""
    rng = random.Random(1)
    documents: list[Document] = [
        (" ".join(f"w{rng.getrandbits(40)}" for _ in range(7)), 0, rng.getrandbits(100)) for _ in range(5_000)
    ]
    filter_ = NgramFilter(tokens=3, cells=1 << 17)  # 5.2 cells for each n-gram
    merged = filter_.merge(filter_.observe(batch_of(documents)))
    filled = merged.num_rows / filter_.cells
    assert filter_.finish(merged)["share_filled"].to_pylist() == [filled]
    assert 0.05 < filled**3 < 0.1
    lost = spans_of(documents, NgramBloom(ngrams_at_least=5), filter_).num_rows
    expected = 5_000 * 4.6e-4
    assert lost <= expected + 5 * expected**0.5


def test_a_filter_that_is_too_full_is_refused() -> None:
    documents: list[Document] = [(" ".join(map(str, range(100))), 0, 1)]
    with pytest.raises(DataError, match=r"ngram_bloom: \d+% of the filter's cells .* raise ngram_filter.cells"):
        spans_of(documents, SMALL, NgramFilter(tokens=3, cells=64))


def test_paragraphs_whose_keeper_an_earlier_verdict_removed_stay() -> None:
    whole = batch_of([("a b c d", 0, 1), ("a b c d", 1, 2)])
    summary = FILTER.finish(FILTER.merge(FILTER.observe(whole)))
    spans, counts = run_verdict(SMALL, whole.slice(1), summary=summary)
    assert spans.num_rows == 0
    assert counts == {"paragraphs": 0, "keepers_gone": 1}


@pytest.mark.parametrize("cells", [0, 1, 3, 1 << 28])
def test_refuses_a_filter_of_no_power_of_two(cells: int) -> None:
    with pytest.raises(RecipeError, match=f"ngram_filter: cells={cells}, want a power of two"):
        NgramFilter(cells=cells)


@pytest.mark.parametrize("wrong", [{"seen_share_at_least": 0}, {"ngrams_at_least": 0}, {"error_at_most": 2}])
def test_refuses_a_parameter_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"ngram_bloom: \w+="):
        NgramBloom(**wrong)


def test_nothing_to_look_at_is_no_mistake(tmp_path):
    """An empty file, and one whose documents an index has already."""
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "one.jsonl").write_text('{"text": "a page of a few words, once more and never again"}')
    command = ["run", "ngram_dedup", "--workers", "1", "--source"]
    assert main([*command, f"{tmp_path}/empty.jsonl", "--out", f"{tmp_path}/a"]) == 0
    assert main([*command, f"{tmp_path}/one.jsonl", "--out", f"{tmp_path}/b", "--index"]) == 0
    assert main([*command, f"{tmp_path}/one.jsonl", "--out", f"{tmp_path}/c", "--against", f"{tmp_path}/b"]) == 0
    assert Manifest.load(tmp_path / "c").totals["duplicates"] == {"exact_dedup": 1}
