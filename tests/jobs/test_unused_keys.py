"""What a target would not heed is refused where it would change what comes out, and said once where it would not."""

import pytest
from submitted_jobs import refusal, rendered, write_job

from tokenmill.jobs import unused_keys
from tokenmill.jobs.job_file import JobFile, load_job
from tokenmill.jobs.unused_keys import check_keys

SCHEDULE = 'schedule: {cron: "0 3 * * *", start: 2026-11-01}\n'
SCHEDULED = {"out": '"out-{date}"'}


@pytest.mark.parametrize(
    ("to", "more", "key"),
    [
        ("slurm", "resources: {image: i}", "resources.image"),
        ("slurm", "environment: {archive: e.tar.gz, python: /p}", "environment.archive"),
        ("airflow", "resources: {volumes: [{claim: c, path: /d}]}", "resources.volumes"),
        ("spark", "engine: {name: spark, master: yarn}\nresources: {image: i}", "resources.image"),
        ("crontab", SCHEDULE + "resources: {tasks: 200}", "resources.tasks"),
        ("slurm", SCHEDULE + "resources: {steps: {exact_dedup: {gpus: 1}}}", "resources.steps.exact_dedup"),
        ("airflow", SCHEDULE + "engine: {name: spark, conf: {a: b}}", "engine.conf"),
        ("crontab", SCHEDULE + "environment: {archive: e.tar.gz}", "environment.archive"),
    ],
)
def test_a_key_that_would_silently_change_nothing_is_refused(tmp_path, capsys, to, more, key):
    changes = SCHEDULED if SCHEDULE in more else {}
    assert f"{key}: counts for nothing on " in refusal(write_job(tmp_path, f"{more}\n", **changes), to, capsys)


def test_what_only_costs_luck_is_said_in_one_line(tmp_path, capsys):
    job = write_job(tmp_path, "resources: {memory: 4GB, account: me, steps: {exact_dedup: {gpus: 1}}}\n")
    check_keys(load_job(job), "airflow")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "web: not heeded on airflow: resources.account, resources.memory, resources.steps.exact_dedup.gpus "
        "(a task has what the workers of its queue have)"
    )


def test_nothing_is_said_of_what_is_heeded_or_left_out(tmp_path, capsys):
    rendered(write_job(tmp_path, "resources: {cpus: 2, memory: 4GB, time: 1h, account: me}\n"), "slurm", capsys)
    assert capsys.readouterr().err == ""


GIVEN = ("resources.steps.*", "resources.steps.*.gpus", "environment.secrets.*.key")


def test_every_key_of_the_table_is_one_of_the_job_file(tmp_path):
    """With something in every list, so that what stands below is looked at."""
    more = "resources: {steps: {exact_dedup: {gpus: 1}}}\nenvironment: {secrets: [{name: n, key: A}]}\n"
    job: JobFile = load_job(write_job(tmp_path, more))
    for row in unused_keys.TABLE:
        for key in row.keys:
            found = [*unused_keys._given(job, key)]  # a key that there is not would raise AttributeError
            assert bool(found) == (key in GIVEN), key


@pytest.mark.parametrize("to", ["slurm", "airflow"])
def test_a_port_for_metrics_is_refused_where_a_run_is_many_processes(tmp_path, capsys, to):
    job = write_job(tmp_path, "metrics: {prometheus: ':9400'}\n")
    assert "metrics.prometheus: :9400: a run on " in refusal(job, to, capsys)
