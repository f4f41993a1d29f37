"""A job file is written by a person: what they mean is understood, and what is wrong is said by its key."""

from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.job_file import JobFile, load_job
from tokenmill.jobs.quantities import memory_bytes, time_s

SMALLEST = """
name: web
recipe: web_en
sources: [{path: crawl}]
out: runs/web
"""


def job(folder: Path, more: str = "", **changes: str) -> JobFile:
    """The smallest job, with `more` below it and the lines of some keys changed."""
    lines = [line for line in SMALLEST.strip().splitlines() if line.split(":")[0] not in changes]
    lines += [f"{key}: {value}" for key, value in changes.items()]
    path = folder / "job.yaml"
    path.write_text("\n".join(lines) + "\n" + more)
    return load_job(path)


def test_the_example_at_the_top_of_the_file_is_a_job(tmp_path):
    import tokenmill.jobs.job_file as module

    text = (module.__doc__ or "").partition("\n\n")[2].partition("\n\nPaths are")[0]
    (tmp_path / "job.yaml").write_text(text)
    found = load_job(tmp_path / "job.yaml")
    assert found.name == "web-daily"
    assert found.resources.memory == 16_000_000_000
    assert found.resources.time == 4 * 3600
    assert found.resources.steps["tokenize"].partition == "gpu"
    assert found.sources[0].argument == "crawl=s3://bucket/crawl/*.warc.gz"
    assert [secret.variable for secret in found.environment.secrets] == ["AWS_SECRET_ACCESS_KEY"]


def test_what_is_left_out_has_defaults(tmp_path):
    found = job(tmp_path)
    assert (found.engine.name, found.resources.cpus, found.retries, found.schedule) == ("local", 1, 3, None)
    assert found.state == str(tmp_path / ".web")


def test_paths_are_relative_to_the_job_file_and_urls_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir("/")
    found = job(
        tmp_path / "jobs",
        "against: [../runs/a, 's3://b/runs/a']\nmetrics: {prometheus: ':9100', openlineage: events.jsonl}\n",
        sources="[{path: ../crawl}, {path: 's3://b/*.warc.gz'}, {path: /data}]",
        recipe="mine.py:ALL",
        state="../state",
    )
    assert [source.path for source in found.sources] == [str(tmp_path / "crawl"), "s3://b/*.warc.gz", "/data"]
    assert found.against == (str(tmp_path / "runs" / "a"), "s3://b/runs/a")
    assert found.recipe == f"{tmp_path}/jobs/mine.py:ALL"
    assert (found.out, found.state) == (f"{tmp_path}/jobs/runs/web", f"{tmp_path}/state")
    assert (found.metrics.prometheus, found.metrics.openlineage) == (":9100", f"{tmp_path}/jobs/events.jsonl")


def test_values_stay_as_they_were_written(tmp_path):
    """YAML 1.1 makes 14400 of 4:00:00, 8 of 010, a float of 1.10 and False of no."""
    found = job(
        tmp_path, "resources: {time: 4:00:00}\nenvironment: {variables: {A: 010, B: no, C: 1.10, D: 2026-11-01}}\n"
    )
    assert found.resources.time == 4 * 3600
    assert found.environment.variables == {"A": "010", "B": "no", "C": "1.10", "D": "2026-11-01"}


SCHEDULE = 'schedule: {cron: "0 3 * * *", start: 2026-11-01}\n'


def test_out_of_a_scheduled_job_is_a_template(tmp_path):
    firing = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
    found = job(tmp_path, SCHEDULE, out='"s3://b/{name}/{date}-{time}"')
    assert found.out_at(firing) == "s3://b/web/2026-11-24-0305"
    with pytest.raises(RecipeError, match="each firing its own run"):
        found.out_at()
    assert job(tmp_path, out='"runs/{name}-all"').out_at() == f"{tmp_path}/runs/web-all"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        pytest.param("resorces: {}", r"resorces: unknown key \(did you mean resources\?\)", id="unknown key"),
        pytest.param("zzz: 1", r"zzz: unknown key \(known: name, recipe, ", id="nothing near"),
        pytest.param("resources: {memry: 1GB}", r"memry: unknown key \(did you mean memory\?\)", id="in resources"),
        pytest.param(
            "resources: {steps: {tokenize: {gpu: 1}}}",
            r"steps.tokenize.gpu: unknown key \(did you mean gpus\?\)",
            id="in a step's resources",
        ),
        pytest.param(
            "environment: {secrets: [{nam: a, key: B}]}",
            r"secrets.0.nam: unknown key \(did you mean name\?\)",
            id="in a secret",
        ),
        pytest.param("resources: {memory: 16}", "memory: '16' is no amount of memory; want", id="memory: no unit"),
        pytest.param("resources: {time: 30:00}", "time: '30:00' is no length of time; want", id="time: minutes?"),
        pytest.param("resources: {cpus: 0}", "cpus: .* greater than or equal to 1", id="no cpus"),
        pytest.param("resources: {partition: a b}", "partition: String should match", id="two words"),
        pytest.param("retries: -1", "retries: .* greater than or equal to 0", id="retries"),
        pytest.param("engine: {name: sparc}", "engine.name: Input should be 'local'", id="engine"),
        pytest.param("engine: {master: yarn}", "engine: `master` belongs to the engine spark", id="another's key"),
        pytest.param(
            "engine: {name: spark, conf: {spark.hadoop.fs.s3a.secret.key: x}}",
            "secret.key looks like a secret",
            id="secret conf",
        ),
        pytest.param(
            "environment: {variables: {AWS_SECRET_ACCESS_KEY: abc}}",
            "AWS_SECRET_ACCESS_KEY looks like a secret, and a job file holds none; list its name in `secrets`",
            id="a secret's value",
        ),
        pytest.param(
            "environment: {variables: {HUSH: abc}, secrets: [HUSH]}",
            "HUSH stands under `variables` and under `secrets`",
            id="both",
        ),
        *(
            pytest.param(f"environment: {{variables: {{{name}: abc}}}}", f"{name} looks like a secret", id=name)
            for name in ("TOKEN", "AZURE_STORAGE_CONNECTION_STRING", "DB_PASSPHRASE", "GOOGLE_CREDENTIALS")
        ),
        pytest.param(
            "engine: {name: spark, conf: {fs.azure.account.key.me.dfs.core.windows.net: x}}",
            "account.key.me.* looks like a secret",
            id="an account's key",
        ),
        *(
            pytest.param(f"environment: {{setup: ['{line}']}}", "a line of `setup` sets HF_TOKEN", id=line)
            for line in ("export HF_TOKEN=hf_x", "A=1; HF_TOKEN=x python", 'declare -x HF_TOKEN="a b"')
        ),
        pytest.param("environment: {secrets: ['A=b']}", "variable: String should match", id="name=value"),
        pytest.param("environment: {secrets: [{key: A}]}", "named by both `name` and `key`", id="half a reference"),
        pytest.param("environment: {variables: {'A B': c}}", "String should match", id="no variable's name"),
        pytest.param("schedule: {cron: daily, start: 2026-11-01}", "schedule.cron: String should match", id="cron"),
        pytest.param("out: 'runs/{dat}'", r"\{dat\} is no placeholder \(did you mean date\?\)", id="placeholder"),
        pytest.param("out: 'runs/{date}'", "there is no `schedule`", id="a date of what?"),
        pytest.param(SCHEDULE, "every firing writes its own run; put {date} in it", id="one out for all"),
        pytest.param("name: a/b", "name: String should match", id="a name that is a path"),
        pytest.param("sources: []", "sources: .* at least 1", id="no sources"),
        pytest.param("retries: 1\nretries: 2", "the key 'retries' stands here twice", id="a key twice"),
        pytest.param("set: [", "not YAML", id="no YAML"),
        pytest.param("a: b: c", r"not YAML \(line \d+, column \d+: [^()]*\); mend it$", id="where it is no YAML"),
    ],
)
def test_a_wrong_job_is_refused_with_its_reason(tmp_path, more, complaint):
    changed = {key: more.partition(": ")[2] for key in ("out", "name", "sources") if more.startswith(f"{key}: ")}
    with pytest.raises(RecipeError, match=complaint):
        job(tmp_path, "" if changed else more, **changed)


@pytest.mark.parametrize(
    "more",
    [
        "environment: {secrets: {AWS_SECRET_ACCESS_KEY: hunter2}}",
        "environment: {secrets: ['A=hunter2']}",
        "environment: {variables: {TOKEN: hunter2}}",
        "environment: {variables: {A: [hunter2]}}",
        "environment: [hunter2]",
        "environment: {setup: ['export HF_TOKEN=hunter2']}",
        "engine: {name: spark, conf: {a.secret: hunter2}}",
        "engine: {name: spark, conf: [hunter2]}",
        "engine: [hunter2]",
        "environment: hunter2: x",
    ],
)
def test_what_may_be_a_secret_is_not_told(tmp_path, more):
    with pytest.raises(RecipeError) as raised:
        job(tmp_path, more)
    assert "hunter2" not in "".join(format_exception(raised.value))


def test_where_a_secret_lies_is_none(tmp_path):
    found = job(
        tmp_path,
        "environment:\n"
        "  variables: {GOOGLE_APPLICATION_CREDENTIALS: /run/k, DB_PASSWORD_FILE: /run/pw, TOKENIZERS_PARALLELISM: no}\n"
        "  setup: ['export HF_TOKEN=$(cat /run/token)', 'module load x', 'export N=3']\n",
    )
    assert len(found.environment.setup) == len(found.environment.variables) == 3


@pytest.mark.parametrize(
    ("python", "found"), [("venv/bin/python", "HERE/venv/bin/python"), ("python3.12", "python3.12"), ("/a/b", "/a/b")]
)
def test_python_is_a_path_of_the_job_file_or_a_name_on_the_path(tmp_path, python, found):
    assert job(tmp_path, f"environment: {{python: {python}}}").environment.python == found.replace(
        "HERE", str(tmp_path)
    )


def test_what_is_no_job_at_all_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"job\.yaml: cannot be read"):
        load_job(tmp_path / "job.yaml")
    (tmp_path / "job.yaml").write_text("- web_en")
    with pytest.raises(RecipeError, match="want the keys of a job's YAML file: name, recipe"):
        load_job(tmp_path / "job.yaml")


@pytest.mark.parametrize(
    ("text", "number"),
    [("16GB", 16 * 10**9), ("16GiB", 2**34), ("16G", 2**34), ("512 MB", 512 * 10**6), ("1.5TB", 15 * 10**11)],
)
def test_memory(text, number):
    assert memory_bytes(text) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("04:00:00", 14_400),
        ("4:00:30", 14_430),
        ("100:00:00", 360_000),
        ("2-00", 172_800),
        ("2-12:30", 217_800),
        ("1-02:03:04", 93_784),
        ("90min", 5_400),
        ("4h", 14_400),
        ("2d", 172_800),
        ("45s", 45),
    ],
)
def test_time(text, seconds):
    assert time_s(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "30:00", "4:60:00", "1-2-3", "-1h", "forever"])
def test_what_could_mean_two_lengths_of_time_is_none(text):
    with pytest.raises(ValueError, match="no length of time"):
        time_s(text)
