"""An unchanged file gets a second name; where a file system cannot do that, a copy."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tokenmill.core.errors import DataError
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Shard
from tokenmill.manifests.takedown_link import link

SHARED_MEMORY = Path("/dev/shm")
FILE = Shard(path="ledger/a-00000.parquet", kind="ledger", rows=1, bytes=4, sha256="", rows_hash="")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / "ledger").mkdir(parents=True)
    (tmp_path / "run" / FILE.path).write_bytes(b"rows")
    return tmp_path / "run"


def test_it_is_the_same_file_however_often_it_is_linked(run, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        assert link(run, LocalStore(out), FILE) == FILE
        assert (out / FILE.path).samefile(run / FILE.path)
    assert [p.name for p in out.rglob("*") if p.is_file()] == ["a-00000.parquet"]


def test_what_an_earlier_attempt_left_there_is_replaced(run, tmp_path):
    out = tmp_path / "out"
    (out / "ledger").mkdir(parents=True)
    (out / FILE.path).write_bytes(b"torn")
    link(run, LocalStore(out), FILE)
    assert (out / FILE.path).read_bytes() == b"rows"


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="no second file system at /dev/shm")
def test_on_another_file_system_it_is_copied(run):
    if SHARED_MEMORY.stat().st_dev == run.stat().st_dev:
        pytest.skip("/dev/shm is the file system of temporary files")
    with TemporaryDirectory(dir=SHARED_MEMORY) as other:
        out = Path(other) / "out"
        link(run, LocalStore(out), FILE)
        assert (out / FILE.path).read_bytes() == b"rows"
        assert not (out / FILE.path).samefile(run / FILE.path)


def test_a_file_that_is_absent_or_of_another_size_is_refused(run, tmp_path):
    (run / FILE.path).write_bytes(b"ro")
    with pytest.raises(DataError, match="not as the manifest says"):
        link(run, LocalStore(tmp_path / "out"), FILE)
    (run / FILE.path).unlink()
    with pytest.raises(DataError, match="absent"):
        link(run, LocalStore(tmp_path / "out"), FILE)
