"""Bad input, each with its own clear error and exit code; what is good beside it is never lost."""

import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

PROSE = "This is the first of the sentences that we have, and it is to be read with some care by all of us."
GOOD = json.dumps({"text": PROSE}).encode() + b"\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    return tmp_path


def run(place: Path, source: str, *more: str, recipe: str = "exact_dedup", out: str = "out") -> int:
    return main(["run", recipe, "--source", str(place / source), "--out", str(place / out), "--workers", "1", *more])


def ledger(place: Path) -> list[dict[str, Any]]:
    return [r for p in sorted((place / "out" / "ledger").iterdir()) for r in pq.read_table(p).to_pylist()]


def fates(place: Path) -> list[tuple[str, str | None]]:
    assert verify(place / "out").problems == []
    return [(r["fate"], r["rule"]) for r in ledger(place)]


def test_a_missing_source(place, capsys):
    assert run(place, "god.jsonl") == 2
    assert "no such file or folder; did you mean" in capsys.readouterr().err
    assert not (place / "out").exists()


def test_an_empty_directory(place, capsys):
    (place / "empty").mkdir()
    assert run(place, "empty") == 2
    assert "nothing to read here (it is empty)" in capsys.readouterr().err


def test_parquet_without_text(place, capsys):
    pq.write_table(pa.table({"body": ["a"], "id": ["1"]}), place / "notext.parquet")
    assert run(place, "notext.parquet") == 3
    said = capsys.readouterr().err
    assert "notext.parquet" in said and "body" in said and "text" in said
    assert not (place / "out").exists()


def test_a_file_that_is_not_what_its_name_says(place, capsys):
    (place / "lie.parquet").write_bytes(b"PAR0 this is no parquet at all")
    assert run(place, "lie.parquet") == 3
    assert "lie.parquet" in capsys.readouterr().err


def test_a_truncated_gzip_keeps_what_came_before(place):
    whole = gzip.compress(b"".join(json.dumps({"text": f"{PROSE} {n}"}).encode() + b"\n" for n in range(2000)))
    (place / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert run(place, "cut.jsonl.gz") == 0
    found = fates(place)
    assert len([f for f in found if f[0] == "kept"]) > 100
    assert found[-1][0] == "error" and "gzip" in str(found[-1][1])


def test_invalid_utf8_costs_its_own_line(place):
    (place / "bad.jsonl").write_bytes(b'{"text": "caf\xe9"}\n' + GOOD)
    assert run(place, "bad.jsonl") == 0
    assert fates(place) == [("error", "invalid UTF-8"), ("kept", None)]


def test_invalid_json_costs_its_own_line(place):
    (place / "bad.jsonl").write_bytes(b'{"text": "a"\n' + GOOD + b"[1]\n" + b'{"txt": 1}\n')
    assert run(place, "bad.jsonl") == 0
    assert [f[0] for f in fates(place)] == ["error", "kept", "error", "error"]


def test_a_line_of_200_megabytes_is_told_and_never_held(place):
    with (place / "long.jsonl").open("wb") as file:
        file.write(GOOD + b'{"text": "')
        for _ in range(200):
            file.write(b"a" * 1_000_000)
        file.write(b'"}\n' + GOOD.replace(b"first", b"last"))
    assert run(place, "long.jsonl") == 0
    kept, long, also_kept = fates(place)
    assert (kept[0], long[0], also_kept[0]) == ("kept", "error", "kept")
    assert "200" in str(long[1])
    peak = json.loads((place / "out" / "provenance.json").read_text())["peak_bytes_per_worker"]
    assert peak < 700_000_000


@pytest.mark.parametrize("out", ["file/out", "/proc/nowhere/out"])
def test_an_output_that_cannot_be_written(place, capsys, out):
    (place / "file").write_text("")
    assert run(place, "good.jsonl", out=out) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_that_counts_and_the_same_command_goes_on(place):
    """A limit on the size of files stands in for the disk: the write fails half-way in the same place."""
    import random

    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=8)) for _ in range(50_000)]
    lines = [json.dumps({"text": " ".join(rng.choices(words, k=300))}) for _ in range(1500)]
    (place / "big.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-m", "tokenmill.jobs", "run", "exact_dedup", "--workers", "1"]
    command += ["--source", str(place / "big.jsonl"), "--out", str(place / "out")]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    failed = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited)
    assert failed.returncode == 4, failed.stderr
    assert "then run the same command again" in failed.stderr
    assert not (place / "out" / "manifest.json").exists()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert Manifest.load(place / "out").totals["kept"] == 1500
    assert verify(place / "out").ok


def test_an_out_that_holds_another_recipes_run(place, capsys):
    assert run(place, "good.jsonl") == 0
    assert run(place, "good.jsonl", recipe="extract") == 2
    assert "holds a finished run of recipe exact_dedup@" in capsys.readouterr().err
    assert verify(place / "out").ok


def test_an_out_within_the_source_would_be_read_next_time(place, capsys):
    (place / "in").mkdir()
    (place / "in" / "a.jsonl").write_bytes(GOOD)
    assert run(place, "in", out="in/out") == 2
    assert "lies within --source" in capsys.readouterr().err
    assert [p.name for p in (place / "in").iterdir()] == ["a.jsonl"]


def test_an_unknown_set_key_names_the_nearest(place, capsys):
    assert run(place, "good.jsonl", "--set", "gopher_quality.word_at_least=3", recipe="web_en") == 2
    assert "did you mean gopher_quality.words_at_least?" in capsys.readouterr().err


def test_an_unknown_recipe_names_the_nearest(place, capsys):
    assert run(place, "good.jsonl", recipe="web_eng") == 2
    assert "did you mean web_en?" in capsys.readouterr().err


def test_json_prints_one_object_even_for_an_error(place, capsys):
    assert run(place, "god.jsonl", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["exit_code"], told["error"]) == (2, "RecipeError")


@pytest.mark.parametrize(
    "arguments", [["run"], ["rum"], ["run", "web_en"], ["verify"], ["run", "web_en", "--wurkers", "2"]]
)
def test_a_command_that_is_not_understood_is_exit_2(arguments, capsys):
    assert main(arguments) == 2
