"""What lies at a URL, with no request per object."""

from collections.abc import Iterator

import pytest
from s3_server import Proxy, s3

from tokenmill.manifests.listing import fixed_part, is_pattern, listed
from tokenmill.manifests.objects import objects_at

KEYS = [
    "crawl/a.warc.gz",
    "crawl/b.warc.gz",
    "crawl/deep/er/c.warc.gz",
    "crawl/deep/d.wet",
    "crawl/_SUCCESS",
    "crawl-2/x",
]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        objects, _ = objects_at(f"s3://{bucket}/")
        for key in KEYS:
            objects.put(key, key.encode())
        objects.put("crawl/deep/", b"")  # as consoles make them for folders
        yield proxy, bucket


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("crawl", ["a.warc.gz", "b.warc.gz", "deep/d.wet", "deep/er/c.warc.gz"]),
        ("crawl/", ["a.warc.gz", "b.warc.gz", "deep/d.wet", "deep/er/c.warc.gz"]),
        ("crawl/a.warc.gz", ["a.warc.gz"]),
        ("crawl/*.warc.gz", ["a.warc.gz", "b.warc.gz"]),
        ("crawl/**/*.warc.gz", ["a.warc.gz", "b.warc.gz", "deep/er/c.warc.gz"]),
        ("crawl/deep/*/?.warc.gz", ["er/c.warc.gz"]),
        ("crawl/[!a].warc.gz", ["b.warc.gz"]),
        ("crawl*/[ax]*", ["crawl-2/x", "crawl/a.warc.gz"]),
        ("craw", []),
        ("crawl/*.jsonl", []),
    ],
)
def test_an_object_a_prefix_or_a_pattern(server, uri, names):
    proxy, bucket = server
    with proxy.failing():
        found = listed(f"s3://{bucket}/{uri}")
        assert [f.name for f in found] == names
        assert proxy.counts.total() <= 2
    assert all(f.uri.startswith(f"s3://{bucket}/crawl") and f.uri.endswith(f.name) for f in found)


def test_tells_what_a_look_at_each_would_tell(server):
    (found,) = listed(f"s3://{server[1]}/crawl/*.warc.gz")[:1]
    objects, key = objects_at(found.uri)
    looked = objects.find(key)
    assert looked is not None
    assert (found.size, found.etag) == (looked.size, looked.etag) and found.size == len("crawl/a.warc.gz")
    assert abs(found.modified_ns - looked.modified_ns) <= 1_000_000_000


def test_a_whole_bucket(server):
    assert len(listed(f"s3://{server[1]}")) == 5


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_busy_servers_are_asked_again(server, share):
    with server[0].failing(busy=share, seed=1):
        assert len(listed(f"s3://{server[1]}/crawl")) == 4


def test_a_pattern_begins_in_a_folder():
    assert fixed_part("s3://b/crawl/2*/x.gz") == "s3://b/crawl/"
    assert fixed_part("s3://b/crawl/x.gz") == "s3://b/crawl/x.gz"
    assert is_pattern("s3://b/[ab]") and not is_pattern("s3://b/a")
