"""Whatever fails, the same command ends with the same identity: nothing lost, nothing twice, no orphan left.

Here: an object store that fails, workers and drivers killed beneath it, a full disk. What each engine survives of its
own is in tests/engines/test_spark*.py, test_dask*.py and tests/jobs/test_slurm*.py.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import Proxy, s3

from tokenmill.jobs.cli import main
from tokenmill.jobs.places import out_at
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.store import WORK, Store
from tokenmill.manifests.verify import verify

pytest.importorskip("s3fs")
WORDS = [f"word{i}" for i in range(61_000)]
FILES = 12


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Proxy, str]]:
    with s3() as (proxy, bucket):
        yield proxy, bucket


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages that drift, so that each resembles the next: 271 of 321 shingles."""
    folder = tmp_path_factory.mktemp("pages")
    for file in range(FILES):
        with (folder / f"{file:02}.jsonl").open("w") as lines:
            for i in range(file, 2400, FILES):
                lines.write(json.dumps({"text": " ".join(WORDS[25 * i : 25 * i + 300])}) + "\n")
    return folder


@pytest.fixture(scope="module")
def calm(pages: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("calm") / "out"
    assert main(["run", "fuzzy_dedup", "--source", str(pages), "--out", str(out), "--workers", "2"]) == 0
    return Manifest.load(out).identity


def start(pages: Path | str, out: str, tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tokenmill.jobs", "run", "fuzzy_dedup", "--source", str(pages), "--out", out]
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*command, "--workers", "2", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    told, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    return str(json.loads(told)["identity"])


def check_whole(out: Store) -> None:
    """As its manifest says, and nothing beside it."""
    found = verify(out)
    assert found.ok, found.problems
    named = {shard.path for shard in Manifest.load(out).shards} | {"manifest.json", "provenance.json"}
    assert set(out.names()) == named
    assert not out.names(WORK)


def orphans(out: Store) -> int:
    import boto3

    bucket, _, prefix = out.uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    return len(client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", []))


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_sources_and_outputs_in_an_object_store_give_the_identity_of_a_folder(server, pages, calm, tmp_path, capsys):
    _, bucket = server
    source, out = out_at(f"s3://{bucket}/pages"), f"s3://{bucket}/runs/plain"
    for file in pages.iterdir():
        source.write(file.name, file.read_bytes())
    assert main(["run", "fuzzy_dedup", "--source", source.uri, "--out", out, "--workers", "2"]) == 0
    store = out_at(out)
    assert Manifest.load(store).identity == calm
    check_whole(store)
    id_ = Manifest.load(store).identity
    capsys.readouterr()
    assert main(["verify", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identity"] == id_
    assert main(["run", "exact_dedup", "--source", out, "--out", str(tmp_path / "next"), "--workers", "1"]) == 0
    assert Manifest.load(tmp_path / "next").parents == (id_,)


@pytest.mark.slow
def test_a_store_that_fails_on_a_tenth_of_all_requests_changes_nothing(server, pages, calm, tmp_path):
    proxy, bucket = server
    out = f"s3://{bucket}/runs/failing"
    with proxy.failing(busy=0.03, broken=0.02, cut=0.05, seed=3):
        assert ended(start(pages, out, tmp_path)) == calm
        assert proxy.injected.total() >= 10
    check_whole(out_at(out))
    assert orphans(out_at(out)) == 0


@pytest.mark.slow
def test_a_store_that_dies_and_comes_back_is_waited_for(server, pages, calm, tmp_path):
    proxy, bucket = server
    out = f"s3://{bucket}/runs/dies"
    process = start(pages, out, tmp_path)
    store = out_at(out)
    deadline = time.monotonic() + 60
    while not store.names(f"{WORK}/receipts") and time.monotonic() < deadline:
        time.sleep(0.2)
    proxy.down()
    time.sleep(4)
    proxy.up()
    assert ended(process) == calm
    check_whole(store)


@pytest.mark.slow
def test_two_hundred_random_faults_in_one_run_change_nothing(server, pages, calm, tmp_path):
    """Refusals, server errors and cut connections; kill -9 of workers, and of the whole run, which then goes on."""
    proxy, bucket = server
    out = f"s3://{bucket}/runs/storm"
    rng = random.Random(200)
    struck, seen = {"worker": 0, "run": 0}, 0
    began = time.monotonic()
    identity = None
    with proxy.failing(busy=0.05, broken=0.05, cut=0.10, seed=7):
        while identity is None:
            assert time.monotonic() - began < 280
            process = start(pages, out, tmp_path)
            ends = time.monotonic() + rng.uniform(4, 9)
            while process.poll() is None and time.monotonic() < ends:
                time.sleep(rng.uniform(0.3, 1.5))
                workers = children(process.pid)
                if workers and struck["worker"] < 60:
                    try:
                        os.kill(rng.choice(workers), signal.SIGKILL)
                        struck["worker"] += 1
                    except ProcessLookupError:
                        pass
            faults = proxy.injected.total() + sum(struck.values())
            if process.poll() is None and faults < 200:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                struck["run"] += 1
                continue
            told, complaint = process.communicate(timeout=200)
            if process.returncode == 0:
                identity, seen = json.loads(told)["identity"], faults
            else:  # three workers killed over one task, say: "run the same command again"
                assert process.returncode == 4, complaint
        seen = proxy.injected.total() + sum(struck.values())
    assert identity == calm
    assert seen >= 200, (dict(proxy.injected), struck)
    assert struck["worker"] >= 5 and struck["run"] >= 2
    check_whole(out_at(out))
    assert orphans(out_at(out)) == 0


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_same_command_goes_on(pages, calm, tmp_path):
    """A file system of 3 MB, which is then made larger. Needs leave to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no leave to mount a small file system here")
    try:
        process = start(pages, str(disk / "out"), tmp_path)
        told, _ = process.communicate(timeout=200)
        assert process.returncode == 4
        assert "space" in json.loads(told)["message"]
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert ended(start(pages, str(disk / "out"), tmp_path)) == calm
        check_whole(out_at(str(disk / "out")))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
