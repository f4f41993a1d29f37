"""--to spark: a command or a SparkApplication that starts our driver; and spark-submit for real, on this machine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_server import KubernetesServer
from submitted_jobs import local_identity, manifests, refusal, rendered, write_job

from tokenmill.engines.spark_java import java_home
from tokenmill.jobs.cli import main
from tokenmill.jobs.spark_conf import driver_source
from tokenmill.manifests.manifest import Manifest

SCHEDULE = 'schedule: {cron: "0 3 * * *", start: 2026-11-01, timezone: Europe/Paris}\n'


def spark(**more: str) -> str:
    return f"engine: {{name: spark{''.join(f', {key}: {value}' for key, value in more.items())}}}\n"


def pods(folder: Path, more: str = "") -> str:
    return f"resources: {{image: 'r/tokenmill:1', volumes: [{{claim: data, path: '{folder}'}}]{more}}}\n"


def command(told: dict[str, Any]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """(options, settings, driver file and its arguments) of the one spark-submit command."""
    (words,) = told["commands"]
    assert Path(words[0]).name == "spark-submit"
    options: dict[str, str] = {}
    conf: dict[str, str] = {}
    rest = words[1:]
    while rest[0].startswith("--"):
        name, value, *rest = rest
        if name == "--conf":
            key, _, value = value.partition("=")
            conf[key] = value
        else:
            options[name] = value
    return options, conf, rest


def test_spark_submit_starts_our_driver_on_the_whole_plan(tmp_path, capsys):
    told = rendered(write_job(tmp_path, spark(master="spark://h:7077")), "spark", capsys)
    options, _, rest = command(told)
    assert options == {"--name": "web-1", "--deploy-mode": "client", "--master": "spark://h:7077"}
    folder = told["folder"]
    assert rest == [f"{folder}/spark_driver.py", "work", folder, "--engine", "spark"]
    assert "import main" in told["files"]["spark_driver.py"]


def test_an_executor_s_memory_is_mostly_outside_the_jvm(tmp_path, capsys):
    more = "resources: {tasks: 10, at_once: 8, cpus: 4, memory: 16GiB, steps: {gopher_quality: {memory: 20GiB}}}\n"
    _, conf, _ = command(rendered(write_job(tmp_path, spark(master="yarn") + more), "spark", capsys))
    heap, overhead = (int(conf[f"spark.executor.{key}"].removesuffix("m")) for key in ("memory", "memoryOverhead"))
    assert heap + overhead == 20 * 1024  # one kind of executor: the largest request
    assert heap == 8192
    assert (conf["spark.executor.cores"], conf["spark.executor.instances"]) == ("4", "8")


def test_retries_are_those_of_a_task_and_the_job_file_has_the_last_word(tmp_path, capsys):
    job = write_job(tmp_path, spark(master="yarn", conf="{spark.executor.cores: '7', spark.x: 'a b'}") + "retries: 5\n")
    _, conf, _ = command(rendered(job, "spark", capsys))
    assert conf["spark.task.maxFailures"] == "6"
    assert (conf["spark.executor.cores"], conf["spark.x"]) == ("7", "a b")


def test_a_packed_environment_travels_with_the_job(tmp_path, capsys):
    more = "environment: {archive: packed.tar.gz}\n"
    options, conf, _ = command(rendered(write_job(tmp_path, spark(master="yarn") + more), "spark", capsys))
    assert options["--archives"] == f"{tmp_path}/packed.tar.gz#environment"
    assert conf["spark.pyspark.python"] == "./environment/bin/python"
    assert "spark.pyspark.driver.python" not in conf  # in cluster mode the driver has it too
    job = write_job(tmp_path, spark(master="yarn", deploy_mode="client") + more)
    _, conf, _ = command(rendered(job, "spark", capsys))
    assert conf["spark.pyspark.driver.python"] == sys.executable


def test_on_kubernetes_driver_and_executors_get_secrets_by_reference(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("S3_KEY", "very-secret")
    more = "environment: {secrets: [S3_KEY, {variable: TOKEN, name: hub, key: t}], variables: {A: b}}\n"
    job = write_job(tmp_path, spark(master="'k8s://https://h:6443'") + pods(tmp_path, ", namespace: ns") + more)
    told = rendered(job, "spark", capsys)
    options, conf, (driver, *_) = command(told)
    assert options["--deploy-mode"] == "cluster"
    for who in ("driver", "executor"):
        assert conf[f"spark.kubernetes.{who}.secretKeyRef.TOKEN"] == "hub:t"
        assert conf[f"spark.kubernetes.{who}.secretKeyRef.S3_KEY"] == "web:S3_KEY"
        mount = f"spark.kubernetes.{who}.volumes.persistentVolumeClaim.volume-0"
        assert (conf[f"{mount}.mount.path"], conf[f"{mount}.options.claimName"]) == (str(tmp_path), "data")
    assert (conf["spark.kubernetes.driverEnv.A"], conf["spark.executorEnv.A"]) == ("b", "b")
    assert conf["spark.kubernetes.namespace"] == "ns"
    assert driver == f"local://{told['folder']}/spark_driver.py"  # on the volume: no one knows an image's folders
    assert "very-secret" not in json.dumps(told)


def test_what_a_job_file_says_is_no_shell(tmp_path, capsys):
    nasty = "$(touch x) `y` 'q' \"d\" \\"
    more = yaml.safe_dump({"engine": {"name": "spark", "master": "yarn", "conf": {"spark.x": nasty}}})
    told = rendered(write_job(tmp_path, more), "spark", capsys)
    last = told["files"]["spark-submit.sh"].strip().splitlines()[-1]
    assert shlex.split(last) == told["commands"][0]
    assert f"spark.x={nasty}" in told["commands"][0]


def test_the_operator_gets_the_same_as_a_spark_application(tmp_path, capsys):
    more = "environment: {secrets: [{variable: TOKEN, name: hub, key: t}], variables: {A: b}}\n"
    asked = pods(
        tmp_path, ", tasks: 5, cpus: 4, memory: 10GiB, service_account: mill, steps: {gopher_quality: {gpus: 1}}"
    )
    told = rendered(write_job(tmp_path, spark(master="operator") + asked + more), "spark", capsys)
    (application,) = manifests(told)
    spec = application["spec"]
    assert (application["apiVersion"], application["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    assert spec["arguments"] == ["work", told["folder"], "--engine", "spark"]
    assert spec["mainApplicationFile"] == f"local://{told['folder']}/spark_driver.py"
    executor = spec["executor"]
    assert (executor["instances"], executor["cores"], executor["memory"]) == (5, 4, "4096m")
    assert executor["memoryOverhead"] == "6144m"
    assert executor["gpu"] == {"name": "nvidia.com/gpu", "quantity": 1}
    for who in ("driver", "executor"):
        assert spec[who]["env"] == [
            {"name": "A", "value": "b"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "t"}}},
        ]
        assert spec[who]["volumeMounts"] == [{"name": spec["volumes"][0]["name"], "mountPath": str(tmp_path)}]
    assert spec["restartPolicy"] == {
        "type": "OnFailure",
        "onFailureRetries": 3,
        "onFailureRetryInterval": 60,
        "onSubmissionFailureRetries": 3,
        "onSubmissionFailureRetryInterval": 60,
    }
    assert told["commands"] == [["kubectl", "create", "--filename", f"{told['folder']}/spark-application.yaml"]]


def test_a_schedule_is_a_scheduled_spark_application_that_fires(tmp_path, capsys):
    job = write_job(tmp_path, spark(master="operator") + pods(tmp_path) + SCHEDULE, out='"out-{date}"')
    (application,) = manifests(rendered(job, "spark", capsys))
    spec = application["spec"]
    assert application["kind"] == "ScheduledSparkApplication"
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Europe/Paris", "Forbid")
    assert spec["template"]["arguments"] == ["fire", str(job)]


def test_the_operator_s_own_models_know_every_field(tmp_path, capsys):
    models = pytest.importorskip("kubeflow_spark_api.models", reason="pip install kubeflow-spark-api")
    more = "environment: {secrets: [K], archive: 's3a://b/packed.tar.gz'}\n"
    asked = pods(tmp_path, ", tasks: 5, memory: 10GiB, gpus: 1, service_account: mill")
    (one,) = manifests(rendered(write_job(tmp_path, spark(master="operator") + asked + more), "spark", capsys))
    assert models.SparkV1beta2SparkApplication.from_dict(one).to_dict() == one
    job = write_job(tmp_path, spark(master="operator") + asked + more + SCHEDULE, out='"out-{date}"')
    (scheduled,) = manifests(rendered(job, "spark", capsys))
    assert models.SparkV1beta2ScheduledSparkApplication.from_dict(scheduled).to_dict() == scheduled


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param("", "say `engine: {name: spark", id="another engine"),
        pytest.param(
            spark(master="operator", deploy_mode="client"), "the operator runs drivers", id="operator, client"
        ),
        pytest.param(spark(master="'spark://h:1'", deploy_mode="cluster"), "takes no Python driver", id="standalone"),
        pytest.param(spark(master="operator"), "resources.image", id="no image"),
        pytest.param(
            spark(master="operator") + "environment: {archive: packed.tar.gz}\n", "not seen by pods", id="local archive"
        ),
        pytest.param(spark(master="yarn") + "resources: {memory: 1GiB}\n", "wants 2GiB", id="too little memory"),
        pytest.param(
            spark(master="yarn") + "environment: {secrets: [HUB_KEY]}\n", "would write HUB_KEY", id="secret on YARN"
        ),
        pytest.param(
            spark(master="'local[2]'") + "environment: {secrets: [HUB_KEY]}\n", "HUB_KEY is not set", id="secret unset"
        ),
    ],
)
def test_what_spark_cannot_do_is_refused_before_anything_is_written(tmp_path, capsys, more, words):
    assert words in refusal(write_job(tmp_path, more), "spark", capsys)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    with KubernetesServer(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_kubectl_takes_an_application_and_tells_its_state(tmp_path, capsys, cluster):
    job = write_job(tmp_path, spark(master="operator") + pods(tmp_path))
    assert main(["submit", str(job), "--to", "spark"]) == 0, capsys.readouterr()
    ((_, made),) = cluster.objects("default", "sparkapplications").items()
    assert status(job, capsys)["counts"] == {"pending": 1}
    made["status"] = {"applicationState": {"state": "FAILED", "errorMessage": "no image"}}
    told = status(job, capsys)
    assert (told["counts"], told["detail"]) == ({"failed": 1}, "no image")
    made["status"] = {"applicationState": {"state": "RUNNING"}}
    assert status(job, capsys)["counts"] == {"running": 1}
    assert main(["cancel", str(job)]) == 0
    assert cluster.objects("default", "sparkapplications") == {}


YARN = """#!/bin/sh
case "$1 $2" in
"application -status")
  echo "Application Report :"
  printf '\\tState : %s\\n\\tFinal-State : %s\\n\\tDiagnostics : %s\\n' $(cat STATE) ;;
"application -kill") echo "FINISHED KILLED by-user" > STATE ;;
"logs -applicationId") echo "said by $3" ;;
esac
"""


def test_on_yarn_the_application_s_id_is_kept_and_asked_about(tmp_path, capsys, monkeypatch):
    """Programs in the place of a cluster's spark-submit and yarn, which answer as those do."""
    programs, state = tmp_path / "bin", tmp_path / "yarn-state"
    programs.mkdir()
    (programs / "spark-submit").write_text("#!/bin/sh\necho INFO Client: Submitted application application_17_0001\n")
    (programs / "yarn").write_text(YARN.replace("STATE", str(state)))
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    job = write_job(tmp_path, spark(master="yarn") + "environment: {python: /usr/bin/python3}\n")
    assert main(["submit", str(job), "--to", "spark"]) == 0, capsys.readouterr()
    state.write_text("ACCEPTED UNDEFINED waits")
    told = status(job, capsys)
    assert (told["id"], told["counts"]) == ("yarn:application_17_0001", {"pending": 1})
    state.write_text("RUNNING UNDEFINED -")
    assert status(job, capsys)["counts"] == {"running": 1}
    assert main(["logs", str(job)]) == 0
    assert "said by application_17_0001" in capsys.readouterr().out
    assert main(["cancel", str(job)]) == 0
    told = status(job, capsys)
    assert (told["counts"], told["detail"]) == ({"cancelled": 1}, "by-user")


def test_a_spark_submit_that_fails_is_told_with_its_exit_code(tmp_path, capsys):
    more = "environment: {python: /usr/bin/python3, setup: ['echo no such queue; exit 7']}\n"
    assert main(["submit", str(write_job(tmp_path, spark(master="yarn") + more)), "--to", "spark"]) == 4
    assert "exit code 7: no such queue" in capsys.readouterr().err


def status(job: Path, capsys: Any) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["status", str(job), "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["parts"]
    assert isinstance(part, dict)
    return part


def ended(job: Path, capsys: Any, within_s: float = 120) -> dict[str, Any]:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        told = status(job, capsys)
        if not {"running", "pending"} & told["counts"].keys():
            return told
        time.sleep(0.5)
    raise AssertionError(f"still running after {within_s} s")


needs_spark = pytest.mark.skipif(
    not Path(sys.executable).with_name("spark-submit").exists() and shutil.which("spark-submit") is None,
    reason="needs spark-submit: pip install 'tokenmill[spark]'",
)
LOCAL_CONF = "{spark.ui.enabled: 'false', spark.driver.memory: 1g, spark.driver.bindAddress: 127.0.0.1}"


@pytest.mark.slow
@needs_spark
def test_spark_submit_does_the_run_in_the_background(tmp_path, capsys):
    metrics = "metrics: {prometheus: web.prom, openlineage: web.jsonl}\n"
    job = write_job(tmp_path, spark(master="'local[2]'", conf=LOCAL_CONF) + metrics, files=2)
    assert main(["submit", str(job), "--to", "spark"]) == 0, capsys.readouterr()
    told = ended(job, capsys)
    log = (tmp_path / "state" / "web-1" / "logs" / "driver.log").read_text()
    assert told["counts"] == {"done": 1}, log
    assert Manifest.load(tmp_path / "out").identity == local_identity(job)
    assert main(["logs", str(job)]) == 0
    assert "identity" in capsys.readouterr().out
    assert 'tokenmill_run_state{name="web",state="done"} 1' in (tmp_path / "web.prom").read_text()
    events = [json.loads(line)["eventType"] for line in (tmp_path / "web.jsonl").read_text().splitlines()]
    assert (events[0], events[-1]) == ("START", "COMPLETE") and {*events[1:-1]} <= {"RUNNING"}


@pytest.mark.slow
@needs_spark
def test_a_firing_hands_its_run_to_spark_submit_and_waits(tmp_path, capsys):
    schedule = SCHEDULE.replace("}", ", submit_to: spark}")
    job = write_job(tmp_path, spark(master="'local[2]'", conf=LOCAL_CONF) + schedule, out='"out-{date}"', files=2)
    assert main(["fire", str(job), "--at", "2026-11-03T02:00Z"]) == 0, capsys.readouterr()
    assert "web-1 handed to spark" in capsys.readouterr().err
    assert Manifest.load(tmp_path / "out-2026-11-03").identity == local_identity(job)


@pytest.mark.slow
@needs_spark
def test_a_firing_in_the_operator_s_driver_works_on_the_session_that_is_there(tmp_path):
    """What a ScheduledSparkApplication starts, in a driver of this machine."""
    job = write_job(tmp_path, spark(master="operator") + pods(tmp_path) + SCHEDULE, out='"out-{date}"', files=1)
    driver = tmp_path / "spark_driver.py"  # beside the package's modules it would shadow some of Python's
    driver.write_text(driver_source())
    command = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[1]"]
    command += ["--conf", "spark.ui.enabled=false", "--conf", "spark.driver.bindAddress=127.0.0.1"]
    command += [str(driver), "fire", str(job), "--at", "2026-11-03T02:00Z"]
    surroundings = {"JAVA_HOME": java_home(os.environ, tmp_path), "PYSPARK_PYTHON": sys.executable}
    result = subprocess.run(
        command, env={**os.environ, **surroundings}, capture_output=True, text=True, timeout=150, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    assert Manifest.load(tmp_path / "out-2026-11-03").identity == local_identity(job)


@pytest.mark.slow
@needs_spark
def test_a_driver_in_the_background_is_cancelled_with_all_that_it_started(tmp_path, capsys):
    job = write_job(tmp_path, spark(master="'local[1]'", conf=LOCAL_CONF) + "environment: {setup: [sleep 60]}\n")
    assert main(["submit", str(job), "--to", "spark"]) == 0, capsys.readouterr()
    group = int(re.search(r"/(\d+)/\d+$", status(job, capsys)["id"])[1])  # type: ignore[index]
    assert status(job, capsys)["counts"] == {"running": 1}
    assert main(["cancel", str(job)]) == 0
    assert ended(job, capsys)["counts"] == {"cancelled": 1}
    until = time.monotonic() + 10
    while alive(group) and time.monotonic() < until:
        time.sleep(0.1)
    assert alive(group) == []


def alive(group: int) -> list[str]:
    """Processes of a group; those of which only the remains are left do not count."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(file.parent.name)
    return found
