"""A lock in an object store: one holder, whoever dies and wherever."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from tokenmill.core.errors import EngineError

HOLD = """
import sys, time
from pathlib import Path
from tokenmill.manifests.store import store_at
with store_at(sys.argv[1], Path(sys.argv[2])).hold("_work/lock"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_holder_killed_on_this_machine_is_found_out_at_once(store, tmp_path):
    command = [sys.executable, "-c", HOLD, store.uri, str(tmp_path / "other")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            with store.hold("_work/lock"):
                pass
        holder.kill()
        holder.wait(30)
    with store.hold("_work/lock"):
        pass
    assert not store.exists("_work/lock")


def elsewhere(lease_s: float) -> bytes:
    """The lock of a process on another machine, which does not renew it."""
    process = {"host": "another", "place": "another", "pid": 1, "started": 1}
    return json.dumps({"holder": "x", "process": process, "lease_s": lease_s}).encode()


@pytest.mark.slow
def test_a_holder_that_died_elsewhere_is_replaced_when_its_lease_is_over(store):
    store.write("lock", elsewhere(lease_s=2))
    with pytest.raises(BlockingIOError, match=r"held by process 1 on another, renewed [012] s ago"):
        with store.hold("lock"):
            pass
    time.sleep(3.1)
    with store.hold("lock"):
        assert b"another" not in store.read("lock")


@pytest.mark.slow
def test_a_live_holder_renews_its_lease(store):
    with replace(store, lease_s=2).hold("lock"):
        time.sleep(3.5)
        with pytest.raises(BlockingIOError):
            with store.hold("lock"):
                pass


def test_a_lost_lock_is_told_and_left_to_its_new_holder(store):
    with pytest.raises(EngineError, match="lock: lost to another process"):
        with replace(store, lease_s=1).hold("lock"):
            store.write("lock", elsewhere(lease_s=60))
            time.sleep(1)
    assert b"another" in store.read("lock")


def test_threads_do_not_leak(store):
    store.write("a", b"1")
    before = threading.active_count()
    for _ in range(3):
        with store.hold("lock"):
            store.path("a")
    assert threading.active_count() <= before + 1


def test_a_lock_that_could_not_be_renewed_is_told(store, proxy):
    """Credentials that ran out are no EngineError."""
    with pytest.raises(EngineError, match=r"lock: not renewed for [12] s, .*\(.*access denied"):
        with replace(store, lease_s=1).hold("lock"), proxy.failing(denied=True):
            time.sleep(1.6)


def test_a_renewal_that_failed_is_made_good_by_a_later_one(store, proxy):
    with replace(store, lease_s=1).hold("lock"):
        with proxy.failing(denied=True):
            time.sleep(1.3)
        time.sleep(0.6)
    assert not store.exists("lock")


def test_what_went_wrong_inside_is_told_before_the_lock(store, proxy):
    with pytest.raises(KeyError, match="inside"):
        with replace(store, lease_s=1).hold("lock"), proxy.failing(denied=True):
            time.sleep(1.2)
            raise KeyError("inside")
