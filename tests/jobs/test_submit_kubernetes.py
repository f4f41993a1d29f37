"""--to kubernetes: what the manifests say, by Kubernetes' own schema, and that the pods they describe do the run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_server import KubernetesServer
from submitted_jobs import local_identity, manifests, refusal, rendered, write_job

from tokenmill.jobs.cli import main
from tokenmill.jobs.kubernetes_pod import dns_name
from tokenmill.manifests.manifest import Manifest

VERSION = "1.33"  # what submit_kubernetes says that it needs


def on_volume(folder: Path, more: str = "") -> str:
    """Resources of a job whose whole folder lies on a volume of the pods."""
    return f"resources: {{image: 'r/tokenmill:1', volumes: [{{claim: data, path: '{folder}'}}]{more}}}\n"


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(manifest)["containers"]
    return dict(only)


def expanded(words: Sequence[str], variables: dict[str, str]) -> list[str]:
    """As the kubelet reads arguments: $(NAME) is a variable, $$ a dollar sign."""
    found = []
    for word in words:
        text, rest = "", word
        while rest:
            head, dollar, rest = rest.partition("$")
            text += head
            if dollar and rest.startswith("$"):
                text, rest = text + "$", rest[1:]
            elif dollar and rest.startswith("("):
                name, _, rest = rest[1:].partition(")")
                text += variables[name]
            else:
                text += dollar
        found.append(text)
    return found


def test_a_job_is_one_indexed_job_whose_pods_go_through_all_stations(tmp_path, capsys):
    job = write_job(tmp_path, on_volume(tmp_path, ", tasks: 3"))
    told = rendered(job, "kubernetes", capsys)
    (manifest,) = manifests(told)
    spec = manifest["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert container(manifest)["command"] == [
        *("python3", "-m", "tokenmill.jobs", "work", told["folder"]),
        *("--rank", "$(JOB_COMPLETION_INDEX)", "--of", "3", "--workers", "1", "--retries", "3"),
    ]
    assert told["commands"] == [["kubectl", "create", "--filename", f"{told['folder']}/kubernetes-0.yaml"]]
    assert spec["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}  # who writes the manifest


def test_exit_codes_say_who_must_act(tmp_path, capsys):
    (manifest,) = manifests(rendered(write_job(tmp_path, on_volume(tmp_path) + "retries: 5\n"), "kubernetes", capsys))
    rules = manifest["spec"]["podFailurePolicy"]["rules"]
    actions = {code: r["action"] for r in rules if "onExitCodes" in r for code in r["onExitCodes"]["values"]}
    assert actions == {2: "FailJob", 3: "FailJob", 143: "Ignore"}  # 4 and 137 count against the retries
    assert {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]} in rules
    assert manifest["spec"]["backoffLimitPerIndex"] == 5
    assert pod(manifest)["restartPolicy"] == "Never"  # a failure policy is refused with any other


def test_fewer_pods_at_once_take_more_each_for_they_go_in_step(tmp_path, capsys):
    (manifest,) = manifests(rendered(write_job(tmp_path, on_volume(tmp_path, ", at_once: 2")), "kubernetes", capsys))
    assert (manifest["spec"]["completions"], manifest["spec"]["parallelism"]) == (2, 2)
    assert container(manifest)["command"][-5] == "2"  # --of 2 --workers 1 --retries 3


def test_memory_is_guaranteed_and_time_ends_a_pod_not_the_job(tmp_path, capsys):
    job = write_job(tmp_path, on_volume(tmp_path, ", cpus: 2, memory: 4GiB, time: 1h, gpus: 1"))
    (manifest,) = manifests(rendered(job, "kubernetes", capsys))
    asked = container(manifest)["resources"]
    assert asked["requests"] == {"cpu": "2", "memory": str(4 * 2**30), "nvidia.com/gpu": "1"}
    assert asked["limits"] == {"memory": str(4 * 2**30), "nvidia.com/gpu": "1"}
    assert pod(manifest)["activeDeadlineSeconds"] == 3600
    assert "activeDeadlineSeconds" not in manifest["spec"]


def test_a_step_that_wants_a_gpu_gets_pods_of_its_own_that_close_nothing(tmp_path, capsys):
    job = write_job(tmp_path, on_volume(tmp_path, ", tasks: 2, steps: {gopher_quality: {gpus: 1, tasks: 4}}"))
    first, second = manifests(rendered(job, "kubernetes", capsys))
    assert "nvidia.com/gpu" not in container(first)["resources"]["requests"]
    assert container(second)["resources"]["limits"]["nvidia.com/gpu"] == "1"
    stations = [container(m)["command"][container(m)["command"].index("--stations") + 1] for m in (first, second)]
    assert stations == ["0,1,3", "2"]  # segment 1 has the step; the barrier, segment 0 and the end have not
    assert ["--no-closing" in container(m)["command"] for m in (first, second)] == [False, True]
    assert [m["spec"]["completions"] for m in (first, second)] == [2, 4]
    assert "successPolicy" not in second["spec"]


def test_memory_for_what_one_task_does_alone_goes_to_the_pods_that_close(tmp_path, capsys):
    job = write_job(tmp_path, on_volume(tmp_path, ", memory: 2GiB, steps: {fuzzy_dedup: {memory: 8GiB}}"))
    text = (tmp_path / "small.py").read_text()
    text = text.replace("ExactDedup(),", "FuzzyDedup(),").replace("from tokenmill.dedup.exact import ExactDedup", FUZZY)
    (tmp_path / "small.py").write_text(text)
    first, *others = manifests(rendered(job, "kubernetes", capsys))
    assert container(first)["resources"]["limits"]["memory"] == str(8 * 2**30)  # union-find over all links
    assert [container(m)["resources"]["limits"]["memory"] for m in others] == [str(2 * 2**30)]


FUZZY = "from tokenmill.dedup.fuzzy import FuzzyDedup"


def test_secrets_are_references_and_nothing_of_their_values_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("S3_KEY", "very-secret")
    more = "environment: {secrets: [S3_KEY, {variable: TOKEN, name: hub, key: token}]}\n"
    told = rendered(write_job(tmp_path, on_volume(tmp_path) + more, name="Web_Daily"), "kubernetes", capsys)
    (manifest,) = manifests(told)
    env = {entry["name"]: entry for entry in container(manifest)["env"]}
    assert env["TOKEN"] == {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    assert env["S3_KEY"]["valueFrom"] == {"secretKeyRef": {"name": dns_name("Web_Daily"), "key": "S3_KEY"}}
    assert "very-secret" not in json.dumps(told)


NASTY = "a: b # 'c' \"d\"\n$(HOME) $$ ${X} `e` \u2028é"


def test_what_a_job_file_says_arrives_in_the_pod_as_it_was_written(tmp_path, capsys):
    more = yaml.safe_dump({"environment": {"variables": {"V": NASTY}, "setup": ['export W="$V"']}})
    (manifest,) = manifests(rendered(write_job(tmp_path, on_volume(tmp_path) + more), "kubernetes", capsys))
    (entry,) = container(manifest)["env"]
    (value,) = expanded([entry["value"]], {})
    assert value == NASTY
    bash, _, script, *_ = expanded(container(manifest)["command"], {"JOB_COMPLETION_INDEX": "0"})
    shown = [bash, "-c", script, "x", sys.executable, "-c", "import os; print(os.environ['W'], end='')"]
    assert (
        subprocess.run(shown, env={**os.environ, "V": value}, capture_output=True, check=True).stdout == NASTY.encode()
    )


def test_it_is_valid_by_kubernetes_own_schema(tmp_path, capsys):
    schemas = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    more = "environment: {variables: {A: b}, secrets: [K], setup: [module load x]}\n"
    extra = ", cpus: 2, memory: 4GiB, time: 1h, service_account: mill, steps: {gopher_quality: {gpus: 1}}"
    both = manifests(rendered(write_job(tmp_path, on_volume(tmp_path, extra) + more), "kubernetes", capsys))
    of_one_process = extra.partition(", steps")[0]
    scheduled = write_job(tmp_path, on_volume(tmp_path, of_one_process) + more + SCHEDULE, out='"out-{date}"')
    for manifest in [*both, *manifests(rendered(scheduled, "kubernetes", capsys))]:
        schemas.validate(manifest, VERSION, strict=True)
        manifest["spec"]["compleet"] = 1
        with pytest.raises(schemas.ValidationError):
            schemas.validate(manifest, VERSION, strict=True)


SCHEDULE = 'schedule: {cron: "0 3 * * *", start: 2026-11-01, timezone: Europe/Paris}\n'


def test_a_schedule_is_a_cron_job_that_fires_the_job_file_where_it_lies(tmp_path, capsys):
    job = write_job(tmp_path, on_volume(tmp_path, ", memory: 4GiB") + SCHEDULE, out='"out-{date}"')
    told = rendered(job, "kubernetes", capsys)
    (manifest,) = manifests(told)
    spec = manifest["spec"]
    assert (manifest["kind"], spec["schedule"], spec["timeZone"]) == ("CronJob", "0 3 * * *", "Europe/Paris")
    assert spec["concurrencyPolicy"] == "Forbid"
    one = {"spec": spec["jobTemplate"]["spec"]}
    assert container(one)["command"] == ["python3", "-m", "tokenmill.jobs", "fire", str(job)]
    assert container(one)["resources"]["limits"]["memory"] == str(4 * 2**30)
    assert told["commands"][0][:2] == ["kubectl", "apply"]  # changed in place


@pytest.mark.parametrize(
    ("more", "changes", "words"),
    [
        pytest.param("", {}, "resources.image", id="no image"),
        pytest.param("resources: {image: i}\n", {}, "no pod sees", id="no volume"),
        pytest.param("engine: {name: dask}\n", {}, "engine.name: dask", id="another engine"),
        pytest.param("", {"out": "/elsewhere/out"}, "/elsewhere/out", id="out is on no volume"),
    ],
)
def test_what_pods_cannot_do_is_refused_before_anything_is_written(tmp_path, capsys, more, changes, words):
    resources = "" if "image" in words or "resources" in more else on_volume(tmp_path)
    assert words in refusal(write_job(tmp_path, resources + more, **changes), "kubernetes", capsys)


def test_without_kubectl_the_manifests_stay_and_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    job = write_job(tmp_path, on_volume(tmp_path))
    assert main(["submit", str(job), "--to", "kubernetes"]) == 4
    assert "kubectl is not on the PATH" in capsys.readouterr().err
    assert yaml.safe_load((tmp_path / "state" / "web-1" / "kubernetes-0.yaml").read_text())["kind"] == "Job"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    with KubernetesServer(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_kubectl_takes_it_and_status_logs_and_cancel_ask_kubectl(tmp_path, capsys, cluster):
    job = write_job(tmp_path, on_volume(tmp_path, ", namespace: data, tasks: 2"))
    assert main(["submit", str(job), "--to", "kubernetes"]) == 0, capsys.readouterr()
    ((name, made),) = cluster.objects("data", "jobs").items()
    assert made["spec"]["completions"] == 2
    made["status"] = {"active": 2, "ready": 1}
    assert status(job, capsys) == {"running": 1, "pending": 1}
    made["status"] = {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]}
    assert status(job, capsys) == {"failed": 2}
    made["status"] = {"succeeded": 1, "active": 1, "ready": 1}
    cluster.add_pod("data", name, index=1, phase="Running", log="station 2\n")
    assert main(["logs", str(job)]) == 0
    assert "station 2" in capsys.readouterr().out
    assert main(["cancel", str(job)]) == 0
    assert cluster.objects("data", "jobs") == {}
    assert status(job, capsys) == {"unknown": 1}


def test_a_cron_job_is_made_changed_and_taken_back(tmp_path, capsys, cluster):
    job = write_job(tmp_path, on_volume(tmp_path) + SCHEDULE, out='"out-{date}"')
    assert main(["submit", str(job), "--to", "kubernetes"]) == 0, capsys.readouterr()
    job.write_text(job.read_text().replace("0 3 * * *", "0 5 * * *"))
    assert main(["submit", str(job), "--to", "kubernetes"]) == 0, capsys.readouterr()
    assert [o["spec"]["schedule"] for o in cluster.objects("default", "cronjobs").values()] == ["0 5 * * *"]
    assert main(["cancel", str(job)]) == 0, capsys.readouterr()
    assert cluster.objects("default", "cronjobs") == {}


def test_a_cron_job_of_another_job_file_is_left_alone(tmp_path, capsys, cluster):
    jobs = []
    for who in ("mine", "theirs"):
        (tmp_path / who).mkdir()
        jobs.append(write_job(tmp_path / who, on_volume(tmp_path) + SCHEDULE, out='"out-{date}"', files=1))
    assert main(["submit", str(jobs[0]), "--to", "kubernetes"]) == 0, capsys.readouterr()
    assert main(["submit", str(jobs[1]), "--to", "kubernetes"]) == 2
    assert f"fires {jobs[0]}; cancel that job's schedule" in capsys.readouterr().err
    (made,) = cluster.objects("default", "cronjobs").values()
    assert str(jobs[0]) in json.dumps(made)


def status(job: Path, capsys: Any) -> dict[str, int]:
    capsys.readouterr()
    assert main(["status", str(job), "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["parts"]
    counts: dict[str, int] = part["counts"]
    return counts


@pytest.mark.slow
def test_the_pods_that_are_described_do_the_run_though_one_dies(tmp_path, capsys, cluster):
    """The commands of all pods as processes here; what Kubernetes would do with one that fails is done by hand."""
    more = f"environment: {{python: '{sys.executable}'}}\nmetrics: {{prometheus: web.prom, openlineage: web.jsonl}}\n"
    asked = on_volume(tmp_path, ", tasks: 2, steps: {gopher_quality: {gpus: 1, tasks: 1}}")
    job = write_job(tmp_path, asked + more, files=2)
    assert main(["submit", str(job), "--to", "kubernetes"]) == 0, capsys.readouterr()
    starts = pods_of(cluster)
    pods = [subprocess.Popen(command) for command in starts]
    try:
        pods[0].kill()
        assert pods[0].wait() == -9
        pods[0] = subprocess.Popen(starts[0])
        assert [pod.wait(timeout=120) for pod in pods] == [0, 0, 0]
    finally:
        for running in pods:
            running.kill()
    assert Manifest.load(tmp_path / "out").identity == local_identity(job)
    assert 'tokenmill_run_state{name="web",state="done"} 1' in (tmp_path / "web.prom").read_text()
    events = [json.loads(line)["eventType"] for line in (tmp_path / "web.jsonl").read_text().splitlines()]
    assert (events[0], events[-1]) == ("START", "COMPLETE") and {*events[1:-1]} <= {"RUNNING"}


@pytest.mark.slow
def test_a_firing_hands_its_run_to_pods_and_waits(tmp_path, capsys, cluster):
    more = f"environment: {{python: '{sys.executable}'}}\n{SCHEDULE.replace('}', ', submit_to: kubernetes}')}"
    job = write_job(tmp_path, on_volume(tmp_path, ", tasks: 2") + more, out='"out-{date}"', files=2)
    fires = [sys.executable, "-m", "tokenmill.jobs", "fire", str(job), "--at", "2026-11-03T02:00Z"]
    with subprocess.Popen(fires) as firing:
        until = time.monotonic() + 60
        while not cluster.objects("default", "jobs"):
            assert time.monotonic() < until and firing.poll() is None
            time.sleep(0.2)
        (made,) = cluster.objects("default", "jobs").values()
        made["status"] = {"active": 2, "ready": 2}
        pods = [subprocess.Popen(command) for command in pods_of(cluster)]
        assert [pod.wait(timeout=120) for pod in pods] == [0, 0]
        made["status"] = {"succeeded": 2, "conditions": [{"type": "Complete", "status": "True"}]}
        assert firing.wait(60) == 0
    assert Manifest.load(tmp_path / "out-2026-11-03").identity == local_identity(job)


def pods_of(cluster: KubernetesServer) -> list[list[str]]:
    """The command of each pod of each Job, as its kubelet would read it."""
    return [
        expanded(container(made)["command"], {"JOB_COMPLETION_INDEX": str(index)})
        for made in cluster.objects("default", "jobs").values()
        for index in range(made["spec"]["completions"])
    ]
