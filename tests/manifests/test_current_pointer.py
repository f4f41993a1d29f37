"""A pointer moves in one step, is followed once, and never takes the place of something else."""

import json
import os
import threading
from pathlib import Path

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.manifests.current_pointer import check_pointer, followed, point


def a_run(path: Path) -> str:
    """As much of a run as a pointer looks at."""
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps({"identity": path.name}))
    return str(path)


def test_it_is_a_relative_symlink_that_is_followed_to_the_run_itself(tmp_path):
    first, second = a_run(tmp_path / "runs" / "a"), a_run(tmp_path / "runs" / "b")
    pointer = str(tmp_path / "runs" / "current")
    point(pointer, first, "a")
    assert (os.readlink(pointer), followed(pointer)) == ("a", first)
    point(pointer, second, "b")
    assert (os.readlink(pointer), followed(pointer)) == ("b", second)
    assert followed(f"{pointer}/manifest.json") == f"{second}/manifest.json"
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["a", "b", "current"]
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert followed(str(tmp_path / "moved" / "current")) == str(tmp_path / "moved" / "b")


def test_what_is_no_pointer_is_what_it_was(tmp_path):
    run = a_run(tmp_path / "a")
    (tmp_path / "data").mkdir()
    (tmp_path / "link to data").symlink_to("data")
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    for place in (run, f"{run}/manifest.json", f"{tmp_path}/link to data", f"{tmp_path}/a.jsonl", "no", "a/*.jsonl"):
        assert followed(place) == place


@pytest.mark.parametrize("what", ["folder", "file", "link to a folder", "link to a file"])
def test_what_is_no_pointer_is_never_replaced(tmp_path, what):
    run, place = a_run(tmp_path / "a"), tmp_path / "current"
    real = tmp_path / "real" if "link" in what else place
    real.mkdir() if what.endswith("folder") else real.write_text("{}")
    if real != place:
        place.symlink_to("real")
    with pytest.raises(RecipeError, match="is there already and points to no run"):
        check_pointer(str(place))
    with pytest.raises(RecipeError, match="is there already and points to no run"):
        point(str(place), run, "a")
    assert place.resolve() == real and place.is_symlink() == ("link" in what)


def test_a_run_that_is_gone_is_said(tmp_path):
    run, pointer = a_run(tmp_path / "a"), str(tmp_path / "current")
    point(pointer, run, "a")
    Path(run).rename(tmp_path / "aside")
    with pytest.raises(RecipeError, match="current: points to a, which is gone"):
        followed(pointer)
    point(pointer, a_run(tmp_path / "b"), "b")
    assert os.readlink(pointer) == "b"


def test_a_run_in_an_object_store_has_a_pointer_file_here(tmp_path):
    pointer = tmp_path / "current"
    point(str(pointer), "s3://bucket/runs/a", "ab" * 32)
    assert json.loads(pointer.read_text()) == {"tokenmill_run": "s3://bucket/runs/a", "identity": "ab" * 32}
    assert followed(str(pointer)) == "s3://bucket/runs/a"
    check_pointer(str(pointer))
    point(str(pointer), a_run(tmp_path / "b"), "b")  # and back
    assert followed(str(pointer)) == str(tmp_path / "b")


def test_readers_see_one_run_or_the_other_and_never_none(tmp_path):
    runs = [a_run(tmp_path / name) for name in "ab"]
    pointer = str(tmp_path / "current")
    point(pointer, runs[0], "a")
    over = threading.Event()

    def move() -> None:
        for n in range(300):
            point(pointer, runs[n % 2], "")
        over.set()

    mover = threading.Thread(target=move)
    mover.start()
    seen = set()
    while not over.is_set():
        seen.add(followed(pointer))
    mover.join()
    assert seen <= {*runs}
