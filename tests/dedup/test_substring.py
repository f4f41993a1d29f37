"""What stands word for word in a preferred document, or earlier in the same, is cut out; the rest reads on."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_runs import run_verdict

from tokenmill.core.barrier import SPANS
from tokenmill.core.errors import RecipeError
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.kernels.substring_cut_reference import cut_reference
from tokenmill.kernels.substring_reference import first_occurrences, removed_units
from tokenmill.kernels.substring_units_reference import units_of

Document = tuple[str | None, int, int]  # text, priority, id
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("priority", pa.int32()),
        ("shard", pa.int32()),
        ("row", pa.int64()),
    ]
)
SMALL = SubstringDedup(length=3, prefer=("priority",), chars_left_at_least=0)
PASSAGE = " ".join(f"word{i}" for i in range(60))


def batch_of(documents: list[Document], first: int = 0) -> pa.RecordBatch:
    """Document i is row i of shard 0."""
    return pa.record_batch(
        [
            pa.array([f"{number:032x}" for _, _, number in documents], pa.string()),
            pa.array([text for text, _, _ in documents], pa.large_string()),
            pa.array([priority for _, priority, _ in documents], pa.int32()),
            pa.array([0] * len(documents), pa.int32()),
            pa.array(range(first, first + len(documents)), pa.int64()),
        ],
        schema=SCHEMA,
    )


def found_in(documents: list[Document], step: SubstringDedup = SMALL, **how: Any) -> pa.Table:
    return run_verdict(step, batch_of(documents), **how)[0]


def cut(documents: list[Document], step: SubstringDedup = SMALL, **how: Any) -> list[str | None]:
    """The texts of all documents after the cut, whatever is decided about them."""
    spans = found_in(documents, step, **how).combine_chunks()
    batch, _ = step.cut(batch_of(documents), _one(spans))
    batch.validate(full=True)
    return batch["text"].to_pylist()


def _one(spans: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
            for column in spans.columns
        ],
        schema=spans.schema,
    )


# What is cut


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        pytest.param(["a b c", "x a b c y"], ["a b c", "x\ny"], id="the later copy"),
        pytest.param(["a b c d e", "x a b c d e y"], ["a b c d e", "x\ny"], id="longer than a window"),
        pytest.param(["a b c", "x a b y"], ["a b c", "x a b y"], id="shorter than a window stays"),
        pytest.param(["a b c", "x a  b\nc y"], ["a b c", "x\ny"], id="white space does not count"),
        pytest.param(["a b c", "x A b c y"], ["a b c", "x A b c y"], id="case counts"),
        pytest.param(["a b c", "a b c"], ["a b c", ""], id="all of it"),
        pytest.param(["x a b c y a b c z"], ["x a b c y\nz"], id="within one document"),
        pytest.param(["a " * 40], ["a a a"], id="of periodic text the first window stays"),
        pytest.param(["a b " * 20], ["a b a"], id="whatever the period"),
        pytest.param(["a b a b a b", "x a b a b y"], ["a b a", "x\ny"], id="periodic text elsewhere"),
        pytest.param(["a b c\n\nd e f", "1\n\na b c\n\n2 d e f"], ["a b c\n\nd e f", "1\n\n2"], id="paragraphs"),
        pytest.param(["p a b c", "q c d e", "a b c d e"], ["p a b c", "q c d e", ""], id="from two documents"),
        pytest.param([None, "", "a b", "a b"], [None, "", "a b", "a b"], id="null, empty, too short"),
        pytest.param(["日本語", "私の日本語です"], ["日本語", "私の\nです"], id="Han by the character"),
    ],
)
def test_what_is_cut(texts: list[str | None], left: list[str | None]) -> None:
    assert cut([(text, 0, number) for number, text in enumerate(texts)]) == left


def test_the_preferred_document_keeps_its_copy() -> None:
    assert cut([("x a b c", 1, 1), ("a b c y", 0, 2)]) == ["x", "a b c y"]
    longer = SubstringDedup(length=3, chars_left_at_least=0)  # by default then the longer text
    assert cut([("x a b c", 0, 1), ("a b c y z", 0, 2)], longer) == ["x", "a b c y z"]


def test_fifty_tokens_by_default() -> None:
    words = PASSAGE.split()
    documents: list[Document] = [(PASSAGE, 0, 1), ("a " + " ".join(words[3:53]), 0, 2), (" ".join(words[3:52]), 0, 3)]
    assert cut(documents, SubstringDedup(chars_left_at_least=0)) == [PASSAGE, "a", " ".join(words[3:52])]


def test_bytes_are_cut_at_whole_characters() -> None:
    """The copies share the first byte of the last letter, too. What is left would be one word, so a space comes in."""
    step = SubstringDedup(unit="bytes", length=6, chars_left_at_least=0)
    assert "ä".encode()[0] == "ö".encode()[0]
    assert cut([("1 abcdefä", 0, 1), ("2abcdefö", 0, 2)], step) == ["1 abcdefä", "2\nö"]


# The evidence


def test_a_span_names_the_document_whose_copy_stays_and_how_often_it_occurs() -> None:
    documents: list[Document] = [("x a b c d y", 1, 7), ("é a b c d", 0, 8), ("a b c z", 2, 9)]
    assert found_in(documents).to_pylist() == [
        {
            "shard": 0,
            "row": row,
            "start": start,
            "stop": stop,
            "keeper": f"{8:032x}",
            "keeper_shard": 0,
            "keeper_row": 1,
            "occurrences": 3,
        }
        for row, start, stop in [(0, 2, 9), (2, 0, 5)]
    ]


def test_spans_of_two_keepers_touch() -> None:
    spans = found_in([("p a b c", 0, 1), ("q c d e", 0, 2), ("a b c d e", 0, 3)])
    assert spans.select(["start", "stop", "keeper_row"]).to_pylist() == [
        {"start": 0, "stop": 5, "keeper_row": 0},
        {"start": 5, "stop": 9, "keeper_row": 1},
    ]


def test_counts() -> None:
    documents: list[Document] = [("a b c", 0, 1), ("a b c", 0, 2), ("e f g", 0, 3)]
    _, counts = run_verdict(SMALL, batch_of(documents))
    assert counts == {
        "anchors": 3,
        "anchors_repeated": 2,
        "windows_removed": 1,
        "spans": 1,
        "bytes_removed": 5,
    }


# Equality with the plain definition


TEXTS = st.none() | st.lists(st.sampled_from(["a", "b", "é", ".", "中"]), max_size=14).map(" ".join)
DOCUMENTS = st.lists(st.tuples(TEXTS, st.integers(0, 1), st.integers(0, 3)), max_size=6)


def by_definition(documents: list[Document], step: SubstringDedup) -> list[list[tuple[int, int]]]:
    """The byte ranges of the units that leave each document."""
    content = step.observe(batch_of(documents), None)["content"].to_pylist()
    order = sorted(range(len(documents)), key=lambda i: (*documents[i][1:], content[i] or b"", i))
    units = [units_of(documents[i][0] or "", step.unit == "bytes") for i in order]
    removed = removed_units([[h for h, _, _ in some] for some in units], step.length)
    ranges: list[list[tuple[int, int]]] = [[] for _ in documents]
    for i, some, gone in zip(order, units, removed, strict=True):
        ranges[i] = [some[place][1:] for place in sorted(gone)]
    return ranges


@settings(deadline=None, max_examples=300)  # the first call compiles
@given(DOCUMENTS, st.integers(1, 5), st.sampled_from(["tokens", "bytes"]), st.integers(1, 4), st.integers(0, 9))
def test_equals_brute_force_in_any_order_of_rows_and_division_of_keys(
    documents: list[Document], length: int, unit: Any, parts: int, seed: int
) -> None:
    step = SubstringDedup(length=length, unit=unit, prefer=("priority",), chars_left_at_least=0)
    ranges = by_definition(documents, step)
    spans = found_in(documents, step, parts=parts, seed=seed)
    covered: list[set[int]] = [set() for _ in documents]
    before = (-1, 0)
    for span in spans.to_pylist():
        assert span["start"] < span["stop"] and (span["row"], span["start"]) >= before, "spans are apart"
        before = (span["row"], span["stop"])
        covered[span["row"]].update(range(span["start"], span["stop"]))
        keeper = documents[span["keeper_row"]]
        assert f"{keeper[2]:032x}" == span["keeper"] and span["occurrences"] >= 2
    for (text, _, _), gone, bytes_gone in zip(documents, ranges, covered, strict=True):
        for _, begin, end in units_of(text or "", unit == "bytes"):
            assert ((begin, end) in gone) == bytes_gone.issuperset(range(begin, end))
    want = [
        None if text is None else cut_reference(text, [(s, e) for s, e in _runs(text, gone, unit == "bytes")])
        for (text, _, _), gone in zip(documents, ranges, strict=True)
    ]
    assert cut(documents, step, parts=parts, seed=seed) == want


def _runs(text: str, gone: list[tuple[int, int]], bytewise: bool) -> list[tuple[int, int]]:
    """Units that leave and follow each other, from the first one's start to the last one's stop."""
    runs: list[tuple[int, int]] = []
    latest = -2
    for number, (_, begin, end) in enumerate(units_of(text, bytewise)):
        if (begin, end) in gone:
            runs = [*runs[:-1], (runs[-1][0], end)] if latest == number - 1 else [*runs, (begin, end)]
            latest = number
    return runs


def suffix_array_marks(texts: list[list[int]], length: int) -> list[set[int]]:
    """Places that a suffix array of all texts marks: of each suffix the longest match with an earlier one, if long."""
    suffixes = sorted((texts[t][i:], t, i) for t in range(len(texts)) for i in range(len(texts[t])))
    marks: list[set[int]] = [set() for _ in texts]
    for at, (suffix, text, place) in enumerate(suffixes):
        longest = 0
        for step in (-1, 1):  # matches lie around a suffix, and the match with each is the least on the way to it
            common, other = len(suffix), at + step
            while 0 <= other < len(suffixes):
                common = min(common, _common(suffixes[other - step][0], suffixes[other][0]))
                if suffixes[other][1:] < (text, place):
                    longest = max(longest, common)
                other += step
        if longest >= length:
            marks[text].update(range(place, place + longest))
    return marks


def _common(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.integers(0, 3), max_size=14), max_size=4), st.integers(1, 5))
def test_the_definition_is_what_a_suffix_array_marks(texts: list[list[int]], length: int) -> None:
    marks, removed = suffix_array_marks(texts, length), removed_units(texts, length)
    overlaps = any(
        first_text == text and place < first + length
        for (text, place), (first_text, first, _) in first_occurrences(texts, length).items()
    )
    assert overlaps or removed == marks
    assert all(some <= all_ for some, all_ in zip(removed, marks, strict=True))


# Batches, shards, sizes


@pytest.mark.parametrize("lengths", [[1] * 20, [3, 0, 5], [10]])
def test_does_not_depend_on_where_batches_are_cut(lengths: list[int]) -> None:
    rng = random.Random(1)
    documents: list[Document] = [
        (" ".join(rng.choice("abcd") for _ in range(rng.randrange(30))), rng.randrange(2), i) for i in range(20)
    ]
    batches, first = [], 0
    for length in [*lengths, 20]:
        batches.append(batch_of(documents[first : first + length], first))
        first += batches[-1].num_rows
    whole, counts = run_verdict(SMALL, batch_of(documents))
    assert whole.num_rows > 10
    assert run_verdict(SMALL, batches) == (whole, counts)
    parts = [SMALL.cut(b, _one(whole.filter(pa.compute.is_in(whole["row"], b["row"]))))[0] for b in batches]
    assert pa.Table.from_batches(parts)["text"].to_pylist() == cut(documents)


def test_documents_of_several_shards_in_any_order() -> None:
    documents: list[Document] = [("a b c", 0, 1), ("x a b c", 1, 2), ("d e f", 1, 3), ("d e f y", 0, 4)]
    places = {"shard": pa.array([2, 1, 0, 1], pa.int32()), "row": pa.array([5, 9, 7, 3], pa.int64())}
    batch = batch_of(documents)
    for name, values in places.items():
        batch = batch.set_column(batch.schema.get_field_index(name), name, values)
    spans = run_verdict(SMALL, batch, parts=2)[0].select(["shard", "row", "start", "keeper_shard", "keeper_row"])
    assert [list(span.values()) for span in spans.to_pylist()] == [[0, 7, 0, 1, 3], [1, 9, 2, 2, 5]]


def test_a_passage_in_ten_thousand_documents_stays_in_one() -> None:
    rng = random.Random(3)
    documents: list[Document] = [
        (f"{rng.random()} {rng.random()} {PASSAGE} {rng.random()}", 0, rng.randrange(1 << 60)) for _ in range(10_000)
    ]
    spans = found_in(documents, SubstringDedup(prefer=("priority",)))
    assert spans.num_rows == 9_999
    assert set(spans["keeper"].to_pylist()) == {min(f"{number:032x}" for _, _, number in documents)}
    assert set(spans["occurrences"].to_pylist()) == {10_000}


def test_a_line_of_100_kb_and_a_text_of_many_blocks() -> None:
    rng = np.random.default_rng(5)
    long = " ".join(map(str, rng.integers(0, 1 << 40, 40_000)))
    documents: list[Document] = [("x" * 100_000, 0, 1), ("x" * 100_000, 0, 2), (long, 0, 3), ("a " + long + " b", 0, 4)]
    assert cut(documents, SubstringDedup(prefer=("priority",), chars_left_at_least=0)) == [
        *(t for t, _, _ in documents[:3]),
        "a\nb",
    ]


# What is dropped


@pytest.mark.parametrize(
    ("step", "text", "decision"),
    [
        pytest.param({}, "z" * 19, ("chars_left_at_least", 19, 20), id="19 characters left"),
        pytest.param({}, "é" * 20, None, id="20 are enough"),
        pytest.param({}, "", ("chars_left_at_least", 0, 20), id="nothing left"),
        pytest.param({"share_left_at_least": 0.5}, "z" * 100, ("share_left_at_least", 100 / 510, 0.5), id="a share"),
        pytest.param({"share_left_at_least": 0.19}, "z" * 100, None, id="share enough"),
    ],
)
def test_a_document_of_which_too_little_is_left_is_dropped_with_its_text(
    step: dict[str, Any], text: str, decision: tuple[str, float, float] | None
) -> None:
    verdict = SubstringDedup(prefer=("priority",), **step)
    documents: list[Document] = [(PASSAGE, 0, 1), (f"{text} {PASSAGE}".strip(), 0, 2)]
    batch, decided = verdict.cut(batch_of(documents), _one(found_in(documents, verdict)))
    assert [column.to_pylist() for column in (decided.rule, decided.value, decided.bound)] == [
        [None, value] for value in decision or (None, None, None)
    ]
    assert batch["text"].to_pylist() == [PASSAGE, documents[1][0] if decision else text]
    assert batch["substring_dedup_chars_left"].to_pylist() == [len(PASSAGE), len(text)]
    assert batch["substring_dedup_chars_removed"].to_pylist() == [0, len(documents[1][0] or "") - len(text)]


def test_short_documents_of_which_nothing_is_cut_are_never_dropped() -> None:
    documents: list[Document] = [("a", 0, 1), ("", 0, 2), (None, 0, 3), ("a", 0, 4)]
    step = SubstringDedup(share_left_at_least=1.0)
    batch, decided = step.cut(batch_of(documents), _one(SPANS.empty_table()))
    assert decided.rule.null_count == 4
    assert batch["text"].to_pylist() == ["a", "", None, "a"]
    assert batch["substring_dedup_chars_removed"].to_pylist() == [0, 0, None, 0]


# The request


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 0},
        {"length": 10_001},
        {"unit": "words"},
        {"chars_left_at_least": -1},
        {"share_left_at_least": 1.1},
        {"prefer": ()},
    ],
)
def test_refuses_a_parameter_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"substring_dedup: \w+="):
        SubstringDedup(**wrong)
