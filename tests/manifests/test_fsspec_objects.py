"""What fsspec's file systems do otherwise than S3: renames that refuse, deletions one by one."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from s3_server import ENVIRONMENT, Proxy, s3

from tokenmill.core.errors import EngineError
from tokenmill.manifests.fsspec_objects import FsspecObjects
from tokenmill.manifests.object_store import ObjectStore
from tokenmill.manifests.objects import Changed
from tokenmill.manifests.retrying import Patience
from tokenmill.manifests.store import store_at


class RefusingFileSystem(LocalFileSystem):
    """As fsspec's WebHDFS: a rename onto a name that exists does nothing, and nothing is said of it."""

    protocol = "refusing"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("refusing://"))

    def mv(self, path1, path2, **kwargs):
        if not self.exists(path2):
            super().mv(path1, path2)


class BrokenFileSystem(RefusingFileSystem):
    """Answers every question with an error that no fsspec client was seen to give."""

    protocol = "broken"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("broken://"))

    def info(self, path, **kwargs):
        raise RuntimeError("StandbyException: operation category READ is not supported")


fsspec.register_implementation("refusing", RefusingFileSystem, clobber=True)
fsspec.register_implementation("broken", BrokenFileSystem, clobber=True)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    found = store_at(f"refusing://{tmp_path}/run", tmp_path / "local")
    assert isinstance(found, ObjectStore)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        yield proxy, bucket


def test_a_name_that_exists_is_replaced_where_a_rename_refuses(store, tmp_path):
    store.write("receipt", b"old")
    store.write("receipt", b"new")
    file = tmp_path / "file"
    file.write_bytes(b"newest")
    assert store.read("receipt") == b"new"
    store.publish(file, "receipt")
    assert store.read("receipt") == store.path("receipt").read_bytes() == b"newest"
    assert store.names() == ["receipt"], "nothing is left of what was renamed"


def test_a_new_name_is_kept_though_another_took_it_while_ours_was_written(store, tmp_path):
    class Late(RefusingFileSystem):
        protocol = "late"

        def pipe_file(self, path, value, **kwargs):
            super().pipe_file(path, value)
            (tmp_path / "run" / "ticket").write_bytes(b"theirs")

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(str(path).removeprefix("late://"))

    fsspec.register_implementation("late", Late, clobber=True)
    (tmp_path / "run").mkdir()
    objects = FsspecObjects("late://", (), Patience(total_s=2))
    with pytest.raises(Changed):
        objects.put(f"{tmp_path}/run/ticket".lstrip("/"), b"ours", new=True)
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "run").iterdir()] == [("ticket", b"theirs")]


def test_what_a_store_says_is_not_the_datas_fault(tmp_path):
    with pytest.raises(EngineError, match=r"run/a: RuntimeError: StandbyException: .*run the same command again"):
        store_at(f"broken://{tmp_path}/run", tmp_path / "local").size("a")


def test_many_are_deleted_at_once(server):
    proxy, bucket = server
    place = store_at(f"s3://{bucket}/run", Path("unused"))
    names = [f"n/{n}" for n in range(20)] + ["n/[0-9]", "n/*"]
    for name in [*names, "kept/0"]:
        place.write(name, b"")
    options = (("endpoint_url", proxy.url), ("key", ENVIRONMENT["AWS_ACCESS_KEY_ID"]), ("secret", "testing"))
    fsspec_s3 = FsspecObjects(f"s3://{bucket}", options, Patience(total_s=20))
    with proxy.failing():
        fsspec_s3.delete([f"run/{name}" for name in names if name != "n/3"])
        assert proxy.counts["DELETE"] <= 3, proxy.counts
    assert place.names() == ["kept/0", "n/3"]
    fsspec_s3.delete(["run/n/3", "run/n/3", "run/absent"])
    assert place.names() == ["kept/0"]
