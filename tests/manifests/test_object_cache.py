"""What is downloaded: once for all processes of a machine, one version of an object, and not for ever."""

import http.client
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from s3_server import Proxy

from tokenmill.manifests.object_cache import GRACE_S

MANY = 24 << 20  # bytes: three ranges
DOWNLOAD = """
import sys
from pathlib import Path
from tokenmill.manifests.store import store_at
store_at(sys.argv[1], Path(sys.argv[2])).path("a")
"""


def test_what_was_not_asked_for_longest_leaves_this_machine_first(store):
    small = replace(store, cache_bytes=30_000)
    for n in range(6):
        small.write(f"{n}", b"x" * 10_000)
    paths = [small.path(f"{n}").resolve() for n in range(3)]
    long_ago = time.time() - 2 * GRACE_S
    for place, path in enumerate(paths):
        os.utime(path, (long_ago + place, long_ago + place))
    with paths[0].open("rb") as still_open:
        small.path("0")
        later = [small.path(f"{n}").resolve() for n in range(3, 6)]
        assert [p.exists() for p in paths] == [True, False, False]
        assert all(p.exists() for p in later), "asked for a moment ago"
        assert len(still_open.read()) == 10_000
    assert small.path("1").read_bytes() == b"x" * 10_000


def test_many_that_want_one_object_download_it_once(store, proxy):
    store.write("a", b"x" * 100_000)
    with proxy.failing(delay_s=0.05):
        with ThreadPoolExecutor(8) as pool:
            assert {p.read_bytes() for p in pool.map(store.path, ["a"] * 8)} == {b"x" * 100_000}
        assert proxy.counts["GET"] == 1


def test_a_replaced_object_is_never_mixed_with_its_former_self(store, proxy):
    one, two = b"1" * MANY, b"2" * MANY
    store.write("a", one)
    with store.path("a").open("rb") as before:
        with proxy.failing(delay_s=0.05), ThreadPoolExecutor(1) as pool:
            reading = pool.submit(replace(store, local=store.local / "elsewhere").path, "a")
            store.write("a", two)
            assert reading.result(30).read_bytes() in (one, two)
        assert before.read() == one
    assert store.path("a").read_bytes() == two


def test_files_that_belong_side_by_side_lie_side_by_side(store):
    for end in ("bin", "idx"):
        store.write(f"tokens/a.{end}", end.encode())
    assert store.path("tokens/a.bin").with_suffix(".idx") == store.path("tokens/a.idx")
    assert store.path("tokens/a.bin").with_suffix(".idx").read_bytes() == b"idx"


def test_what_another_writer_put_in_place_of_ours_is_what_is_read(store, proxy, tmp_path):
    """Ours is sent, and replaced by as many bytes before we look at it."""
    ours, theirs = tmp_path / "ours", b"2" * 1000
    ours.write_bytes(b"1" * 1000)
    with proxy.failing(delay_s=0.3), ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(store.publish, ours, "a")
        while not proxy.counts["HEAD"]:  # it was put, and looks
            time.sleep(0.005)
        put_past(proxy, store.uri, "a", theirs)
        publishing.result(30)
    assert store.path("a").read_bytes() == theirs and not ours.exists()


def put_past(proxy: Proxy, uri: str, name: str, content: bytes) -> None:
    """By a writer that is none of ours, straight to the server."""
    request = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=30)
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=testing/0/us-east-1/s3/aws4_request"}
    request.request("PUT", f"/{uri.removeprefix('s3://')}/{name}", content, signed)
    assert request.getresponse().status == 200
    request.close()


def test_a_download_that_was_killed_leaves_nothing_for_long(store, proxy):
    store.write("a", b"x" * MANY)
    with proxy.failing(delay_s=0.4):
        command = [sys.executable, "-c", DOWNLOAD, store.uri, str(store.local)]
        with subprocess.Popen(command) as downloader:
            while not list(store.local.glob("cache/partial-*")):
                time.sleep(0.01)
            downloader.kill()
    assert len(list(store.local.glob("cache/partial-*"))) == 1
    store.path("a")
    assert list(store.local.glob("cache/partial-*")) == []


def test_no_link_outlives_what_it_leads_to(store):
    small = replace(store, cache_bytes=15_000)
    for name in ("deep/er/1", "2"):
        small.write(name, b"x" * 10_000)
    first = small.path("deep/er/1")
    long_ago = time.time() - 2 * GRACE_S
    os.utime(first, (long_ago, long_ago))
    second = small.path("2")
    assert second.exists() and not first.is_symlink() and not first.parent.parent.exists()
    assert small.path("deep/er/1").read_bytes() == b"x" * 10_000
