from pathlib import Path

import pytest

from tokenmill.core.errors import DataError
from tokenmill.manifests import checked_json


def test_what_is_saved_is_loaded(tmp_path: Path):
    checked_json.save(tmp_path / "a.json", {"b": [1, "ü", None], "a": {"x": 1.5}})
    assert checked_json.load(tmp_path / "a.json") == {"b": [1, "ü", None], "a": {"x": 1.5}}


def test_one_value_has_one_text(tmp_path: Path):
    checked_json.save(tmp_path / "a.json", {"a": 1, "b": 2})
    checked_json.save(tmp_path / "b.json", {"b": 2, "a": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"checksum": 1}', '"text"', "null"])
def test_anything_else_is_refused_by_name(tmp_path: Path, content: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json: not as it was written"):
        checked_json.load(tmp_path / "a.json")


def test_an_absent_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.json: cannot be read \(No such file"):
        checked_json.load(tmp_path / "none.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    checked_json.save(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        checked_json.save(tmp_path / "a.json", {"a": object()})
    assert checked_json.load(tmp_path / "a.json") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
