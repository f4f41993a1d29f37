"""Assets reach every machine of a run by their content, once, and never unchecked."""

import hashlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import Proxy, s3

from tokenmill.core.asset import Asset, look_elsewhere
from tokenmill.core.errors import RecipeError
from tokenmill.manifests.asset_cache import share_assets, use_assets
from tokenmill.manifests.objects import objects_at
from tokenmill.manifests.store import store_at

MODEL = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        yield proxy, bucket


@pytest.fixture(params=["folder", "s3"])
def cache(request, server, tmp_path: Path) -> str:
    return str(tmp_path / "shared") if request.param == "folder" else f"s3://{server[1]}/{tmp_path.name}/assets"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    look_elsewhere(None)


def submitted(cache: str, tmp_path: Path) -> Asset:
    """Shared by a machine that has it; then it is there no more, as on the machines that run."""
    (tmp_path / "model.bin").write_bytes(MODEL)
    asset = Asset(str(tmp_path / "model.bin"), SHA256)
    assert share_assets(cache, tmp_path / "scratch-0", [asset, asset]) == [SHA256]
    assert share_assets(cache, tmp_path / "scratch-0", [asset]) == []
    (tmp_path / "model.bin").unlink()
    from tokenmill.core.asset import _checked

    _checked.cache_clear()
    return asset


def used(cache: str, scratch: Path, asset: Asset) -> tuple[str, bytes]:
    use_assets(cache, scratch)
    path = asset.path()
    return str(path), path.read_bytes()


def test_a_machine_without_the_file_has_it_from_the_cache(cache, tmp_path):
    asset = submitted(cache, tmp_path)
    with pytest.raises(RecipeError, match=r"model\.bin: no such file"):
        asset.path()
    path, content = used(cache, tmp_path / "scratch-1", asset)
    assert content == MODEL
    assert path == str(tmp_path / "scratch-1" / "assets" / SHA256 / "model.bin"), "under the name that readers know"


def test_it_is_fetched_once_for_all_processes_of_a_machine(server, tmp_path):
    proxy, bucket = server
    cache = f"s3://{bucket}/{tmp_path.name}"
    asset = submitted(cache, tmp_path)
    with proxy.failing(delay_s=0.05), multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.starmap(used, [(cache, tmp_path / "scratch-1", asset)] * 6, 1)
        assert proxy.counts["GET"] == 1
    assert {content for _, content in found} == {MODEL}


def test_a_cache_that_holds_something_else_is_refused(cache, tmp_path):
    asset = submitted(cache, tmp_path)
    store_at(cache, tmp_path / "scratch-0").write(SHA256, b"something else")
    use_assets(cache, tmp_path / "scratch-1")
    with pytest.raises(RecipeError, match=f"sha256 is [0-9a-f]{{64}}, the recipe wants {SHA256}; remove it there"):
        asset.path()


def test_what_no_cache_has_is_missing_as_before(cache, tmp_path):
    use_assets(cache, tmp_path / "scratch-1")
    with pytest.raises(RecipeError, match=r"absent\.bin: no such file"):
        Asset(str(tmp_path / "absent.bin"), SHA256).path()
    with pytest.raises(RecipeError, match="at a URL, and no cache has it"):
        Asset("memory://nowhere/absent.bin", SHA256).path()


def test_an_asset_may_be_named_by_its_url(server, tmp_path):
    uri = f"s3://{server[1]}/models/{tmp_path.name}.bin"
    objects, key = objects_at(uri)
    objects.put(key, MODEL)
    use_assets(None, tmp_path / "scratch")
    asset = Asset.of(uri)
    assert asset == Asset(uri, SHA256) and asset.path().read_bytes() == MODEL
    objects.put(key, b"another")
    assert Asset(uri, SHA256).path().read_bytes() == MODEL, "this machine has it already"
    use_assets(None, tmp_path / "scratch-2")
    with pytest.raises(RecipeError, match="the recipe wants 00"):
        Asset(uri, "00" * 32).path()
