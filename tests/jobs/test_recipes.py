"""A recipe is found by its name, or as a constant in the user's own file."""

import sys
from pathlib import Path

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.recipes import find_recipe, recipe_with

MINE = """
from tokenmill.core.recipe import Recipe
from tokenmill.ingest.extract_html import ExtractHtml

MINE = Recipe("NAME", (ExtractHtml(),))
"""


def written(folder: Path, name: str, file: str = "recipes_of_mine.py") -> str:
    folder.mkdir()
    (folder / file).write_text(MINE.replace("NAME", name))
    return f"{folder}/{file}:MINE"


def test_two_files_of_one_name_are_two_files(tmp_path):
    first, second = written(tmp_path / "a", "first"), written(tmp_path / "b", "second")
    assert [find_recipe(first).name, find_recipe(second).name, find_recipe(first).name] == ["first", "second", "first"]


def test_a_file_that_is_called_like_a_library_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="a library is called json too; give the file another name"):
        find_recipe(written(tmp_path / "a", "mine", "json.py"))
    assert hasattr(sys.modules["json"], "dumps")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(RecipeError, match=r"did you mean fuzzy_dedup\?"):
        find_recipe("fuzy_dedup")


def test_the_recipe_that_needs_a_model_says_so(tmp_path):
    with pytest.raises(RecipeError, match=r"semantic_dedup needs a model: --set embed\.model=DIR"):
        recipe_with("semantic_dedup", [])
    with pytest.raises(RecipeError, match=r"config\.json"):
        recipe_with("semantic_dedup", [f"embed.model={tmp_path}"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def broken(:", "line 1: invalid syntax"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why(tmp_path, text, complaint):
    (tmp_path / "cannot_be_loaded.py").write_text(text)
    with pytest.raises(RecipeError) as refused:
        find_recipe(f"{tmp_path}/cannot_be_loaded.py:MINE")
    assert f"{tmp_path}/cannot_be_loaded.py: cannot be loaded ({complaint}); mend it" in str(refused.value)
