"""A folder as a store: whole or not at all, one holder of a lock, nothing left behind."""

import errno
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.store import ATTEMPTS, is_remote, store_at

HOLD = """
import sys, time
from pathlib import Path
from tokenmill.manifests.local_store import LocalStore
with LocalStore(Path(sys.argv[1])).hold("_work/lock"):
    print("held", flush=True)
    time.sleep(60)
"""

SCRATCH = """
import sys
from pathlib import Path
from tokenmill.manifests.local_store import LocalStore
print(LocalStore(Path(sys.argv[1])).scratch())
"""


@contextmanager
def undeletable(folder: Path) -> Iterator[None]:
    """Nothing in it can be removed, by root neither. Skips the test where that cannot be had."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    if subprocess.run(["chattr", "+i", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("root may delete everything here: this file system has no immutable folders")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "run")


def test_what_is_written_is_read_by_its_name(store):
    store.write("receipts/a.json", b"{}")
    assert store.read("receipts/a.json") == b"{}"
    assert store.path("receipts/a.json").read_bytes() == b"{}"
    assert store.exists("receipts/a.json") and store.size("receipts/a.json") == 2
    store.write("receipts/a.json", b"{1}")
    assert store.read("receipts/a.json") == b"{1}"


def test_what_is_absent_is_said_to_be(store):
    assert not store.exists("a") and store.size("a") is None and store.names() == []
    with pytest.raises(FileNotFoundError):
        store.path("a")
    with pytest.raises(FileNotFoundError):
        store.read("a")
    store.delete("a")
    store.delete_all("folder")


def test_a_folder_is_no_content(store):
    store.write("folder/a", b"1")
    assert not store.exists("folder") and store.size("folder") is None
    with pytest.raises(FileNotFoundError):
        store.path("folder")


def test_of_many_that_write_a_new_name_one_succeeds(store):
    def attempt(number: int) -> bool:
        try:
            store.write("ticket", b"%d" % number, new=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [n for n, first in enumerate(pool.map(attempt, range(40))) if first]
    assert store.read("ticket") == b"%d" % won[0] and len(won) == 1
    assert [p.name for p in store.root.iterdir()] == ["ticket"]


def test_a_file_is_published_and_consumed(store):
    folder = store.scratch()
    (folder / "x.parquet").write_bytes(b"rows")
    store.publish(folder / "x.parquet", "documents/x.parquet")
    assert store.read("documents/x.parquet") == b"rows"
    assert list(folder.iterdir()) == []


def test_a_file_of_another_file_system_is_published(store):
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("no second file system here: /dev/shm is absent")
    file = memory / f"tokenmill-test-{store.root.parent.name}"
    file.write_bytes(b"rows")
    store.publish(file, "x")
    assert store.read("x") == b"rows" and not file.exists()


def test_names_are_all_content_and_no_scratch(store):
    for name in ("b", "a/2", "a/1", "a.b/c"):
        store.write(name, b"")
    (store.scratch() / "half").write_bytes(b"")
    (store.root / "a" / ".1.0123456789abcdef0123456789abcdef").write_bytes(b"left by a process that died")
    assert store.names() == ["a.b/c", "a/1", "a/2", "b"]
    assert store.names("a") == ["a/1", "a/2"]
    assert store.names("nowhere") == []


def test_deleting_leaves_no_empty_folder(store):
    for name in ("a/b/1", "a/b/2", "c"):
        store.write(name, b"")
    store.delete("a/b/1")
    assert store.names() == ["a/b/2", "c"]
    store.delete("a/b/2")
    assert [p.name for p in store.root.iterdir()] == ["c"]


def test_a_folder_may_go_while_another_process_writes_to_it(store):
    def write_and_delete(number: int) -> None:
        for turn in range(50):
            store.write(f"deep/er/{number}", b"%d" % turn)
            store.delete(f"deep/er/{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_delete, range(4)))
    assert store.names() == []


def test_everything_below_a_folder_can_go(store):
    for name in ("segment-1/a", "segment-1/b/c", "segment-10/a"):
        store.write(name, b"")
    store.delete_all("segment-1")
    assert store.names() == ["segment-10/a"]


def test_attempts_can_be_forgotten(store):
    (store.at("deep").scratch() / "half").write_bytes(b"")
    assert (store.root / ATTEMPTS).is_dir() and not (store.root / "deep").exists()
    store.forget_attempts()
    assert not (store.root / ATTEMPTS).exists()
    store.forget_attempts()


def test_a_store_below_a_store(store):
    store.at("index").at("fuzzy").write("x", b"1")
    assert store.names() == ["index/fuzzy/x"]
    assert store.at("index").uri == str(store.root / "index")


def test_travels_to_another_process(store):
    store.write("a", b"1")
    assert pickle.loads(pickle.dumps(store)) == store
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(store.read, ("a",)) == b"1"


def test_a_lock_has_one_holder(store):
    with store.hold("_work/lock"):
        with pytest.raises(BlockingIOError):
            with store.hold("_work/lock"):
                pass
    with store.hold("_work/lock"):
        pass


def test_a_killed_holder_lets_go(store):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(store.root)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            with store.hold("_work/lock"):
                pass
        holder.kill()
        holder.wait(30)
    with store.hold("_work/lock"):
        pass


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../../b", "a//b", "./a", "a/"])
def test_no_name_leads_out_of_the_store(store, name):
    with pytest.raises(ValueError, match="is no name inside of a store"):
        store.write(name, b"")


def test_a_path_is_a_folder_and_a_url_is_not():
    assert store_at("runs/a") == store_at(Path("runs/a")) == LocalStore(Path("runs/a"))
    assert store_at("file:///runs/a") == LocalStore(Path("/runs/a"))
    assert is_remote("s3://bucket/run") and not is_remote("C:/x") and not is_remote("file:///x")


def test_a_url_needs_a_scratch_folder():
    with pytest.raises(RecipeError, match="s3://bucket/run: needs a scratch folder on this machine"):
        store_at("s3://bucket/run")


def test_scratch_of_the_dead_is_forgotten_and_no_other(store):
    command = [sys.executable, "-c", SCRATCH, str(store.root)]
    of_dead = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    mine = store.scratch()
    elsewhere = mine.with_name("7-7-0123456789abcdef.00000000000000000000000000000000")  # of another machine
    elsewhere.mkdir()
    assert of_dead.is_dir() and of_dead.parent == mine.parent
    store.at("deep").forget_attempts(dead_only=True)
    assert not of_dead.exists() and mine.is_dir() and elsewhere.is_dir()
    store.forget_attempts()
    store.forget_attempts(dead_only=True)
    assert not mine.exists()


def test_what_cannot_be_deleted_is_told_after_all_else_is_gone(store):
    if os.geteuid() == 0 and subprocess.run(["chattr", "-V"], capture_output=True).returncode == 127:
        pytest.skip("root may delete everything here: chattr is absent")
    for name in ("work/a/1", "work/b/1", "work/c/1"):
        store.write(name, b"")
    stuck = store.root / "work" / "b"
    with undeletable(stuck):
        with pytest.raises(OSError, match=r"work/b/1") as raised:
            store.delete_all("work")
        assert raised.value.errno in (errno.EACCES, errno.EPERM)
        assert store.names() == ["work/b/1"]
    store.delete_all("work")
    assert not (store.root / "work").exists()


def test_a_link_to_a_folder_goes_and_the_folder_stays(store, tmp_path):
    store.write("work/a", b"")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"1")
    (store.root / "work" / "link").symlink_to(tmp_path / "other")
    store.delete_all("work")
    assert not (store.root / "work").exists() and (tmp_path / "other" / "file").read_bytes() == b"1"


def test_a_lock_that_its_holders_delete_has_one_holder(store):
    inside: list[int] = []
    most = 0

    def enter_and_delete(number: int) -> None:
        nonlocal most
        for _ in range(300):
            try:
                with store.hold("_work/lock"):
                    inside.append(number)
                    most = max(most, len(inside))
                    time.sleep(0.0002)
                    inside.remove(number)
                    store.delete_all("_work")
            except BlockingIOError:
                continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter_and_delete, range(8)))
    assert most == 1
