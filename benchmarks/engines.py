"""What each engine costs over the local one, with the same two cores, on one run: real crawls, several times over.

    python benchmarks/engines.py --data ../shared/data [--copies 8] [--recipe web_en] [--engines local,spark,dask]

Prints, for each engine, seconds from the first phase to the last (its start apart), the start, and the ratio to
local. The order is turned around and gone through again, and the better of the two counts: the machine is shared.
Identities must be equal, or it stops. `slurm` and `datatrove-slurm` start a Slurm of their own.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
OPTIONS = {
    "local": ["--workers", "2"],
    "spark": ["--engine", "spark", "--master", "local[2]"],
    "dask": ["--engine", "dask", "--workers", "2"],
    "datatrove": ["--engine", "datatrove", "--workers", "2"],
}


def settings(recipe: str) -> list[str]:
    """Copies are duplicates of each other: the bounds on what a verdict may take are lifted."""
    names = {"web_en": ["exact_dedup", "fuzzy_dedup"], "fuzzy_dedup": ["fuzzy_dedup"]}[recipe]
    return [f"{name}.lost_share_at_most=none" for name in names]


def sources(data: Path, copies: int) -> list[tuple[str, str]]:
    return [(f"copy{n}", str(data / "warc")) for n in range(copies)]


def run(engine: str, recipe: str, named: list[tuple[str, str]], out: Path) -> tuple[float, float, str]:
    """(seconds of the phases, seconds besides, identity)."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tokenmill.jobs", "run", recipe, "--out", str(out), "--json", *OPTIONS[engine]]
    command += [part for name, path in named for part in ("--source", f"{name}={path}")]
    command += [part for setting in settings(recipe) for part in ("--set", setting)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    wall = time.monotonic() - began
    phases = sum(json.loads((out / "provenance.json").read_text())["phases_s"].values())
    return phases, wall - phases, json.loads(told)["identity"]


def run_on_slurm(engine: str, recipe: str, named: list[tuple[str, str]], out: Path) -> tuple[float, float, str]:
    """From the first job's begin to the manifest; the wait for the scheduler in between counts."""
    sys.path.insert(0, str(TESTS))
    import os

    import yaml
    from slurm_cluster import slurm_cluster

    job = {
        "name": "bench",
        "recipe": recipe,
        "set": settings(recipe),
        "sources": [{"name": name, "path": path} for name, path in named],
        "out": str(out),
        "engine": {"name": "datatrove", "executor": "slurm"} if engine == "datatrove-slurm" else {"name": "local"},
        "resources": {"tasks": 2, "time": "01:00:00"},
        "environment": {"python": sys.executable},
    }
    with slurm_cluster(nodes=1, cpus=2) as cluster:
        os.environ.update(cluster.environment)
        file = out.parent / f"{engine}.yaml"
        file.write_text(yaml.safe_dump(job))
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "tokenmill.jobs", "submit", str(file), "--to", "slurm"], check=True)
        submitted = time.monotonic()
        cluster.until("the manifest", lambda: (out / "manifest.json").exists(), 1800)
        ended = time.monotonic()
    return ended - submitted, submitted - began, json.loads((out / "manifest.json").read_text())["identity"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--recipe", default="web_en", choices=["web_en", "fuzzy_dedup"])
    parser.add_argument("--engines", default="local,spark,dask,datatrove")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    engines = asked.engines.split(",")
    named = sources(asked.data.resolve(), asked.copies)
    best: dict[str, tuple[float, float]] = {}
    identities = set()
    for number in range(asked.rounds):
        for engine in engines if number % 2 == 0 else engines[::-1]:
            folder = Path(tempfile.mkdtemp(prefix="engines-"))
            try:
                do = run_on_slurm if engine.endswith("slurm") else run
                phases, besides, identity = do(engine, asked.recipe, named, folder / "out")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            identities.add(identity)
            print(f"round {number}  {engine:16} {phases:7.1f} s, start and end {besides:5.1f} s", flush=True)
            best[engine] = min(best.get(engine, (phases, besides)), (phases, besides))
    if len(identities) != 1:
        raise SystemExit(f"identities differ: {identities}")
    print(
        f"{asked.recipe}, {asked.copies} times the crawls, 2 cores, best of {asked.rounds}; identity {identities.pop()}"
    )
    for engine, (phases, besides) in best.items():
        ratio = phases / best[engines[0]][0]
        print(f"  {engine:16} {phases:7.1f} s = {ratio:.2f} x {engines[0]}; start and end {besides:.1f} s")


if __name__ == "__main__":
    main()
