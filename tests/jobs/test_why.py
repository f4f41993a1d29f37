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


def test_what_was_cut_out_of_a_kept_document_is_answered_for_too(tmp_path, capsys):
    texts = [
        f"{PROSE}\nThe first page says this as well.",
        f"Another page says something else.\n{PROSE}\nIt does indeed.",
    ]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    command = ["run", "substring_dedup", "--source", str(tmp_path / "b.jsonl"), "--out", str(tmp_path / "cut")]
    settings = ["--set", "substring_dedup.prefer=chars", "--workers", "1"]  # the shorter text first
    assert main([*command, *settings]) == 0
    first, second = ledger(tmp_path / "cut")
    answer = told(tmp_path / "cut", second["id"], capsys)
    start = len("Another page says something else.\n")
    cut = f"substring_dedup cut bytes {start}..{start + len(PROSE)}: as in {first['id']} "
    assert cut in answer
    assert "(row 0 of source-00000), which comes first of 2 places that have them" in answer
    assert "cut bytes" not in told(tmp_path / "cut", first["id"], capsys)


def test_a_near_duplicate_names_the_band_that_proposed_it(tmp_path, capsys):
    texts = [PROSE, PROSE.replace("two windows", "three windows")]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    arguments = ["--source", str(tmp_path / "c.jsonl"), "--out", str(tmp_path / "near"), "--workers", "1"]
    assert main(["run", "fuzzy_dedup", *arguments]) == 0
    (gone,) = [r for r in ledger(tmp_path / "near") if r["fate"] == "duplicate"]
    answer = told(tmp_path / "near", gone["id"], capsys)
    assert f"similarity {gone['similarity']:.3f}, proposed by band {gone['band']}" in answer


def test_a_keeper_that_left_later_is_followed_to_the_one_that_stays(tmp_path, capsys):
    """Two copies of a page, and a longer page that is near it: one copy goes to the other, that to the longer page."""
    texts = {"a": PROSE, "b": PROSE, "longer": PROSE + " And more."}
    lines = [json.dumps({"id": id_, "text": text}) for id_, text in texts.items()]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    (tmp_path / "both_kinds.py").write_text(
        "from tokenmill.core.recipe import Recipe\nfrom tokenmill.dedup.exact import ExactDedup\n"
        "from tokenmill.dedup.fuzzy import FuzzyDedup\nfrom tokenmill.ingest.extract_html import ExtractHtml\n"
        "BOTH = Recipe('both', (ExtractHtml(), ExactDedup(), FuzzyDedup()))\n"
    )
    command = ["run", f"{tmp_path}/both_kinds.py:BOTH", "--source", f"{tmp_path}/d.jsonl", "--workers", "1"]
    assert main([*command, "--out", f"{tmp_path}/chain"]) == 0
    rows = {r["stage"]: r for r in ledger(tmp_path / "chain")}
    lines = told(tmp_path / "chain", rows["exact_dedup"]["id"], capsys).splitlines()
    assert lines[2] == f"    {rows['fuzzy_dedup']['id']}: " + lines[2].partition(": ")[2]
    assert lines[2].partition(": ")[2].startswith(f"duplicate (fuzzy_dedup) of {rows[None]['id']}")
    assert lines[3].startswith(f"    {rows[None]['id']}: kept")
