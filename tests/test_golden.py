"""What every step gives for the sample documents changes only when its `revision` does.

Run as a program (`make gold`), this file records anew what they give.
"""

import hashlib
import json
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sample_documents import documents, names_of
from stage_examples import every, prepared, step_classes, summary_for, written
from verdict_runs import run_verdict

from tokenmill.core.barrier import Regroup, Summary, Verdict
from tokenmill.core.format import Format
from tokenmill.core.stage import Filter, Stage
from tokenmill.core.step import Step

GOLDEN = Path(__file__).parent / "golden" / "steps.json"


def golden_of(step: Step) -> dict[str, str]:
    """Eight hex digits for each sample document (or for the whole, where documents meet)."""
    if isinstance(step, Filter):
        batch = prepared(step)
        decision = step.decide(batch)
        values = list(zip(decision.rule.to_pylist(), decision.value.to_pylist(), strict=True))
    elif isinstance(step, Stage):
        batch = step.apply(prepared(step))
        values = batch.select(step.adds.names).to_pylist()
    elif isinstance(step, Verdict):
        batch = prepared(step)
        table, _ = run_verdict(step, batch, summary=summary_for(step))
        found = table.to_pylist()
        values = [[v for v in found if v["row"] == row] for row in batch["row"].to_pylist()]
    elif isinstance(step, Regroup):
        batch, summary = prepared(step), summary_for(step)
        order = step.arrange(pa.Table.from_batches([batch])).to_pylist()
        places = {row: place for place, row in enumerate(order)}
        values = [[g, places[n]] for n, g in enumerate(step.assign(batch, summary).to_pylist())]
    elif isinstance(step, Summary):
        return {"all": _digest(step.finish(step.merge(step.observe(prepared(step)))).to_pylist())}
    else:
        assert isinstance(step, Format)
        files = written(step, [prepared(step)])
        # A Parquet file's bytes name the library that wrote them; what it holds is tested beside the format.
        return {suffix: _digest(content) for suffix, content in files.items() if not suffix.endswith(".parquet")}
    return {name: _digest(value) for name, value in zip(names_of(batch), values, strict=True)}


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(_plain(value)).encode()).hexdigest()[:8]


def _plain(value: Any) -> Any:
    """Floats to five digits: the last ones are the processor's, and a golden value belongs to no machine."""
    match value:
        case float():
            return f"{value:.5g}"
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case _:
            return value


@pytest.mark.parametrize("step", every(Step), ids=lambda step: step.name)
def test_output_changes_only_with_revision(step: Step) -> None:
    recorded = json.loads(GOLDEN.read_text()).get(step.name)
    assert recorded, f"{step.name} is not recorded yet; run `make gold` and look at the difference"
    found = golden_of(step)
    changed = sorted(name for name in found if found[name] != recorded["output"].get(name))
    pins = {name: installed_version(name) for name in step.pins}
    assert (step.revision, changed) == (recorded["revision"], []), (
        f"{step.name}: revision {step.revision} (recorded {recorded['revision']}) gives another output for {changed}, "
        f"with {pins} (recorded with {recorded['pins']}). If that is meant, raise `revision`, say why in CHANGELOG.md "
        "and run `make gold`"
    )


def test_golden_file_names_no_step_that_is_gone() -> None:
    assert set(json.loads(GOLDEN.read_text())) == {c.name for c in step_classes()}


def test_samples_are_what_their_names_say() -> None:
    texts = dict(zip(names_of(documents()), documents()["text"].to_pylist(), strict=True))
    assert len(texts) == documents().num_rows
    assert texts["null"] is None
    assert texts["empty"] == ""
    assert len(texts["one letter, 100 kB"]) == 100_000
    assert "\x00" in texts["null characters"]


def record() -> None:
    """Write what every step gives now to GOLDEN, one line per step so that a difference can be read."""
    steps = {
        step.name: {
            "revision": step.revision,
            "pins": {name: installed_version(name) for name in step.pins},
            "output": golden_of(step),
        }
        for step in every(Step)
    }
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(steps, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{GOLDEN}: {len(steps)} steps")


if __name__ == "__main__":
    record()
