"""Whose the directory is that a firing writes: nobody's, its own, or somebody else's, which it neither trusts nor
touches.
"""

import os
from typing import Any

from tokenmill.core.errors import RecipeError
from tokenmill.engines import directory
from tokenmill.engines.plan import Plan
from tokenmill.jobs.fire_run import check_recipe
from tokenmill.jobs.firing import Firing
from tokenmill.jobs.indexes import find_index
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.places import out_at
from tokenmill.jobs.taken_inputs import inputs_of
from tokenmill.manifests import checked_json
from tokenmill.manifests.shown_uri import shown_uri
from tokenmill.manifests.store import WORK, is_remote


def request_of(job: JobFile, firing: Firing) -> dict[str, Any]:
    """What the firing's run answers, as its directory keeps it. Opens no input: they may be gone."""
    recipe, inputs = check_recipe(job), inputs_of(firing.sources)
    _, indexed = find_index(recipe, [*job.against, *(link.run for link in firing.against)])
    return Plan(recipe=recipe, sources=inputs.sources, shards=(), parents=(*inputs.parents, *indexed)).request()


def check_out(job: JobFile, firing: Firing) -> None:
    """Raises RecipeError unless the directory is free, or holds the run that this very firing would make."""
    out = out_at(firing.out)
    if not is_remote(firing.out) and os.path.isfile(firing.out.removeprefix("file://")):
        raise RecipeError(f"{firing.out}: is a file; {_cleared(firing)}")
    if directory.is_finished(out):
        directory.check_same(out, _finished(firing)["request"], request_of(job, firing))
        return
    if out.exists(directory.REQUEST):
        if checked_json.load_from(out, directory.REQUEST) == request_of(job, firing):
            return
        raise RecipeError(f"{firing.out}: holds an unfinished run of something else; {_cleared(firing)}")
    strange = [name for name in out.names() if not name.startswith(f"{WORK}/")]
    if strange:
        named = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
        raise RecipeError(f"{firing.out}: not empty ({named}), and no run of ours; {_cleared(firing)}")


def has_made(job: JobFile, firing: Firing) -> bool:
    """Is the finished run there the firing's own: its recipe, its parents, and its inputs as they were taken?"""
    if not directory.is_finished(out_at(firing.out)):
        return False
    taken = {(shown_uri(f.uri), f.modified_ns) for source in firing.sources for f in source.source.files}
    found = _finished(firing)
    read = {(each["uri"], each["modified_ns"]) for each in found["inputs"].values()}
    return found["request"] == request_of(job, firing) and read <= taken


def clear_out(job: JobFile, firing: Firing) -> None:
    """Remove the firing's unfinished run, known by its sources: the job may have been given another recipe since.

    What is not its own stays. The request goes last: killed half-way, the same call goes on.
    """
    out = out_at(firing.out)
    if not _is_begun(job, firing):
        return
    for name in out.names():
        if not name.startswith(f"{WORK}/"):
            out.delete(name)
    folder, _, name = firing.out.rstrip("/").rpartition("/")
    out_at(folder or "/").delete_all(name)


def _is_begun(job: JobFile, firing: Firing) -> bool:
    out = out_at(firing.out)
    if directory.is_finished(out) or not out.exists(directory.REQUEST):
        return False
    here = Plan(recipe=check_recipe(job), sources=inputs_of(firing.sources).sources, shards=()).request()
    return bool(checked_json.load_from(out, directory.REQUEST)["sources"] == here["sources"])


def _finished(firing: Firing) -> dict[str, Any]:
    return checked_json.load_from(out_at(firing.out), directory.PROVENANCE)


def _cleared(firing: Firing) -> str:
    return f"nothing was taken: move it away, or change `out`, then fire {firing.due.isoformat()} again"
