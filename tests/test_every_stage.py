"""What every step must satisfy. New ones are found by scanning the package; nobody registers anything."""

import dataclasses
import pickle
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from stage_examples import every, prepared, step_classes, summary_for, written
from verdict_runs import run_verdict

from tokenmill.core.barrier import ADDRESS, SPANS, Meeting, Regroup, SpanVerdict, Summary, Verdict
from tokenmill.core.document import TRAVELLING
from tokenmill.core.format import Format
from tokenmill.core.stage import Filter, Measure, Stage
from tokenmill.core.step import Step

CUTS = [[1] * 100, [7, 1, 13, 0, 20], [50]]  # rows per batch; what is left comes in one more


def by_name(step: Step) -> str:
    return step.name


def cut(batch: pa.RecordBatch, lengths: list[int]) -> list[pa.RecordBatch]:
    """`batch` in slices: the later ones have an offset, as batches on their way through a run may."""
    parts, start = [], 0
    for length in [*lengths, batch.num_rows]:
        parts.append(batch.slice(start, length))
        start += parts[-1].num_rows
    return parts


# Every step


@pytest.mark.parametrize("step", every(Step), ids=by_name)
def test_travels_to_workers(step: Step) -> None:
    copy = pickle.loads(pickle.dumps(step))
    assert copy == step
    assert copy.version == step.version


@pytest.mark.parametrize("step", every(Step), ids=by_name)
def test_version_is_12_hex_digits_and_the_same_each_time(step: Step) -> None:
    assert step.version == dataclasses.replace(step).version
    assert len(step.version) == 12
    int(step.version, 16)


@pytest.mark.parametrize("step", every(Step), ids=by_name)
def test_parameters_cannot_be_changed_in_place(step: Step) -> None:
    assert dataclasses.is_dataclass(step)
    for field in dataclasses.fields(step):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(step, field.name, None)
    hash(step)


def test_no_two_steps_have_one_name() -> None:
    assert [name for name, n in Counter(c.name for c in step_classes()).items() if n > 1] == []


# Every stage


@pytest.mark.parametrize("stage", every(Stage), ids=by_name)
def test_adds_exactly_what_it_declares(stage: Stage) -> None:
    batch = prepared(stage)
    result = stage.apply(batch)
    added = {f.name: f.type for f in stage.adds}
    before = {f.name: f.type for f in batch.schema}
    assert {f.name: f.type for f in result.schema} == before | added
    assert len(result.schema.names) == len(set(result.schema.names))
    result.validate(full=True)


@pytest.mark.parametrize("stage", every(Stage), ids=by_name)
def test_leaves_every_other_column_as_it_was(stage: Stage) -> None:
    batch = prepared(stage)
    result = stage.apply(batch)
    if isinstance(stage, Filter):
        batch = batch.filter(pc.is_in(batch["row"], result["row"]))
    for name in batch.schema.names:
        if name not in stage.adds.names:
            assert result[name].equals(batch[name]), f"{stage.name} changed {name}"


@pytest.mark.parametrize("stage", [s for s in every(Stage) if not isinstance(s, Filter)], ids=by_name)
def test_keeps_every_row_in_order(stage: Stage) -> None:
    batch = prepared(stage)
    result = stage.apply(batch)
    for name in ("id", *TRAVELLING.names):
        assert result[name].equals(batch[name])


@pytest.mark.parametrize("stage", every(Stage), ids=by_name)
def test_says_that_it_edits_if_it_changes_a_text(stage: Stage) -> None:
    if stage.edits:
        assert "text" in stage.adds.names
    elif "text" in stage.adds.names:
        before, after = prepared(stage)["text"], stage.apply(prepared(stage))["text"]
        had = pc.is_valid(before)
        assert after.filter(had).equals(before.filter(had))


@pytest.mark.parametrize("stage", every(Stage), ids=by_name)
@pytest.mark.parametrize("lengths", CUTS, ids=["one row each", "uneven", "two halves"])
def test_does_not_depend_on_where_batches_are_cut(stage: Stage, lengths: list[int]) -> None:
    batch = prepared(stage)
    parts = [stage.apply(part) for part in cut(batch, lengths)]
    whole = pa.Table.from_batches([stage.apply(batch)])
    assert pa.Table.from_batches(parts, whole.schema).combine_chunks().equals(whole.combine_chunks())


@pytest.mark.parametrize("stage", every(Stage), ids=by_name)
def test_accepts_an_empty_batch(stage: Stage) -> None:
    result = stage.apply(prepared(stage).slice(0, 0))
    assert result.num_rows == 0
    assert {f.name: f.type for f in stage.adds}.items() <= {f.name: f.type for f in result.schema}.items()


@pytest.mark.parametrize("stage", every(Stage), ids=by_name)
def test_does_not_touch_its_input(stage: Stage) -> None:
    batch = prepared(stage)
    before = batch.serialize()
    stage.apply(batch)
    assert batch.serialize().equals(before)


@pytest.mark.parametrize("stage", every(Measure), ids=by_name)
def test_measures_are_null_only_where_there_is_no_text(stage: Measure) -> None:
    """A null text has no measures; one of nothing but white space may lack some, say a language."""
    result = stage.apply(prepared(stage))
    no_text = pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(result["text"])), 0), True)
    for name in stage.adds.names:
        assert pc.and_(pc.is_null(result[name], nan_is_null=True), pc.invert(no_text)).true_count == 0, name


@pytest.mark.parametrize("stage", every(Filter), ids=by_name)
def test_drops_the_rows_that_it_decides_to_drop(stage: Filter) -> None:
    batch = prepared(stage)
    decision = stage.decide(batch)
    stays = pc.is_null(decision.rule)
    assert stage.apply(batch).equals(batch.filter(stays))
    assert stage.keep(batch).equals(stays)
    assert len(decision.value) == len(decision.bound) == batch.num_rows
    assert pc.and_(stays, pc.is_valid(decision.bound)).true_count == 0


@pytest.mark.parametrize("stage", every(Filter), ids=by_name)
def test_samples_show_what_a_filter_keeps_and_drops(stage: Filter) -> None:
    batch = prepared(stage)
    assert 0 < stage.apply(batch).num_rows < batch.num_rows


@pytest.mark.parametrize("stage", [s for s in every(Filter) if s.rules], ids=by_name)
def test_every_rule_is_a_field_and_says_where_it_is_published(stage: Filter) -> None:
    fields = {f.name for f in dataclasses.fields(stage)}
    for rule in stage.rules:
        assert rule.name in fields, f"--set {stage.name}.{rule.name} would not find it"
        assert getattr(stage, rule.name) == rule.bound
        assert rule.source
    assert len({rule.name for rule in stage.rules}) == len(stage.rules)


# Every barrier


def verdicts_of(verdict: Verdict, batches: list[pa.RecordBatch], **how: int) -> tuple[pa.Table, dict[str, int]]:
    table, counts = run_verdict(verdict, batches, summary=summary_for(verdict), **how)
    return (united(table) if isinstance(verdict, SpanVerdict) else table), counts


def united(spans: pa.Table) -> pa.Table:
    """What leaves each document, whatever pieces it was found in."""
    rows: list[tuple[int, int, int]] = []
    for span in spans.to_pylist():
        row, start, stop = span["row"], span["start"], span["stop"]
        if rows and rows[-1][0] == row and rows[-1][2] >= start:
            rows[-1] = (row, rows[-1][1], max(rows[-1][2], stop))
        else:
            rows.append((row, start, stop))
    return pa.table({"row": [r[0] for r in rows], "start": [r[1] for r in rows], "stop": [r[2] for r in rows]})


@pytest.mark.parametrize("verdict", every(Verdict), ids=by_name)
def test_remembers_one_row_per_document_as_it_declares(verdict: Verdict) -> None:
    batch = prepared(verdict)
    rows = verdict.observe(batch, summary_for(verdict))
    assert rows.schema.equals(verdict.keeps)
    assert rows.num_rows == batch.num_rows
    rows.validate(full=True)
    parts = [verdict.observe(part, summary_for(verdict)) for part in cut(batch, CUTS[1])]
    assert pa.Table.from_batches(parts).combine_chunks().equals(pa.Table.from_batches([rows]).combine_chunks())


@pytest.mark.parametrize("verdict", every(Verdict), ids=by_name)
def test_every_round_emits_keys_as_it_declares(verdict: Verdict) -> None:
    assert len({round_.name for round_ in verdict.rounds}) == len(verdict.rounds)
    for round_ in verdict.rounds:
        assert round_.emits[0].name == "key" and round_.emits[0].type == pa.uint64()
        assert pickle.loads(pickle.dumps(round_)).emits == round_.emits
    assert not verdict.rounds[-1].links


@pytest.mark.parametrize("verdict", every(Verdict), ids=by_name)
@pytest.mark.parametrize("lengths", CUTS, ids=["one row each", "uneven", "two halves"])
def test_verdicts_do_not_depend_on_where_batches_are_cut(verdict: Verdict, lengths: list[int]) -> None:
    batch = prepared(verdict)
    whole, counts = verdicts_of(verdict, [batch])
    parts, part_counts = verdicts_of(verdict, [part for part in cut(batch, lengths) if part.num_rows])
    assert parts.equals(whole)
    assert part_counts == counts


@pytest.mark.parametrize("verdict", every(Verdict), ids=by_name)
@pytest.mark.parametrize("seed", range(3))
def test_verdicts_depend_neither_on_the_order_of_rows_nor_on_how_keys_are_divided(verdict: Verdict, seed: int) -> None:
    batch = prepared(verdict)
    whole, _ = verdicts_of(verdict, [batch])
    assert verdicts_of(verdict, [batch], seed=seed, parts=seed + 1)[0].equals(whole)


@pytest.mark.parametrize("verdict", [v for v in every(Verdict) if not isinstance(v, SpanVerdict)], ids=by_name)
def test_a_verdict_names_a_keeper_that_stays(verdict: Verdict) -> None:
    batch = prepared(verdict)
    found = verdicts_of(verdict, [batch])[0].to_pylist()
    ids = dict(zip(batch["row"].to_pylist(), batch["id"].to_pylist(), strict=True))
    removed = [v["row"] for v in found]
    assert found, "the samples hold duplicates, and none is found"
    assert len(removed) == len(set(removed))
    for v in found:
        assert v["keeper_row"] not in removed
        assert ids[v["keeper_row"]] == v["keeper"]
        assert 0 <= v["similarity"] <= 1


@pytest.mark.parametrize("verdict", every(SpanVerdict), ids=by_name)
def test_spans_are_cut_and_everything_else_stays(verdict: SpanVerdict) -> None:
    batch = prepared(verdict)
    spans, _ = run_verdict(verdict, batch, summary=summary_for(verdict))
    assert spans.num_rows, "the samples hold repetitions, and none is found"
    after, decision = verdict.cut(batch, spans.to_batches()[0])
    touched = set(spans["row"].to_pylist())
    for before, text, row, rule in zip(
        batch["text"].to_pylist(), after["text"].to_pylist(), batch["row"].to_pylist(), decision.rule, strict=True
    ):
        if row not in touched:
            assert text == before and not rule.is_valid
        elif rule.is_valid:
            assert text == before, "who leaves keeps its text"
        else:
            assert len(text) < len(before)
    after.validate(full=True)
    assert {f.name: f.type for f in verdict.adds}.items() <= {f.name: f.type for f in after.schema}.items()
    nothing, kept = verdict.cut(batch, empty_spans())
    assert nothing["text"].equals(batch["text"]) and kept.rule.null_count == batch.num_rows


def empty_spans() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in SPANS], schema=SPANS)


@pytest.mark.parametrize("verdict", [v for v in every(Verdict) if v.index is not None], ids=by_name)
def test_against_an_index_of_themselves_all_documents_with_text_leave(verdict: Verdict) -> None:
    batch = prepared(verdict)
    kept = verdict.observe(batch, summary_for(verdict))
    index = verdict.indexed(kept, batch)
    assert verdict.index is not None and index.schema.equals(verdict.index)
    index = index.append_column(ADDRESS.field("shard"), pa.array(np.full(batch.num_rows, -1, np.int32)))
    index = index.append_column(ADDRESS.field("row"), batch["row"])
    found, _ = run_verdict(verdict, batch, summary=summary_for(verdict), index=index)
    with_text = [r for r, t in zip(batch["row"].to_pylist(), batch["text"].to_pylist(), strict=True) if t is not None]
    assert set(found["row"].to_pylist()) == set(with_text)
    assert set(found["keeper_shard"].to_pylist()) == {-1}
    if isinstance(verdict, Meeting):  # others find the most preferred that is near, which may not be the same one
        assert set(found["similarity"].to_pylist()) == {1.0}


@pytest.mark.parametrize("verdict", every(Verdict), ids=by_name)
def test_no_documents_give_no_verdicts(verdict: Verdict) -> None:
    assert verdicts_of(verdict, [prepared(verdict).slice(0, 0)])[0].num_rows == 0


@pytest.mark.parametrize("summary", every(Summary), ids=by_name)
@pytest.mark.parametrize("lengths", CUTS, ids=["one row each", "uneven", "two halves"])
def test_a_summary_does_not_depend_on_cuts_or_order(summary: Summary, lengths: list[int]) -> None:
    batch = prepared(summary)
    whole = summary.merge(summary.observe(batch))
    parts = [summary.observe(part) for part in cut(batch, lengths)]
    assert summary.merge(pa.concat_tables(parts)).equals(whole)
    assert summary.merge(pa.concat_tables(parts[::-1])).equals(whole)
    assert summary.merge(pa.concat_tables([summary.merge(p) for p in parts])).equals(whole), "merged parts merge"


@pytest.mark.parametrize("regroup", every(Regroup), ids=by_name)
@pytest.mark.parametrize("lengths", CUTS, ids=["one row each", "uneven", "two halves"])
def test_every_row_is_assigned_to_one_group_whatever_its_batch(regroup: Regroup, lengths: list[int]) -> None:
    batch, summary = prepared(regroup), summary_for(regroup)
    groups = regroup.groups(summary)
    whole = regroup.assign(batch, summary)
    assert len(set(groups)) == len(groups) > 0
    assert whole.type == pa.int32()
    assert len(whole) == batch.num_rows
    assert all(0 <= g < len(groups) for g in whole.to_pylist())
    parts = [regroup.assign(part, summary) for part in cut(batch, lengths) if part.num_rows]
    assert pa.concat_arrays(parts).equals(whole)


@pytest.mark.parametrize("regroup", every(Regroup), ids=by_name)
@pytest.mark.parametrize("seed", range(3))
def test_order_within_a_group_is_total(regroup: Regroup, seed: int) -> None:
    rows = pa.Table.from_batches([prepared(regroup)])
    arranged = rows.take(regroup.arrange(rows))["row"].to_pylist()
    other = rows.take(pa.array(np.random.default_rng(seed).permutation(rows.num_rows)))
    assert sorted(arranged) == rows["row"].to_pylist()
    assert other.take(regroup.arrange(other))["row"].to_pylist() == arranged


# Every format


@pytest.mark.parametrize("format", every(Format), ids=by_name)
@pytest.mark.parametrize("lengths", CUTS, ids=["one row each", "uneven", "two halves"])
def test_files_do_not_depend_on_where_batches_are_cut(format: Format, lengths: list[int]) -> None:
    batch = prepared(format)
    files = written(format, [batch])
    assert set(files) == set(format.suffixes)
    assert written(format, [part for part in cut(batch, lengths) if part.num_rows]) == files
