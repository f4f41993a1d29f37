"""A prefix of an object store as a store: the claims of a folder hold, whatever the network and the server do."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from s3_server import REFUSALS

from tokenmill.core.errors import EngineError, RecipeError
from tokenmill.manifests.objects import objects_at
from tokenmill.manifests.retrying import Patience
from tokenmill.manifests.s3_objects import S3Objects
from tokenmill.manifests.store import Store, store_at

YEAR_S = 365 * 86_400.0  # moto says of every upload that it began in 2010
MANY = 24 << 20  # bytes: two parts
UPLOAD = """
import sys
from pathlib import Path
from tokenmill.manifests.store import store_at
store_at(sys.argv[1], Path(sys.argv[2])).publish(Path(sys.argv[3]), "big")
"""
SCRATCH = """
import sys
from pathlib import Path
from tokenmill.manifests.store import store_at
print(store_at(sys.argv[1], Path(sys.argv[2])).scratch())
"""


@pytest.fixture(params=["s3", "memory", "local"])
def any_store(request, store, tmp_path: Path) -> Store:
    """`local` is fsspec's: like hdfs it has real folders, and shows files while they grow."""
    urls = {"memory": f"memory://bucket/{tmp_path.name}/run", "local": f"local://{tmp_path}/run"}
    return store if request.param == "s3" else store_at(urls[request.param], tmp_path / "local")


def made(path: Path, size: int) -> Path:
    """A file of which every stretch is different."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.arange(size // 8, dtype=np.uint64).tobytes())
    return path


def test_what_is_written_is_read_by_its_name(any_store):
    any_store.write("receipts/a.json", b"{}")
    assert any_store.read("receipts/a.json") == b"{}"
    assert any_store.path("receipts/a.json").read_bytes() == b"{}"
    assert any_store.exists("receipts/a.json") and any_store.size("receipts/a.json") == 2
    any_store.write("receipts/a.json", b"{1}")
    assert any_store.read("receipts/a.json") == any_store.path("receipts/a.json").read_bytes() == b"{1}"


def test_what_is_absent_is_said_to_be(any_store):
    assert not any_store.exists("a") and any_store.size("a") is None and any_store.names() == []
    for look in (any_store.path, any_store.read):
        with pytest.raises(FileNotFoundError):
            look("a")
    any_store.delete("a")
    any_store.delete_all("folder")


def test_empty_content_is_content(any_store):
    any_store.write("a", b"")
    assert any_store.size("a") == 0 and any_store.read("a") == b"" and any_store.path("a").read_bytes() == b""


def test_a_folder_is_no_content(any_store):
    any_store.write("folder/a", b"1")
    assert not any_store.exists("folder")


def test_a_new_name_is_given_once(any_store):
    any_store.write("ticket", b"1", new=True)
    with pytest.raises(FileExistsError, match="ticket: already in this store"):
        any_store.write("ticket", b"2", new=True)
    assert any_store.read("ticket") == b"1"


def test_names_are_all_content_and_no_scratch(any_store):
    for name in ("b", "a/2", "a/1", "a.b/c"):
        any_store.write(name, b"")
    (any_store.scratch() / "half").write_bytes(b"")
    assert any_store.names() == ["a.b/c", "a/1", "a/2", "b"]
    assert any_store.names("a") == ["a/1", "a/2"] and any_store.names("nowhere") == []
    assert any_store.at("a").names() == ["1", "2"]


def test_everything_below_a_folder_can_go(any_store):
    for name in ("segment-1/a", "segment-1/b/c", "segment-10/a"):
        any_store.write(name, b"")
    any_store.delete_all("segment-1")
    assert any_store.names() == ["segment-10/a"]
    any_store.delete("segment-10/a")
    assert any_store.names() == []


def test_a_file_is_published_and_consumed(any_store):
    file = made(any_store.scratch() / "x.parquet", 1600)
    content = file.read_bytes()
    any_store.publish(file, "documents/x.parquet")
    assert any_store.path("documents/x.parquet").read_bytes() == content and not file.exists()


def test_a_lock_has_one_holder(any_store):
    with any_store.hold("_work/lock"):
        with pytest.raises(BlockingIOError, match=f"held by process {os.getpid()} on"):
            with any_store.hold("_work/lock"):
                pass
    with any_store.hold("_work/lock"):
        pass


@pytest.mark.slow
def test_travels_to_another_process(store):
    store.write("a", b"1")
    assert pickle.loads(pickle.dumps(store)) == store
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(store.read, ("a",)) == b"1"


def test_of_many_that_write_a_new_name_one_succeeds(store):
    def attempt(number: int) -> bool:
        try:
            store.write("ticket", b"%d" % number, new=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [n for n, first in enumerate(pool.map(attempt, range(24))) if first]
    assert store.read("ticket") == b"%d" % won[0] and len(won) == 1


def test_a_new_name_is_its_writers_though_the_answer_was_lost(store, proxy):
    with proxy.failing(cut=1, only=("PUT",), seed=3):
        proxy.faults.cut = 0.7
        for n in range(8):
            store.write(f"tickets/{n}", b"%d" % n, new=True)
        assert proxy.injected["cut after"] + proxy.injected["cut within"] > 0
    assert [store.read(f"tickets/{n}") for n in range(8)] == [b"%d" % n for n in range(8)]


def test_a_large_file_goes_in_parts_and_comes_in_parallel_ranges(store, proxy):
    file = made(store.scratch() / "x", MANY)
    content = file.read_bytes()
    with proxy.failing():
        store.publish(file, "big")
        assert (proxy.counts["PART"], proxy.counts["COMPLETE_UPLOAD"]) == (2, 1)
        assert store.path("big").read_bytes() == content
        assert proxy.counts["GET"] == 0, "what was published here is here"
        assert replace(store, local=store.local / "elsewhere").path("big").read_bytes() == content
        assert (proxy.counts["GET"], proxy.bytes_out) == (3, pytest.approx(MANY, abs=4096))
        store.path("big")
        assert proxy.counts["GET"] == 3, "downloaded once"


@pytest.mark.slow
def test_faults_on_a_third_of_all_requests_change_nothing(store, proxy):
    content = made(store.scratch() / "x", MANY).read_bytes()
    with proxy.failing(busy=0.1, broken=0.1, cut=0.13, seed=1):
        for n in range(20):
            store.write(f"small/{n}", b"%d" % n)
        file = store.scratch() / "big"
        file.write_bytes(content)
        store.publish(file, "big")
        elsewhere = replace(store, local=store.local / "elsewhere")
        assert elsewhere.path("big").read_bytes() == content
        assert [elsewhere.read(f"small/{n}") for n in range(20)] == [b"%d" % n for n in range(20)]
        assert store.names() == sorted(["big", *(f"small/{n}" for n in range(20))])
        store.delete_all("small")
        assert store.names() == ["big"]
        assert {"busy", "broken", "cut before", "cut after", "cut within"} <= set(proxy.injected)


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back_is_waited_for(store, proxy):
    content = made(store.scratch() / "x", MANY).read_bytes()
    file = store.scratch() / "big"
    file.write_bytes(content)
    with proxy.failing(delay_s=0.1), ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(store.publish, file, "big")
        time.sleep(0.3)  # the upload has begun
        proxy.down()
        time.sleep(1)
        assert not publishing.done()
        proxy.up()
        publishing.result(30)
        elsewhere = replace(store, local=store.local / "elsewhere")
        reading = pool.submit(elsewhere.path, "big")
        time.sleep(0.15)
        proxy.down()
        time.sleep(1)
        proxy.up()
        assert reading.result(30).read_bytes() == content
    assert store.abort_orphans(older_than_s=0) == 0


def test_patience_ends_with_the_name_of_the_object(store, proxy):
    with proxy.failing(busy=1):
        began = time.monotonic()
        with pytest.raises(
            EngineError, match=r"run/a: .*SlowDown.*tried \d+ times in \d s; run the same command again"
        ):
            replace(store, patience_s=1).read("a")
        assert 1 <= time.monotonic() - began < 8


def test_absent_and_refused_are_not_tried_again(store, proxy):
    with proxy.failing():
        assert not store.exists("a")
        assert proxy.counts.total() == 1
    with proxy.failing(denied=True):
        with pytest.raises(RecipeError, match=r"run/a: access denied \(.*\) with credentials from env; looked for"):
            store.read("a")
        assert proxy.counts.total() == 1


def test_a_bucket_that_is_not_there_is_named(tmp_path, proxy):
    with pytest.raises(RecipeError, match="s3://no-such-bucket-here/run/a: no such bucket"):
        store_at("s3://no-such-bucket-here/run", tmp_path).write("a", b"")


@pytest.mark.parametrize(
    "size", [pytest.param(1600, id="in one request"), pytest.param(MANY, id="in parts", marks=pytest.mark.slow)]
)
def test_a_truncated_upload_is_never_believed(store, proxy, size):
    content = made(store.scratch() / "x", size).read_bytes()
    file = store.scratch() / "x"
    file.write_bytes(content)
    with proxy.failing(truncate_puts=1):
        store.publish(file, "x")
        assert proxy.injected["truncate"] == 1
    assert store.read("x") == content
    file.write_bytes(content)
    with proxy.failing(truncate_puts=1000):
        with pytest.raises(EngineError, match=f"x: sent {size:,} bytes, the store shows"):
            replace(store, patience_s=0.5).publish(file, "x")
    assert not store.exists("x") and file.read_bytes() == content


@pytest.mark.slow
def test_a_killed_uploader_leaves_no_object_and_an_orphan_that_is_aborted(store, proxy, tmp_path):
    file = made(tmp_path / "big", 64 << 20)
    with proxy.failing(delay_s=0.3):
        command = [sys.executable, "-c", UPLOAD, store.uri, str(tmp_path / "other"), str(file)]
        with subprocess.Popen(command) as uploader:
            while proxy.counts["PART"] < 2:
                time.sleep(0.02)
            uploader.kill()
    assert not store.exists("big") and store.names() == []
    assert store.abort_orphans(older_than_s=100 * YEAR_S) == 0
    assert store.at("elsewhere").abort_orphans(older_than_s=0) == 0
    assert store.abort_orphans(older_than_s=0) == 1
    assert store.abort_orphans(older_than_s=0) == 0


def test_an_upload_that_fails_is_aborted(store, proxy):
    file = made(store.scratch() / "x", MANY)
    with proxy.failing(busy=1, only=("PART",)):
        with pytest.raises(EngineError):
            replace(store, patience_s=0.5).publish(file, "x")
    assert store.abort_orphans(older_than_s=0) == 0 and not store.exists("x") and file.exists()


def test_attempts_of_this_run_can_be_forgotten_and_no_others(store):
    mine, other = store.at("deep").scratch(), replace(store, uri=f"{store.uri}-2").scratch()
    store.forget_attempts()
    assert not mine.exists() and other.exists()


@pytest.mark.slow
def test_more_than_a_page_of_names_is_listed_and_deleted(store, proxy):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.write(f"n/{n:05d}", b""), range(1100)))
    with proxy.failing(busy=0.2):
        assert store.names("n") == [f"n/{n:05d}" for n in range(1100)]
        store.delete_all("n")
        assert store.names() == []
        assert proxy.counts["HEAD"] == 0


def test_an_upload_that_somebody_aborted_is_begun_anew(store, proxy, monkeypatch):
    """moto breaks where it is to complete what was aborted; S3 says what it says here."""
    monkeypatch.setitem(REFUSALS, "broken", (404, "NoSuchUpload"))
    file = made(store.scratch() / "x", MANY)
    content = file.read_bytes()
    with proxy.failing(broken=1, only=("COMPLETE_UPLOAD",), delay_s=0.3), ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(store.publish, file, "x")
        while not proxy.injected["broken"]:  # it is on its way, and will be refused
            time.sleep(0.01)
        proxy.faults.broken = proxy.faults.delay_s = 0
        assert store.abort_orphans(older_than_s=0) == 1
        publishing.result(30)
        assert proxy.counts["CREATE_UPLOAD"] == 2
    assert store.path("x").read_bytes() == content
    assert store.abort_orphans(older_than_s=0) == 0


def test_what_the_store_says_is_not_the_datas_fault(store, proxy):
    found, key = objects_at(store.uri, patience=Patience(total_s=1))
    assert isinstance(found, S3Objects)
    with pytest.raises(EngineError, match=r"run/a: the store answers NoSuchUpload \(HTTP 404\) to ListParts: .*again"):
        place = {"Bucket": found.bucket, "Key": f"{key}/a", "UploadId": "none"}
        found.ask(f"{key}/a", lambda s3: s3.list_parts(**place))


def test_a_large_object_that_is_replaced_while_it_is_read_is_read_anew(store, proxy):
    one, two = b"1" * (3 << 20), b"2" * (3 << 20)
    store.write("a", one)
    with proxy.failing(delay_s=0.2), ThreadPoolExecutor(1) as pool:
        reading = pool.submit(store.read, "a")
        while proxy.counts["GET"] < 2:
            time.sleep(0.005)
        proxy.faults.delay_s = 0
        store.write("a", two)
        assert reading.result(30) in (one, two)


def test_scratch_of_the_dead_is_forgotten_and_no_upload_is_aborted(store, proxy, tmp_path):
    command = [sys.executable, "-c", SCRATCH, store.uri, str(store.local)]
    of_dead = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    mine = made(store.scratch() / "x", MANY).parent
    assert of_dead.is_dir() and of_dead.parent == mine.parent
    with proxy.failing(delay_s=0.2), ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(store.publish, mine / "x", "x")
        while not proxy.counts["PART"]:
            time.sleep(0.01)
        store.at("deep").forget_attempts(dead_only=True)
        publishing.result(30)
        assert proxy.counts["ABORT_UPLOAD"] == 0
    assert not of_dead.exists() and mine.is_dir()
