"""An asset is what it holds, and is never used unchecked."""

import hashlib
from pathlib import Path

import pytest

from tokenmill.core.asset import Asset
from tokenmill.core.errors import RecipeError


def test_is_named_by_the_hash_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"the\nof\n")
    asset = Asset.of(tmp_path / "words.txt")
    assert asset.sha256 == hashlib.sha256(b"the\nof\n").hexdigest()
    assert asset.path() == tmp_path / "words.txt"


def test_refuses_a_file_that_holds_something_else(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("the")
    asset = Asset(str(path), "ab" * 32)
    with pytest.raises(
        RecipeError, match=f"sha256 is {hashlib.sha256(b'the').hexdigest()}, the recipe wants {'ab' * 32}"
    ):
        asset.path()


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.txt: no such file; give the path of an existing one"):
        Asset.of(tmp_path / "absent.txt")
    with pytest.raises(RecipeError, match=r"absent\.txt: no such file"):
        Asset(str(tmp_path / "absent.txt"), "ab" * 32).path()


def test_refuses_a_directory(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        Asset.of(tmp_path)


def test_finds_a_file_that_an_installed_package_carries() -> None:
    assert Asset.of("package:pytest/__init__.py").path() == Path(pytest.__file__)


def test_says_how_to_install_a_package_that_is_absent() -> None:
    with pytest.raises(RecipeError, match=r"the package no_such_package is not installed; pip install no-such-package"):
        Asset.of("package:no_such_package/model.bin")


def test_equality_counts_place_and_content() -> None:
    assert Asset("a", "00") == Asset("a", "00")
    assert Asset("a", "00") != Asset("b", "00")
