"""Looked at once: a run over an inventory lists nothing, opens nothing to be planned, and has the same shards."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import Proxy, s3
from toys import Count

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.core.recipe import Recipe
from tokenmill.core.source import File
from tokenmill.engines.plan import InputShard, make_plan
from tokenmill.ingest.inventory import Inventory
from tokenmill.jobs.inventory import command, write_inventory
from tokenmill.jobs.sources import check_apart, find_sources
from tokenmill.manifests.objects import objects_at
from tokenmill.manifests.remote_stream import open_uri

RECIPE = Recipe("toy", (Count(),))


@pytest.fixture(scope="module")
def proxy_and_bucket() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        yield proxy, bucket


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """Ten files of three kinds, one without a telling name, one that is no document."""
    place = tmp_path / "crawl"
    (place / "deep").mkdir(parents=True)
    for n in range(8):
        lines = [json.dumps({"text": f"document {row} of {n}"}) for row in range(3)]
        (place / "deep" / f"{n}.jsonl").write_text("\n".join(lines))
    pq.write_table(pa.table({"text": ["a", "b", "c"]}), place / "rows.parquet")
    (place / "unnamed").write_text('{"text": "no ending"}\n')
    (place / "notes.xyz").write_bytes(b"\x00\x01")
    return place


@pytest.fixture
def remote(crawl: Path, proxy_and_bucket: tuple[Proxy, str]) -> str:
    """The same below a prefix."""
    uri = f"s3://{proxy_and_bucket[1]}/{crawl.parent.name}"
    objects, key = objects_at(uri)
    for path in crawl.rglob("*"):
        if path.is_file():
            objects.put(f"{key}/{path.relative_to(crawl).as_posix()}", path.read_bytes())
    return uri


def shards(argument: str, open_file=open_uri) -> list[InputShard]:
    return list(make_plan(RECIPE, find_sources([argument]).sources, open_file).shards)


def cuts(argument: str) -> list[tuple]:
    found = shards(argument)
    return [(s.name, s.split.file.name, s.split.file.size, s.split.start, s.split.stop, s.split.bytes) for s in found]


def as_planned(file: File):
    return partial(open_uri, size=file.size, modified_ns=file.modified_ns)


def never(uri: str):
    raise AssertionError(f"{uri} was opened")


def test_a_folder_and_its_inventory_have_the_same_shards(crawl, tmp_path, capsys):
    command([str(crawl)], out=str(tmp_path / "made" / "crawl.parquet"))
    printed = capsys.readouterr().out
    assert "10 files, 10 splits" in printed and "tokenmill run RECIPE --source" in printed
    direct, written = shards(str(crawl)), shards(str(tmp_path / "made" / "crawl.parquet"), never)
    assert [(s.name, s.split) for s in written] == [(s.name, s.split) for s in direct]
    assert [s.fingerprint() for s in written] == [s.fingerprint() for s in direct]
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["crawl.parquet"]


def test_where_a_source_lies_changes_no_shard(crawl, remote, tmp_path):
    write_inventory(find_sources([remote]).sources[0].files, str(tmp_path / "remote.parquet"))
    assert cuts(remote) == cuts(str(crawl)) == cuts(str(tmp_path / "remote.parquet"))


def test_a_remote_inventory_is_planned_with_a_request_for_itself_alone(remote, proxy_and_bucket, capsys):
    proxy, _ = proxy_and_bucket
    command([remote], out=f"{remote}-inventories/crawl.parquet", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["splits"]) == (10, 10)
    with proxy.failing():
        assert len(shards(f"crawl={remote}-inventories/crawl.parquet", never)) == 10
        assert proxy.counts["LIST"] == 0 and proxy.counts["GET"] <= 3


def test_names_that_tell_the_format_are_not_looked_into(remote, proxy_and_bucket, capsys):
    proxy, _ = proxy_and_bucket
    with proxy.failing(busy=0.1):
        (source,) = find_sources([f"crawl={remote}"]).sources
        assert proxy.counts["GET"] - proxy.injected["busy"] <= 2, "unnamed and notes.xyz"
    assert [f.name for f in source.files] == [*(f"deep/{n}.jsonl" for n in range(8)), "rows.parquet", "unnamed"]
    assert "passing over 1 files of no known format: notes.xyz" in capsys.readouterr().err


def test_faults_while_it_is_made_change_nothing(remote, proxy_and_bucket, tmp_path):
    before = cuts(remote)
    with proxy_and_bucket[0].failing(busy=0.1, broken=0.1, cut=0.1):
        write_inventory(find_sources([remote]).sources[0].files, str(tmp_path / "a.parquet"))
    assert cuts(str(tmp_path / "a.parquet")) == before


def test_a_run_that_takes_some_of_its_files_cuts_only_those(crawl, tmp_path):
    write_inventory(find_sources([str(crawl)]).sources[0].files, str(tmp_path / "a.parquet"))
    (source,) = find_sources([str(tmp_path / "a.parquet")]).sources
    assert isinstance(source, Inventory)
    some = Inventory(name="s", files=source.files[2:4], cuts=source.cuts)
    assert [c.file.name for c in some.splits(never)] == ["deep/2.jsonl", "deep/3.jsonl"]


def test_a_file_that_can_never_be_read_is_named_and_nothing_is_written(crawl, tmp_path):
    (crawl / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"broken\.parquet: no readable Parquet file"):
        command([str(crawl)], out=str(tmp_path / "made" / "a.parquet"))
    assert list((tmp_path / "made").iterdir()) == []


def test_a_file_that_changed_since_is_an_error(crawl, remote, tmp_path):
    for argument, name in ((str(crawl), "here"), (remote, "there")):
        write_inventory(find_sources([argument]).sources[0].files, str(tmp_path / f"{name}.parquet"))
    (crawl / "deep" / "0.jsonl").write_text('{"text": "another"}')
    objects, key = objects_at(f"{remote}/deep/0.jsonl")
    objects.put(key, b'{"text": "another"}')
    for name in ("here", "there"):
        shard = shards(str(tmp_path / f"{name}.parquet"))[0]
        with pytest.raises(DataError, match=r"0\.jsonl: .*the run was planned"):
            list(shard.source.read(shard.split, as_planned(shard.split.file), 1 << 20))


def test_nothing_that_is_there_is_written_over(crawl, remote, tmp_path):
    for source, out in ((str(crawl), str(crawl / "rows.parquet")), (remote, f"{remote}/rows.parquet")):
        before = cuts(source)
        with pytest.raises(RecipeError, match=r"rows\.parquet: is there already; remove it, or choose another name"):
            command([source], out=out)
        assert cuts(source) == before


def test_two_files_of_one_name_are_refused(crawl, tmp_path):
    (tmp_path / "other" / "deep").mkdir(parents=True)
    (tmp_path / "other" / "deep" / "0.jsonl").write_text("{}")
    with pytest.raises(RecipeError, match=r"has a file deep/0\.jsonl, as .*crawl/deep/0\.jsonl; name a folder above"):
        command([str(crawl), str(tmp_path / "other")], out=str(tmp_path / "a.parquet"))


def test_an_inventory_of_an_inventory_is_refused(crawl, tmp_path):
    command([str(crawl)], out=str(tmp_path / "a.parquet"))
    with pytest.raises(RecipeError, match=r"a\.parquet: is an inventory; give it to `tokenmill run` as it is"):
        command([str(tmp_path / "a.parquet")], out=str(tmp_path / "b.parquet"))
    with pytest.raises(RecipeError, match=r"want a name that ends in \.parquet"):
        command([str(crawl)], out=str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/nowhere", "nowhere: no object here, and none below"),
        ("/*.warc", r"\*\.warc: no object fits this pattern"),
        ("/notes.xyz", "nothing to read here \\(1 files of no known format\\)"),
    ],
)
def test_a_url_that_holds_nothing_to_read_is_refused(remote, place, message):
    with pytest.raises(RecipeError, match=message):
        find_sources([remote + place])


def test_an_unfinished_remote_run_is_no_source(remote):
    objects, key = objects_at(f"{remote}/_work/request.json")
    objects.put(key, b"{}")
    with pytest.raises(RecipeError, match="an unfinished run; run its command again first"):
        find_sources([remote])


def test_a_remote_out_within_a_remote_source_is_refused(remote):
    with pytest.raises(RecipeError, match="lies within --source"):
        check_apart([f"crawl={remote}"], f"{remote}/runs/a")
    with pytest.raises(RecipeError, match="lies within --source"):
        check_apart([f"{remote}/**/*.jsonl"], f"{remote}/runs/a")
    check_apart([remote], f"{remote}-runs/a")
    check_apart([remote], "/tmp/a")
