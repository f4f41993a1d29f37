"""A run that is killed goes on where it was, and ends with the bytes of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys import (
    ByIdInGroupsOfAbout,
    Count,
    CountDocuments,
    Length,
    PlainText,
    SameFirstWord,
    SameLastWord,
    Silence,
    Slow,
    lines_source,
    run_here,
)

from tokenmill.core.errors import EngineError
from tokenmill.core.recipe import Recipe
from tokenmill.engines import directory, driver
from tokenmill.engines.plan import make_plan
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify

STEPS = (Count(), Slow(), Length(), SameFirstWord(), SameLastWord(), CountDocuments(), ByIdInGroupsOfAbout(size=40))
RECIPE = Recipe("slow", STEPS, PlainText())
TESTS = Path(__file__).resolve().parents[1]


def go(folder: Path, out: Path, workers: int) -> str:
    plan = make_plan(RECIPE, [lines_source(folder)], open_uri)
    return run_here(plan, out, workers=workers, progress=Silence()).identity


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    rng = random.Random(5)
    for n in range(8):
        words = [
            " ".join(rng.choice("abcdefghij") * rng.randint(1, 3) for _ in range(rng.randint(1, 5))) for _ in range(60)
        ]
        (place / f"{n}.txt").write_text("\n".join(words))
    return place


def start(folder: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    code = (
        "from pathlib import Path\n"
        f"import sys; sys.path[:0] = {[str(TESTS.parent), str(TESTS), str(TESTS / 'engines')]!r}\n"
        "from test_resume import go\n"
        f"print(go(Path({str(folder)!r}), Path({str(out)!r}), {workers}))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_kill_nine_of_the_run_at_random_moments_changes_nothing(folder, tmp_path):
    want = go(folder, tmp_path / "calm", 2)
    rng = random.Random(11)
    struck = 0
    for n in range(60):
        process = start(folder, tmp_path / "hit", workers=rng.randint(1, 2))
        try:
            longer = 1 + n / 10  # so that a machine too busy to get anywhere in a second ends it too
            told, _ = process.communicate(timeout=rng.uniform(0.9, 2.6) * longer)
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            struck += 1
            continue
    assert struck >= 1
    assert told.decode().strip() == want
    assert verify(tmp_path / "hit").ok
    assert (tmp_path / "hit" / "manifest.json").read_bytes() == (tmp_path / "calm" / "manifest.json").read_bytes()


def test_kill_nine_of_workers_changes_nothing(folder, tmp_path):
    want = go(folder, tmp_path / "calm", 1)
    process = start(folder, tmp_path / "hit", workers=2)
    rng = random.Random(3)
    struck = 0
    while process.poll() is None and struck < 4:
        time.sleep(rng.uniform(0.7, 1.0))
        workers = (
            [c for c in children(process.pid) if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
            if process.poll() is None
            else []
        )
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            struck += 1
    told, _ = process.communicate(timeout=60)
    assert (process.returncode, told.decode().strip()) == (0, want)
    assert struck >= 2


def test_workers_end_with_their_run(folder, tmp_path):
    process = start(folder, tmp_path / "out", workers=2)
    deadline = time.monotonic() + 20
    while not (workers := children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    time.sleep(1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{w}").exists() for w in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{w}").exists() for w in workers)


def test_two_runs_never_write_to_one_directory(folder, tmp_path):
    plan = make_plan(RECIPE, [lines_source(folder)], open_uri)
    with (
        directory.claimed(LocalStore(tmp_path / "out"), plan.request()),
        pytest.raises(EngineError, match="another run is writing here"),
    ):
        go(folder, tmp_path / "out", 1)


def test_a_file_that_changed_before_the_run_went_on_is_read_again(folder, tmp_path):
    process = start(folder, tmp_path / "hit", workers=1)
    receipts = tmp_path / "hit" / "_work" / "receipts" / "segment-0"
    deadline = time.monotonic() + 30
    while not (receipts.exists() and list(receipts.glob("*.json"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    changed = folder / "0.txt"
    changed.write_text(changed.read_text()[::-1])
    assert go(folder, tmp_path / "hit", 2) == go(folder, tmp_path / "fresh", 2)


def test_what_a_shard_observed_of_an_earlier_input_does_not_count(tmp_path, monkeypatch):
    """The run stops behind a summary; then one shard's only document becomes one that cannot be read."""
    (tmp_path / "in").mkdir()
    for name, text in {"a": "only this", "b": "and that"}.items():
        (tmp_path / "in" / f"{name}.txt").write_text(text)
    recipe = Recipe("counted", (Count(), CountDocuments(), ByIdInGroupsOfAbout(size=1)), PlainText())

    def begin(out: Path) -> Manifest:
        plan = make_plan(recipe, [lines_source(tmp_path / "in")], open_uri)
        return run_here(plan, out, workers=1, progress=Silence())

    def stops(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(driver, "ScatterTask", stops)
        with pytest.raises(KeyboardInterrupt):
            begin(tmp_path / "out")
    (tmp_path / "in" / "a.txt").write_text("!nly this")
    assert begin(tmp_path / "out").identity == begin(tmp_path / "fresh").identity
