"""Jobs on a real Slurm: the local engine's identity, whatever is cancelled, cut short or killed on the way."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import SlurmCluster, slurm_cluster
from submitted_jobs import tokenmill

from tokenmill.manifests.verify import verify

pytestmark = pytest.mark.slow

SECRET = "the-value-of-the-secret"
DONE_S = 150  # on a machine that has other work

RECIPES = """
from paced import Paced
from toys import Loses
from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup

DEDUP = Recipe("dedup", (ExactDedup(),))
PACED = Recipe("paced", (Paced(pace={pace!r}),))
LATER = Recipe("later", (ExactDedup(), Paced(pace={pace!r})))
BROKEN = Recipe("broken", (Loses(), ExactDedup()))
"""


class Job:
    """A job file in a folder of its own, over `files` files with copies and near copies among them."""

    def __init__(self, folder: Path, recipe: str, files: int, more: str) -> None:
        self.folder, self.recipe, self.files = folder, recipe, files
        self.path, self.pace = folder / "job.yaml", folder / "pace"
        words = [f"word{n}" for n in range(200)]
        (folder / "in").mkdir(parents=True)
        for number in range(files):
            texts = [" ".join(words[n : n + 60]) for n in range(number, 120, 7)] + [f"file {number} alone has this"]
            (folder / "in" / f"{number}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
        (folder / "mine.py").write_text(RECIPES.format(pace=str(self.pace)))
        self.path.write_text(f"name: web\nrecipe: mine.py:{recipe}\nsources: [{{path: in}}]\nout: out\n{more}")

    def submit(self) -> dict[str, Any]:
        return tokenmill("submit", self.path, "--to", "slurm")

    def status(self) -> dict[str, Any]:
        return tokenmill("status", self.path)

    def until(self, what: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        ends = time.monotonic() + DONE_S
        while not reached(found := self.status()):
            over = time.monotonic() > ends or found["state"] not in ("pending", "running")
            assert not over, f"{what}: not within {DONE_S} s, or before its end: {found}; {self.logs()}"
            time.sleep(0.3)
        return found

    def identity(self) -> str:
        """Once it has come to an end."""
        found = self.until("an end", lambda s: s["state"] not in ("pending", "running"))
        assert found["state"] == "done", (found, self.logs())
        assert {station["state"] for station in found["stations"]} == {"done"}
        assert verify(self.folder / "out").problems == []
        return str(found["identity"])

    def local_identity(self) -> str:
        out = self.folder / "local"
        recipe, source = f"{self.folder}/mine.py:{self.recipe}", self.folder / "in"
        return str(tokenmill("run", recipe, "--source", source, "--out", out, "--workers", "1")["identity"])

    def receipts(self) -> int:
        """Of the first segment."""
        return int(self.status()["receipts"].get("segment-0", 0))

    def logs(self) -> str:
        return "\n".join(p.read_text() for p in sorted(self.folder.glob(".web/web-*/logs/*.log")))


def restarts(job: Job, cluster: SlurmCluster) -> int:
    """The most that any element of the first array has seen."""
    array = job.status()["parts"][0]["id"]
    told = cluster.tell(["scontrol", "show", "job", "--oneliner", array])
    return max(int(number) for number in re.findall(r" Restarts=(\d+) ", told))


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def cluster(environment: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """Two nodes in the default partition, and one called `last`."""
    with slurm_cluster(nodes=3, cpus=4) as cluster:
        for name in ("SLURM_CONF", "PATH"):
            environment.setenv(name, cluster.environment[name])
        yield cluster


@pytest.fixture(scope="module")
def limited(cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Begun first: Slurm looks at time limits twice a minute, and the other tests pass meanwhile."""
    more = "resources: {tasks: 2, time: 1min, partition: last}\nretries: 1\n"
    job = Job(tmp_path_factory.mktemp("limited"), "PACED", 12, more)
    job.pace.write_text("8")  # six times for each of two elements
    job.submit()
    return job


@pytest.fixture
def job(limited: Job, tmp_path: Path) -> Callable[..., Job]:
    def make(recipe: str, more: str = "", *, folder: str = "job", files: int = 4) -> Job:
        return Job(tmp_path / folder, recipe, files, more)

    return make


def test_a_dedup_run_has_the_local_identity(job, environment):
    """In a folder with a name that shells and Slurm would read otherwise; with a GPU for one step, and a secret."""
    environment.setenv("HUSH", SECRET)
    more = """
resources: {tasks: 2, memory: 300MB, time: 30min, steps: {exact_dedup: {gpus: 1, partition: gpu}}}
environment:
  setup: ['test "$HUSH" = "$(printf the-%s value-of-the-secret)"']
  variables: {A: "it's"}
  secrets: [HUSH]
"""
    dedup = job("DEDUP", more, folder="it's a $HOME #1 %a")
    told = dedup.submit()
    assert told["parts"][0]["name"] == "segment 0"
    assert tokenmill("submit", dedup.path, "--to", "slurm", code=4)["message"].startswith("web-1 is still at work on ")
    assert dedup.identity() == dedup.local_identity()
    assert tokenmill("submit", dedup.path, "--to", "slurm") == {
        "job": "web",
        "out": str(dedup.folder / "out"),
        "submission": None,
    }
    for path in dedup.folder.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), f"{path} holds the secret"


def test_what_cannot_be_handed_over_whole_is_taken_back(job, cluster):
    later = job("LATER", "resources: {tasks: 2, steps: {paced: {partition: nowhere}}}\n")
    before = cluster.queue().keys()
    refused = tokenmill("submit", later.path, "--to", "slurm", code=2)
    assert re.search("sbatch: .*invalid partition.*; change what the job file asks for", refused["message"])
    handed_over = {job: state for job, state in cluster.queue().items() if job not in before}
    assert len(handed_over) == 3, "two elements, and what closes them"
    assert later.until("cancelled", lambda s: s["state"] == "cancelled")["identity"] is None


def test_a_slurm_that_does_not_answer_may_be_asked_again(job, cluster, tmp_path):
    away = tmp_path / "slurm.conf"
    away.write_text(re.sub(r"SlurmctldPort=\d+", "SlurmctldPort=1", (cluster.folder / "slurm.conf").read_text()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(away))
        told = tokenmill("submit", job("DEDUP").path, "--to", "slurm", code=4)["message"]
    assert "Unable to contact slurm controller" in told and "then run the same command again" in told


def test_bad_data_end_what_closes_too_and_nothing_behind_it_runs(job, cluster):
    broken = job("BROKEN", "resources: {tasks: 2}\n")
    broken.submit()
    found = broken.until("an end", lambda s: s["state"] not in ("pending", "running"))
    assert found["state"] == "failed"
    assert [station["state"] for station in found["stations"]] == ["failed", "failed", "cancelled", "cancelled"]
    # The array may fail and what closes it begins; that met the same data, and what is behind it was given up.
    array, closes, *_ = found["parts"]
    assert (array["counts"], closes["counts"]) == ({"failed": 2}, {"failed": 1})
    assert "ExitCode=3:0" in cluster.tell(["scontrol", "show", "job", "--oneliner", closes["id"]])
    logs = tokenmill("logs", broken.path, "--failed", "--station", "segment 0")["logs"]
    assert [log["element"] for log in logs] == ["0", "1", ""], "the array's, and what closes it"
    assert all("loses: " in log["text"] for log in logs)
    assert "requeued" not in broken.logs(), "the same data would fail again"


def test_cancelled_in_the_middle_and_submitted_again(job, cluster):
    paced = job("PACED", "resources: {tasks: 2}\n", files=8)
    paced.pace.write_text("1")
    paced.submit()
    paced.until("some receipts", lambda s: s["receipts"].get("segment-0", 0) >= 2)
    cancelled = tokenmill("cancel", paced.path)["cancelled"]
    assert [part["name"] for part in cancelled] == ["segment 0", "segment 0 to finish, closing"]
    found = paced.until("an end", lambda s: s["state"] not in ("pending", "running"))
    assert found["state"] == "cancelled"
    paced.pace.unlink()
    done_before = paced.receipts()
    assert 2 <= done_before < 8
    assert paced.submit()["submission"] == "web-2"
    assert paced.identity() == paced.local_identity()
    again = [json.loads(log["text"]) for log in tokenmill("logs", paced.path, "--station", "0")["logs"]]
    assert sum(told["done"] for told in again if told["station"] == 0) == 8 - done_before


def test_a_node_that_dies_has_its_elements_done_elsewhere(job, cluster):
    paced = job("PACED", "resources: {tasks: 2}\nretries: 0\n", files=8)
    paced.pace.write_text("4")
    paced.submit()
    paced.until("a receipt", lambda s: s["receipts"].get("segment-0", 0) >= 1)
    cluster.kill_node("n1")
    paced.until("fewer running", lambda s: s["stations"][0]["elements"].get("pending", 0) > 0)
    paced.pace.unlink()
    assert paced.identity() == paced.local_identity()
    assert restarts(paced, cluster) == 1
    cluster.start_node("n1")


def test_a_time_limit_stops_it_and_it_goes_on(limited, cluster):
    limited.until("requeued", lambda s: "requeued" in limited.logs())
    limited.pace.unlink()
    assert limited.identity() == limited.local_identity()
    assert restarts(limited, cluster) >= 1
    assert '"terminated": true' in limited.logs()
