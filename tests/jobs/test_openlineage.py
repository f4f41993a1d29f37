"""The events of a run are what OpenLineage's own classes accept, and nobody has to listen."""

import importlib
import json
import pkgutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from one_process import OneProcess
from toys import Silence

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.engines.plan import Plan, make_plan
from tokenmill.engines.run import run
from tokenmill.jobs import openlineage
from tokenmill.jobs.openlineage import OpenLineage, dataset_name, run_id
from tokenmill.jobs.recipes import find_recipe
from tokenmill.jobs.sources import find_sources
from tokenmill.jobs.watch import Watch, watched
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri

DUE = datetime(2026, 11, 1, 3, tzinfo=UTC)


def plan_of(folder: Path, *more: str) -> Plan:
    """Three documents, two of them equal."""
    (folder / "in").mkdir(exist_ok=True)
    lines = [json.dumps({"text": text}) for text in ("a secret text", "another", "another")]
    (folder / "in" / "a.jsonl").write_text("\n".join(lines))
    inputs = find_sources([f"crawl={folder}/in", *more])
    return make_plan(find_recipe("exact_dedup"), inputs.sources, open_uri, parents=inputs.parents)


def do(plan: Plan, out: Path, place: str) -> Manifest:
    watch = Watch(name="web", openlineage=place, due=DUE)
    with watched(watch, plan, str(out), Silence()) as progress:
        made = run(plan, LocalStore(out), OneProcess(), progress=progress)
        progress.finished(made)
    return made


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def check(event: dict[str, Any]) -> None:
    """Build the event and each facet from the classes generated from the specification; they refuse unknown keys."""
    base = pytest.importorskip("openlineage.client.generated.base", reason="openlineage-python is not installed")
    generated = importlib.import_module("openlineage.client.generated")
    by_schema: dict[str, Any] = {}
    for found in pkgutil.iter_modules(generated.__path__):
        module = importlib.import_module(f"openlineage.client.generated.{found.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and hasattr(kind, "_get_schema"):
                by_schema[kind._get_schema()] = (kind, module)

    def facets(some: dict[str, Any]) -> None:
        for name, facet in some.items():
            assert facet["_producer"].startswith("pkg:pypi/tokenmill@")
            kind, module = by_schema[facet["_schemaURL"]]
            values = {key: value for key, value in facet.items() if not key.startswith("_")}
            if name.startswith("tokenmill_"):
                continue  # our own: the base facet allows any keys
            if name == "schema":
                values["fields"] = [module.SchemaDatasetFacetFields(**field) for field in values["fields"]]
            if name == "dataQualityMetrics":
                columns = values["columnMetrics"].items()
                values["columnMetrics"] = {column: module.ColumnMetrics(**m) for column, m in columns}
            kind(**values)

    assert event["schemaURL"] == base.RunEvent._get_schema()
    facets(event["run"]["facets"])
    facets(event["job"]["facets"])
    for dataset in event["inputs"]:
        facets(dataset["facets"])
        facets(dataset["inputFacets"])
        base.InputDataset(**dataset)
    for dataset in event["outputs"]:
        facets(dataset["facets"])
        facets(dataset["outputFacets"])
        base.OutputDataset(**dataset)
    known = {key: value for key, value in event.items() if key != "schemaURL"}
    base.RunEvent(
        **known
        | {
            "run": base.Run(**event["run"]),
            "job": base.Job(**event["job"]),
            "eventType": base.EventType(event["eventType"]),
        }
    )


def test_a_run_is_told_from_start_to_complete_as_the_specification_wants(tmp_path):
    made = do(plan_of(tmp_path), tmp_path / "out", str(tmp_path / "events.jsonl"))
    start, complete = events(tmp_path / "events.jsonl")
    for event in (start, complete):
        check(event)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert (complete["job"]["namespace"], complete["job"]["name"]) == ("tokenmill", "web")
    assert complete["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-11-01T03:00:00+00:00"
    (read,) = complete["inputs"]
    assert (read["namespace"], read["name"]) == ("file", str(tmp_path / "in"))
    assert read["inputFacets"]["inputStatistics"]["fileCount"] == 1
    assert read["inputFacets"]["inputStatistics"]["size"] == (tmp_path / "in" / "a.jsonl").stat().st_size
    (wrote,) = complete["outputs"]
    assert (wrote["namespace"], wrote["name"]) == ("file", str(tmp_path / "out" / "documents"))
    assert wrote["facets"]["version"]["datasetVersion"] == made.identity
    assert {f["name"]: f["type"] for f in wrote["facets"]["schema"]["fields"]}["text"] == "large_string"
    assert wrote["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert complete["run"]["facets"]["tokenmill_fates"]["duplicates"] == {"exact_dedup": 1}
    assert "version" not in start["outputs"][0]["facets"]
    assert "secret" not in (tmp_path / "events.jsonl").read_text()


def test_what_one_run_writes_is_what_the_next_one_reads(tmp_path):
    first = plan_of(tmp_path)
    do(first, tmp_path / "out", str(tmp_path / "events.jsonl"))
    do(plan_of(tmp_path, f"run={tmp_path}/out"), tmp_path / "out2", str(tmp_path / "events.jsonl"))
    wrote = events(tmp_path / "events.jsonl")[1]["outputs"][0]
    read = events(tmp_path / "events.jsonl")[2]["inputs"]
    assert (wrote["namespace"], wrote["name"]) in [(dataset["namespace"], dataset["name"]) for dataset in read]


def test_a_resumed_run_goes_on_under_the_same_id_and_another_place_or_input_is_another_run(tmp_path):
    plan, file = plan_of(tmp_path), tmp_path / "events.jsonl"
    with (
        pytest.raises(KeyboardInterrupt),
        watched(Watch(name="web", openlineage=str(file)), plan, str(tmp_path / "out"), Silence()),
    ):
        raise KeyboardInterrupt
    do(plan_of(tmp_path), tmp_path / "out", str(file))
    assert [e["eventType"] for e in events(file)] == ["START", "ABORT", "START", "COMPLETE"]
    assert {e["run"]["runId"] for e in events(file)} == {run_id(plan, str(tmp_path / "out"))}
    assert run_id(plan, "elsewhere") != run_id(plan, str(tmp_path / "out"))
    (tmp_path / "in" / "b.jsonl").write_text('{"text": "more"}')
    assert run_id(plan_of(tmp_path), str(tmp_path / "out")) != run_id(plan, str(tmp_path / "out"))


def test_a_failure_is_told_without_its_message(tmp_path):
    plan, file = plan_of(tmp_path), tmp_path / "events.jsonl"
    with (
        pytest.raises(DataError),
        watched(Watch(name="web", openlineage=str(file)), plan, str(tmp_path / "out"), Silence()),
    ):
        raise DataError("crawl-00000: ValueError: 'a secret text'")
    _, fail = events(file)
    check(fail)
    assert fail["eventType"] == "FAIL"
    assert fail["run"]["facets"]["errorMessage"]["message"].startswith("DataError, exit 3: its message is in the log")
    assert "secret" not in file.read_text()


def test_phases_are_told_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(openlineage, "RUNNING_EVERY_S", 0.0)
    do(plan_of(tmp_path), tmp_path / "out", str(tmp_path / "events.jsonl"))
    told = events(tmp_path / "events.jsonl")
    assert [e["eventType"] for e in told] == ["START", *["RUNNING"] * (len(told) - 2), "COMPLETE"]
    assert len(told) > 3
    check(told[1])


@contextmanager
def endpoint(status: int, location: str = "") -> Iterator[tuple[str, list[tuple[str, str | None, Any]]]]:
    """A real server; what it was sent: path, authorization, body."""
    got: list[tuple[str, str | None, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            got.append((self.path, self.headers["Authorization"], None))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_endpoint_gets_the_events_with_a_key_that_stays_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "fleet")
    with endpoint(201) as (url, got):
        do(plan_of(tmp_path), tmp_path / "out", url)
        do(plan_of(tmp_path), tmp_path / "out2", f"{url}/elsewhere")
    assert [path for path, _, _ in got] == ["/api/v1/lineage"] * 2 + ["/elsewhere"] * 2
    assert {key for _, key, _ in got} == {"Bearer k3y"}
    assert [(e["eventType"], e["job"]["namespace"]) for _, _, e in got[:2]] == [
        ("START", "fleet"),
        ("COMPLETE", "fleet"),
    ]
    assert not any(b"k3y" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


def test_a_redirect_is_a_failure_and_the_key_goes_nowhere_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y")
    with endpoint(201) as (elsewhere, strayed), endpoint(302, elsewhere) as (url, got):
        told = OpenLineage(url, plan_of(tmp_path), str(tmp_path / "out"), name="web", engine="local")
    assert (told.failures, len(got), strayed) == (1, 1, [])
    assert "OpenLineage events do not arrive (HTTP Error 302" in capsys.readouterr().err


def test_a_password_in_the_endpoint_is_sent_to_nobody_and_never_told(tmp_path, capsys):
    with endpoint(201) as (url, got):
        made = do(plan_of(tmp_path), tmp_path / "out", url.replace("//", "//me:hunter2@"))
    said = capsys.readouterr().err
    assert (got, made.totals["kept"]) == ([], 2)
    assert "put a key into the environment: OPENLINEAGE_API_KEY; the run goes on without" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("kind", ["refused", "error 500", "silent"])
def test_a_dead_endpoint_is_warned_about_once_and_the_run_is_done(tmp_path, capsys, monkeypatch, kind):
    monkeypatch.setattr(openlineage, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, endpoint(500) as (failing, _):
        address = silent.getsockname()
        if kind == "refused":
            silent.close()
        url = failing if kind == "error 500" else f"http://127.0.0.1:{address[1]}"
        told = OpenLineage(url, plan_of(tmp_path), str(tmp_path / "out"), name="web", engine="local")
        assert told.failures == 1
        told.phase("segment 0", 1, 0, 0)
        assert told.failures == 1
        made = do(plan_of(tmp_path), tmp_path / "out", url)
        told.finished(made)
    assert told.failures == 2
    assert capsys.readouterr().err.count("OpenLineage events do not arrive") == 2  # once by each of the two


@pytest.mark.parametrize("place", ["no/events.jsonl", "ftp://host/x", "http://"])
def test_a_place_that_can_be_told_nothing_is_refused(tmp_path, place):
    with pytest.raises(RecipeError, match="openlineage: "):
        OpenLineage(
            str(tmp_path / place) if "://" not in place else place, plan_of(tmp_path), "out", name="w", engine="l"
        )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param("/data/runs/web", ("file", "/data/runs/web"), id="a folder"),
        pytest.param("s3://bucket/runs/web", ("s3://bucket", "runs/web"), id="an object store"),
        pytest.param("file:///data/web", ("file", "/data/web"), id="a file URL"),
        pytest.param("https://me:pw@host/a?sig=x", ("https://host", "a"), id="a URL with secrets"),
    ],
)
def test_datasets_are_named_as_the_specification_names_them(place, name):
    assert dataset_name(place) == name
