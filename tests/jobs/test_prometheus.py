"""Prometheus's own parser reads what a run shows; the file is whole at every moment and a run never fails for it."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.jobs import prometheus
from tokenmill.jobs.prometheus import Prometheus, note_firing
from tokenmill.manifests.manifest import Manifest, Shard

LABELS = {"name": "web", "recipe": "web_en", "engine": "local"}


def made(**totals: Any) -> Manifest:
    """A run of 10 documents: 5 kept, 3 dropped, 1 duplicate, 1 error whose reason quotes a text."""
    numbers = {
        "documents_in": 10, "made": 0, "kept": 5, "dropped": {"length.words_at_least": 2, "stop_words.at_least": 1},
        "duplicates": {"exact_dedup": 1}, "errors": {"read: no JSON: 'my secret text'": 1}, "records": {},
        "chars_in": 900, "chars_out": 500, "tokens": 120,
    }  # fmt: skip
    shard = Shard(path="documents/a.parquet", kind="documents", rows=5, bytes=77, sha256="", rows_hash="")
    return Manifest(name="web_en", recipe="web_en@1", parents=(), shards=(shard,), totals=numbers | totals, assets={})


def read(text: str) -> dict[tuple[str, ...], float]:
    """Samples as (name, label=value ...) but for the run's own name, which all of them have."""
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    found = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation
        assert family.type == ("counter" if any(s.name.endswith("_total") for s in family.samples) else "gauge")
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("name") == "web"
            found[(sample.name, *(f"{key}={value}" for key, value in labels.items()))] = sample.value
    return found


def test_a_run_from_beginning_to_end(tmp_path):
    file = tmp_path / "web.prom"
    with Prometheus(str(file), LABELS) as told:
        told.phase("segment 0", 3, 1, 1000)
        told.news({"documents": 6, "bytes": 600, "kept": 4})
        told.news({"documents": 4, "bytes": 400, "retries": 1})
        told.task_done()
        told.phase("exact_dedup", 2, 0, 0)
        running = read(file.read_text())  # as it was written when the first phase ended
        told.task_done()
        told.task_done()
        told.finished(made())
    assert running["tokenmill_run_state", "state=running"] == 1
    assert running["tokenmill_tasks", "phase=segment 0", "state=done"] == 2
    assert running["tokenmill_tasks", "phase=segment 0", "state=waiting"] == 1
    assert running["tokenmill_documents_read_total",] == 10
    assert running["tokenmill_bytes_read_total",] == 1000
    assert running["tokenmill_task_retries_total",] == 1
    assert ("tokenmill_documents_total", "fate=kept") not in running
    ended = read(file.read_text())
    assert ended["tokenmill_run_info", "recipe=web_en", "engine=local"] == 1
    assert [ended["tokenmill_documents_total", f"fate={f}"] for f in ("kept", "dropped", "duplicate", "error")] == [
        5, 3, 1, 1,
    ]  # fmt: skip
    assert ended["tokenmill_documents_dropped_total", "rule=length.words_at_least"] == 2
    assert ended["tokenmill_documents_duplicate_total", "step=exact_dedup"] == 1
    assert (ended["tokenmill_tokens_total",], ended["tokenmill_output_bytes",]) == (120, 77)
    assert ended["tokenmill_run_state", "state=done"] == 1
    assert ended["tokenmill_tasks", "phase=exact_dedup", "state=done"] == 2
    assert ended["tokenmill_phase_seconds", "phase=segment 0"] >= 0
    assert abs(ended["tokenmill_run_last_success_timestamp_seconds",] - time.time()) < 60
    assert "secret" not in file.read_text()


def test_the_last_success_outlives_the_next_run_that_fails(tmp_path):
    file = tmp_path / "web.prom"
    with Prometheus(str(file), LABELS) as told:
        told.finished(made())
    note_firing(str(file), "web", due=1793502000, ended=1793502345.5)
    before = read(file.read_text())
    assert before["tokenmill_documents_total", "fate=kept"] == 5
    with Prometheus(str(file), LABELS) as told:
        told.phase("segment 0", 3, 0, 1000)
        told.failed(RuntimeError("my secret text"))
    after = read(file.read_text())
    assert (after["tokenmill_run_state", "state=failed"], after["tokenmill_run_state", "state=done"]) == (1, 0)
    for name in ("run_last_success", "firing_last_success", "firing_last_due"):
        key = (f"tokenmill_{name}_timestamp_seconds",)
        assert after[key] == before[key]
    assert after["tokenmill_firing_last_success_timestamp_seconds",] == 1793502345.5
    assert ("tokenmill_documents_total", "fate=kept") not in after
    note_firing(str(file), "web", due=1793588400, ended=1793588500)
    assert read(file.read_text())["tokenmill_firing_last_due_timestamp_seconds",] == 1793588400
    assert "secret" not in file.read_text()


def test_it_is_written_between_phases_too(tmp_path, monkeypatch):
    monkeypatch.setattr(prometheus, "WRITE_EVERY_S", 0.05)
    file = tmp_path / "web.prom"
    with Prometheus(str(file), LABELS) as told:
        told.phase("segment 0", 3, 0, 1000)
        told.news({"documents": 7})
        until = time.monotonic() + 20
        while read(file.read_text())["tokenmill_documents_read_total",] != 7:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_an_endpoint_shows_the_same_on_the_loopback_alone(tmp_path):
    with Prometheus(":0", LABELS) as told:
        told.phase("segment 0", 3, 0, 1000)
        told.news({"documents": 7})
        with urllib.request.urlopen(f"http://127.0.0.1:{told.port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            found = read(answer.read().decode())
        assert found["tokenmill_documents_read_total",] == 7
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{told.port}/secret", timeout=10)
        refused.value.close()
        with pytest.raises(RecipeError, match=f"127.0.0.1:{told.port}: cannot listen there"):
            Prometheus(f":{told.port}", LABELS)
        port = told.port
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert list(tmp_path.iterdir()) == []
    note_firing(":9464", "web", due=0, ended=0)  # nothing lives there between runs


def test_a_file_that_cannot_be_written_is_warned_about_once_and_counted(tmp_path, capsys):
    file = tmp_path / "web.prom"
    with Prometheus(str(file), LABELS) as told:
        file.unlink()
        (file / "in the way").mkdir(parents=True)
        told.phase("segment 0", 3, 0, 1000)
        told.phase("exact_dedup", 3, 0, 1000)
        assert read(told.text())["tokenmill_metrics_errors_total",] == 2
        told.finished(made())
    assert capsys.readouterr().err.count("metrics cannot be written") == 1


def test_steps_of_one_round_are_one_series_and_odd_names_are_escaped(tmp_path):
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")
    told = Prometheus(str(tmp_path / "web.prom"), LABELS | {"name": 'a "b"\\\n'})
    for step in range(30):
        told.phase(f"fuzzy_dedup.links, star step {step}", 2, 0, 0)
    families = {f.name: f.samples for f in parser.text_string_to_metric_families(told.text())}
    assert [s.labels["phase"] for s in families["tokenmill_phase_seconds"]] == ["fuzzy_dedup.links, star step"]
    assert {s.value for s in families["tokenmill_tasks"] if s.labels["state"] == "waiting"} == {60}
    assert {s.labels["name"] for f in families.values() for s in f} == {'a "b"\\\n'}


@pytest.mark.parametrize("place", ["no/web.prom", ":70000", "nowhere.invalid:80"])
def test_a_place_that_can_be_told_nothing_is_refused(tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="metrics: "):
        Prometheus(place, LABELS)
    assert not Path("no").exists()
