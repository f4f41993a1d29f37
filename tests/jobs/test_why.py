"""`why` answers for any document: what became of it, by which rule, at which value."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tokenmill.jobs.cli import main

PROSE = (
    "The harbour lies open to the west, and when a storm comes in from the sea every boat must be made fast. "
    "Old sailors say that you can hear it long before clouds are seen, a low sound like carts on a bridge. "
    "We spent that winter in a small house above the quay with two windows and a stove. "
    "My sister kept birds there, which sang whenever somebody opened the door to bring wood. "
    "In spring they were let go, one after another, over the roofs of the town."
)
RECORDS = [
    {"text": PROSE},
    {"text": PROSE, "id": "copy"},
    {"txt": "none"},
    {"text": "Drei Chinesen mit dem Kontrabass"},
]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    arguments = ["--source", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["run", "web_en", *arguments]) == 0
    return tmp_path / "out"


def ledger(out: Path) -> list[dict[str, Any]]:
    return [r for p in sorted((out / "ledger").iterdir()) for r in pq.read_table(p).to_pylist()]


def told(out: Path, id_: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["why", str(out), id_]) == 0
    return capsys.readouterr().out


def test_every_document_of_the_run_is_answered_for(out, capsys):
    rows = ledger(out)
    assert sorted(r["fate"] for r in rows) == ["dropped", "duplicate", "error", "kept"]
    answers = {
        "kept": f"kept: {len(PROSE)} of {len(PROSE)} characters",
        "duplicate": "duplicate (exact_dedup) of",
        "error": "error in read: no text",
        "dropped": "dropped by language.languages",
    }
    for row in rows:
        said = told(out, row["id"], capsys)
        assert row["id"] in said
        assert "a.jsonl" in said
        assert answers[row["fate"]] in said


def test_a_duplicate_names_its_keeper_and_the_similarity(out, capsys):
    rows = ledger(out)
    kept = next(r for r in rows if r["fate"] == "kept")
    gone = next(r for r in rows if r["fate"] == "duplicate")
    assert f"of {kept['id']} (row {kept['row']} of source-00000), similarity 1.000" in told(out, gone["id"], capsys)


def test_the_beginning_of_an_id_is_enough(out, capsys):
    assert ledger(out)[0]["id"] in told(out, ledger(out)[0]["id"][:8], capsys)


def test_json_gives_ledger_row_measures_and_place(out, capsys):
    capsys.readouterr()
    assert main(["why", str(out), ledger(out)[3]["id"], "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["documents"]
    assert (document["fate"], document["stage"], document["measures"]["language"]) == ("dropped", "language", "de")
    assert document["read_from"]["uri"].endswith("a.jsonl")


def test_an_unknown_id_is_exit_2(out, capsys):
    assert main(["why", str(out), "ffffffffffff"]) == 2
    assert "no document of this run" in capsys.readouterr().err
