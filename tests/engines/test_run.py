"""A run that could not begin leaves its place free."""

from pathlib import Path

import pytest
from toys import Count, Length, Silence, lines_source, run_here

from tokenmill.core.errors import EngineError
from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import make_plan
from tokenmill.engines.run import run
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.remote_stream import open_uri


class NoWorkers:
    """An engine whose scheduler does not answer."""

    name = "none"

    def workers_of(self, context: object) -> object:
        raise EngineError("nobody answers")

    def facts(self) -> dict[str, object]:
        return {}


def test_an_engine_that_does_not_start_leaves_the_place_to_another_recipe(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one two\nthree")
    sources = [lines_source(tmp_path / "in")]
    with pytest.raises(EngineError, match="nobody answers"):
        plan = make_plan(Recipe("first", (Count(),)), sources, open_uri)
        run(plan, LocalStore(tmp_path / "out"), NoWorkers(), progress=Silence())
    manifest = run_here(make_plan(Recipe("second", (Count(), Length())), sources, open_uri), tmp_path / "out")
    assert manifest.name == "second"
