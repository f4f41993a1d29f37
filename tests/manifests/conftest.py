"""A store of objects for each test that asks for one, on an S3 endpoint of its module's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import Proxy, s3

from tokenmill.manifests.object_store import ObjectStore


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        yield proxy, bucket


@pytest.fixture
def proxy(server: tuple[Proxy, str]) -> Proxy:
    return server[0]


@pytest.fixture
def store(server: tuple[Proxy, str], tmp_path: Path) -> ObjectStore:
    return ObjectStore(uri=f"s3://{server[1]}/{tmp_path.name}/run", local=tmp_path / "local", patience_s=20)
