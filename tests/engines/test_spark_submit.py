"""spark-submit runs a recipe: on the libraries that are there, and on those of an archive that travels."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from spark_session import TINY, TWO_EXECUTORS, spark_environment

import tokenmill
from tokenmill.jobs.cli import main
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest

pytestmark = pytest.mark.slow
PACKAGE = Path(tokenmill.__file__).parent

MINE = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import pyarrow as pa
import tokenmill
from tokenmill.core.recipe import Recipe
from tokenmill.core.stage import Filter
from tokenmill.dedup.exact import ExactDedup

@dataclass(frozen=True, slots=True, kw_only=True)
class FromTheArchive(Filter):
    name: ClassVar[str] = "from_the_archive"
    revision: ClassVar[int] = 1
    def keep(self, batch):
        return pa.array([Path(tokenmill.__file__).parts[-6] == "environment"] * batch.num_rows, pa.bool_())

PACKED = Recipe("packed", (FromTheArchive(), ExactDedup()))
PLAIN = Recipe("plain", (ExactDedup(),))
"""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for n in range(3):
        lines = [json.dumps({"id": f"{n}-{i}", "text": f"page {i % (n + 4)} of some book"}) for i in range(10)]
        (tmp_path / "in" / f"{n}.jsonl").write_text("\n".join(lines))
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def submit(pages: Path, master: str, recipe: str, environment: Mapping[str, str], *options: str) -> Manifest:
    # In a folder of its own, as a job has it: beside our modules it would take `tokenize` for the standard library's.
    confs = [part for key, value in TINY.items() for part in ("--conf", f"{key}={value}")]
    command = [
        *(f"{environment['SPARK_HOME']}/bin/spark-submit", "--master", master, *confs, *options),
        *(
            shutil.copy(PACKAGE / "jobs" / "spark_driver.py", pages),
            "run",
            f"{pages}/mine.py:{recipe}",
            "--engine",
            "spark",
        ),
        *("--source", f"pages={pages}/in", "--out", f"{pages}/{recipe}", "--json"),
    ]
    done = subprocess.run(command, env=environment, cwd=pages, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    manifest = Manifest.load(LocalStore(pages / recipe))
    assert json.loads(done.stdout)["identity"] == manifest.identity
    return manifest


def test_on_the_session_that_spark_submit_made(pages):
    there = submit(pages, "local[2]", "PLAIN", spark_environment(pages))
    command = ["run", f"{pages}/mine.py:PLAIN", "--source", f"pages={pages}/in", "--out", f"{pages}/here"]
    assert main([*command, "--workers", "1"]) == 0
    assert there.identity == Manifest.load(LocalStore(pages / "here")).identity
    assert there.totals["kept"] == 6


def test_executors_take_interpreter_and_package_from_the_archive(pages):
    """As conda-pack and venv-pack make it, but for the other libraries: those are found where this test has them."""
    site = pages / f"packed/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    shutil.copytree(PACKAGE, site / "tokenmill", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "others.pth").write_text(f"{Path(pa.__file__).parents[1]}\n")
    (pages / "packed/bin").mkdir()
    (pages / "packed/bin/python").symlink_to(Path(sys.executable).resolve())
    (pages / "packed/pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    with tarfile.open(pages / "packed.tar.gz", "w:gz", compresslevel=1) as archive:
        for part in (pages / "packed").iterdir():
            archive.add(part, part.name)
    environment = spark_environment(pages) | {"PYSPARK_PYTHON": "./environment/bin/python"}
    archives = ("--archives", f"{pages}/packed.tar.gz#environment")
    there = submit(pages, TWO_EXECUTORS, "PACKED", environment, *archives)
    assert there.totals["errors"] == {}
    assert there.totals["kept"] == 6
