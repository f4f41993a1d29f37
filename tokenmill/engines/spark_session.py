"""The Spark session that a run uses: the one that is there already, or one that is made and stopped again."""

import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

from tokenmill.core.errors import EngineError
from tokenmill.engines.spark_java import java_home

QUIET = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
_RAISED = re.compile(r"\w[\w.]*(Error|Exception): ")  # the last line of a traceback
_ONE_MACHINE = re.compile(r"local(\[[^,\]]+\])?")  # as Spark writes it, without a number of failures


@contextmanager
def session(master: str | None = None, conf: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """A session for the `with` block. One that this process has already is used as it is, and left running.

    Without `master`: what spark-submit or spark-defaults.conf say, else every core of this machine. Raises
    RecipeError where there is no Java, EngineError where Spark does not start.
    """
    if SparkContext._active_spark_context is not None:
        yield SparkSession.builder.getOrCreate()
        return
    with tempfile.TemporaryDirectory(prefix="tokenmill-spark-") as scratch:
        started = _started(master, dict(conf or {}), Path(scratch))
        try:
            yield started
        finally:
            with suppress(Exception), warnings.catch_warnings():  # of a JVM that is gone: the run says it better
                warnings.simplefilter("ignore")
                started.stop()


def reason(error: BaseException) -> str:
    """What Spark says of a failure, without the stacks of two languages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    for line in lines:
        if "most recent failure:" in line:  # of a task
            said = line.partition("most recent failure:")[2].strip()
            break
        if line.startswith(": "):  # py4j's, of the exception that it met
            said = line[2:]
    in_python = next((line for line in lines if _RAISED.match(line)), None)
    return (
        f"in Python, {in_python}" if in_python and re.search("PythonException|from the Python worker", said) else said
    )


def is_one_process(session: SparkSession) -> bool:
    """Whether driver and executor are one process, which gives a failed task no second try."""
    return _ONE_MACHINE.fullmatch(session.sparkContext.master or "") is not None


@contextmanager
def without_pandas_warning() -> Iterator[None]:
    """pyspark 4.3 warns of pandas 3 wherever it looks for pandas. Nothing of ours is a pandas object."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        yield


def _started(master: str | None, conf: Mapping[str, str], scratch: Path) -> SparkSession:
    builder = SparkSession.builder.appName("tokenmill")
    for key, value in conf.items():
        builder = builder.config(key, value)
    if master is not None:
        builder = builder.master(master)
    environment = {"PYSPARK_PYTHON": conf.get("spark.pyspark.python", os.environ.get("PYSPARK_PYTHON", sys.executable))}
    # Under spark-submit a JVM runs already: Java is chosen, and what the user asked for is in its properties.
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        environment["JAVA_HOME"] = java_home(os.environ, scratch)
        for key in QUIET.keys() - conf.keys():
            builder = builder.config(key, QUIET[key])
    try:
        with _environment(environment), without_pandas_warning():
            return builder.getOrCreate()
    except Exception as error:  # py4j's, Spark's and the operating system's: all say the same to the user
        raise EngineError(
            f"Spark did not start ({reason(error)}); mend that, then run the same command again"
        ) from error


@contextmanager
def _environment(of: Mapping[str, str]) -> Iterator[None]:
    """pyspark asks the environment, and nothing else, which Java and which Python to start."""
    before = {name: os.environ.get(name) for name in of}
    os.environ.update(of)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
