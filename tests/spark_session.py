"""One Spark session for all tests of a process: two cores of this machine, and nothing of it heard outside."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'tokenmill[spark]'")
    from tokenmill.engines.spark_session import session

    scratch: Path = tmp_path_factory.mktemp("spark")
    with session("local[2]", SMALL | {"spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch)}) as one:
        yield one


# A driver and two executors, each a process of its own, with one core.
TWO_EXECUTORS = "local-cluster[2,1,512]"
TINY = SMALL | {"spark.driver.memory": "512m", "spark.executor.memory": "512m", "spark.log.level": "ERROR"}


def spark_environment(folder: Path) -> dict[str, str]:
    """For a process that starts Spark: a home in `folder`, where executors have their folders, linked to pyspark's."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'tokenmill[spark]'")
    from tokenmill.engines.spark_java import java_home

    home = folder / "spark-home"
    home.mkdir()
    for part in Path(pyspark.__file__).parent.iterdir():
        (home / part.name).symlink_to(part)
    paths = {"JAVA_HOME": java_home(os.environ, folder), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    return os.environ | paths | {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
