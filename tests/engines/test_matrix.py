"""One recipe, every engine, the same identity. The small matrix runs always; all of it with `make test-all`."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from slurm_cluster import slurm_cluster

from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.verify import verify

DATA = Path(__file__).parents[3] / "shared" / "data"
WARC = DATA / "warc"
SMALL = ["aut_example.warc.gz", "dolma_sample-0000.warc.gz"]
ENGINES = {
    "local 2": ["--workers", "2"],
    "spark local[2]": ["--engine", "spark", "--master", "local[2]"],
    "dask 2": ["--engine", "dask", "--workers", "2"],
    "datatrove local": ["--engine", "datatrove", "--workers", "2"],
}
EXTRA = {"spark local[2]": "pyspark", "dask 2": "distributed", "datatrove local": "datatrove"}

real_shards = pytest.mark.skipif(not WARC.is_dir(), reason="needs the real crawls in shared/data/warc")


def sources(recipe: str, small: bool) -> list[str]:
    """Real crawls, twice for a recipe of deduplication: the second time under another name."""
    crawls = [f"crawl={WARC / name}" for name in SMALL[:1]] if small else [f"crawl={WARC}"]
    again = [f"again={WARC / SMALL[0]}", f"etcd={DATA}/neardup/etcd_versions.jsonl.gz"]
    return [*crawls, *(again if recipe != "web_en" else [])]


def run(recipe: str, out: Path, small: bool, *options: str) -> str:
    named = [argument for source in sources(recipe, small) for argument in ("--source", source)]
    assert main(["run", recipe, *named, "--out", str(out), *options, *allowances(recipe)]) == 0
    found = verify(out)
    assert found.ok, found.problems
    return found.identity


def allowances(recipe: str) -> list[str]:
    """A source that stands there twice loses all of its documents: more than a broken extractor may take."""
    if recipe == "web_en":
        return []
    steps = json.loads(_plan(recipe))["steps"]
    bounded = [s["name"] for s in steps if "lost_share_at_most" in s["parameters"]]
    return [part for name in bounded for part in ("--set", f"{name}.lost_share_at_most=none")]


def _plan(recipe: str) -> str:
    with contextlib.redirect_stdout(_Told()) as told:
        assert main(["run", recipe, "--source", str(WARC / SMALL[0]), "--out", "unused", "--plan", "--json"]) == 0
    return told.text


class _Told:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], str]:
    """The identity that one process on this machine gives; made once for each recipe."""
    made: dict[tuple[str, bool], str] = {}

    def identity(recipe: str, small: bool) -> str:
        if (recipe, small) not in made:
            out = tmp_path_factory.mktemp("reference") / "out"
            made[recipe, small] = run(recipe, out, small, "--workers", "1")
        return made[recipe, small]

    return identity


@real_shards
@pytest.mark.parametrize("engine", ENGINES)
def test_the_small_matrix(engine, references, tmp_path):
    pytest.importorskip(EXTRA.get(engine, "pyarrow"))
    assert run("fuzzy_dedup", tmp_path / "out", True, *ENGINES[engine]) == references("fuzzy_dedup", True)


@pytest.mark.slow
@real_shards
@pytest.mark.parametrize("recipe", ["web_en", "nemotron_cc"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_whole_matrix(engine, recipe, references, tmp_path):
    pytest.importorskip(EXTRA.get(engine, "pyarrow"))
    assert run(recipe, tmp_path / "out", False, *ENGINES[engine]) == references(recipe, False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    with slurm_cluster(nodes=1, cpus=2) as found:
        yield found


@pytest.mark.slow
@real_shards
@pytest.mark.parametrize("recipe", ["web_en", "nemotron_cc"])
@pytest.mark.parametrize("engine", ["local", "datatrove"])
def test_the_whole_matrix_on_slurm(engine, recipe, references, cluster, tmp_path, monkeypatch):
    """`local`: our arrays; `datatrove`: its Slurm executors."""
    pytest.importorskip(EXTRA.get(f"{engine} local", "pyarrow"))
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    settings = [part for part in allowances(recipe) if part != "--set"]
    job = {
        "name": f"matrix-{engine}-{recipe.replace('_', '-')}",
        "recipe": recipe,
        "set": settings,
        "sources": [dict(zip(("name", "path"), s.split("=", 1), strict=True)) for s in sources(recipe, False)],
        "out": str(tmp_path / "out"),
        "engine": {"name": engine, **({"executor": "slurm"} if engine == "datatrove" else {})},
        "resources": {"tasks": 2, "time": "00:20:00", "memory": "1500MB"},
        "environment": {"python": sys.executable},
    }
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    assert main(["submit", str(file), "--to", "slurm"]) == 0
    cluster.until("the run's manifest", lambda: (tmp_path / "out" / "manifest.json").exists(), 400)
    assert Manifest.load(tmp_path / "out").identity == references(recipe, False)
    assert verify(tmp_path / "out").ok


@pytest.mark.slow
@real_shards
def test_a_run_begun_on_one_engine_is_finished_on_another(references, tmp_path, monkeypatch):
    """Spark stops behind the first round, Dask behind the second, this machine does the rest."""
    pytest.importorskip("pyspark")
    pytest.importorskip("distributed")
    from tokenmill.engines import driver

    class Enough(BaseException):
        pass

    ran: list[str] = []
    whole = driver.Driver._run

    def until(last: str) -> Callable[[object, object], None]:
        def one(self, phase):
            whole(self, phase)
            ran.append(phase.name)
            if phase.name == last:
                raise Enough

        return one

    named = [argument for source in sources("fuzzy_dedup", False) for argument in ("--source", source)]
    command = ["run", "fuzzy_dedup", *named, "--out", str(tmp_path / "out"), *allowances("fuzzy_dedup")]
    for engine, last in (("spark local[2]", "fuzzy_dedup.bands"), ("dask 2", "fuzzy_dedup.signatures")):
        monkeypatch.setattr(driver.Driver, "_run", until(last))
        with pytest.raises(Enough):
            main([*command, *ENGINES[engine]])
    monkeypatch.setattr(driver.Driver, "_run", whole)
    assert main([*command, "--workers", "1"]) == 0
    assert Manifest.load(tmp_path / "out").identity == references("fuzzy_dedup", False)
    phases = json.loads((tmp_path / "out" / "provenance.json").read_text())["phases_s"]
    assert {"fuzzy_dedup.bands", "fuzzy_dedup.shingles"} <= phases.keys()
