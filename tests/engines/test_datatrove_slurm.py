"""A run as a chain of datatrove's Slurm executors, on a real Slurm: the identity that this machine gives."""

import sys
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, slurm_cluster
from submitted_jobs import write_job
from toys import Silence, run_here

pytest.importorskip("datatrove", reason="needs the extra datatrove: pip install 'tokenmill[datatrove]'")

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.engines import share
from tokenmill.engines.context import Context
from tokenmill.engines.datatrove_slurm import SlurmStation, chain, submit
from tokenmill.jobs.job_file import load_job
from tokenmill.jobs.places import out_at
from tokenmill.jobs.plan_file import write_plan
from tokenmill.jobs.prepare import prepare
from tokenmill.jobs.prepared import Prepared
from tokenmill.jobs.submit import plan_of
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

FEW = {"time": "00:05:00", "partition": "main", "mem": "1500M", "cpus-per-task": "1"}


def prepared_job(folder: Path) -> tuple[Prepared, Context]:
    job = load_job(write_job(folder, "resources: {tasks: 2}\n"))
    plan = plan_of(job)
    context = Context(plan=plan, out=out_at(job.out_at()), device=job.device)
    share.prepare(context, Silence(), anew=True)
    place = folder / "job"
    place.mkdir()
    write_plan(place, plan, job.out_at(), job.device)
    return prepare(job, plan, context, place, job.out_at()), context


def stations_of(job: Prepared) -> list[SlurmStation]:
    found = []
    for station in job.stations:
        if station.elements:
            shares = [[job.python, *job.share_arguments(station, str(rank))] for rank in range(station.elements)]
            found.append(SlurmStation(name=station.name, commands=shares, sbatch=FEW))
        closing = [[job.python, *job.close_arguments(station)]]
        found.append(SlurmStation(name=f"{station.name}, closing", commands=closing, sbatch=FEW))
    return found


@pytest.mark.slow
def test_a_chain_of_executors_ends_in_the_manifest(tmp_path, monkeypatch):
    job, context = prepared_job(tmp_path)
    executors = chain(stations_of(job), job.folder, python=sys.executable)
    with slurm_cluster(nodes=1, cpus=2) as cluster:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        numbers = list(submit(executors))
        assert len(numbers) == len(set(numbers)) == len(executors)
        manifest = tmp_path / "out" / "manifest.json"
        cluster.until("the manifest", lambda: manifest.exists() or given_up(cluster), 240)
        assert manifest.exists(), told(job.folder)
    assert verify(tmp_path / "out").problems == []
    here = run_here(context.plan, tmp_path / "here")
    assert Manifest.load(tmp_path / "out").identity == here.identity
    marks = [p.name for p in sorted((job.folder / "datatrove" / "000" / "completions").iterdir())]
    assert marks == ["00000", "00001"], "an array of datatrove's over the shares of the first segment"


def given_up(cluster: SlurmCluster) -> bool:
    return not {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING"} & set(cluster.queue().values())


def told(folder: Path) -> str:
    return "\n".join(p.read_text()[-1500:] for p in sorted(folder.rglob("*.out")))


def test_where_there_is_no_slurm_it_says_so(tmp_path, monkeypatch):
    job, _ = prepared_job(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"sbatch for segment_0: .*sbatch"):
        list(submit(chain(stations_of(job), job.folder, python=sys.executable)))


def test_a_folder_that_its_scripts_cannot_name_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="unquoted; choose one without blanks"):
        chain([], tmp_path / "my jobs", python=sys.executable)
