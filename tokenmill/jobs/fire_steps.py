"""The steps of one firing, in an order in which it may be killed between any two of them.

record what is taken -> run -> verify -> move `current` -> record the end
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.jobs.console import warn
from tokenmill.jobs.fire_run import submissions_folder
from tokenmill.jobs.firing import Firing, FiringBook, Link
from tokenmill.jobs.firing_out import check_out, clear_out, has_made
from tokenmill.jobs.handing_over import check_alone
from tokenmill.jobs.job_file import JobFile, Schedule
from tokenmill.jobs.places import out_at
from tokenmill.jobs.schedule import zone
from tokenmill.jobs.sources import check_apart
from tokenmill.jobs.taken_inputs import changed_here, check_unchanged, found_now, known_of, new_of
from tokenmill.manifests.current_pointer import point
from tokenmill.manifests.manifest import FILE, Manifest
from tokenmill.manifests.verify import verify

SHOWN = 5  # changed files, or problems, that a message names


@dataclass(frozen=True, slots=True)
class Steps:
    """`run` makes the run of a firing, or goes on with it, and returns its identity. `now` is the clock."""

    job: JobFile
    book: FiringBook
    run: Callable[[Firing], str]
    now: Callable[[], datetime]

    def do(self, due: datetime, *, until: datetime | None = None) -> Firing:
        """The firing of `due`, of files that were changed up to `until`."""
        firing = self.begin(due, until)
        return self.finish(firing) if firing.ended is None else firing

    def begin(self, due: datetime, until: datetime | None) -> Firing:
        """Fix what the firing takes, in its record. With nothing new it is over at once."""
        schedule = self._schedule
        out = self.job.out_at(due.astimezone(zone(schedule.timezone)))
        for other in self.book:
            if other.out == out and other.sources:
                raise RecipeError(
                    f"{self.job.name}: the firings of {other.due.isoformat()} and {due.isoformat()} would both write "
                    f"to {out}; put {{time}} into `out`"
                )
        check_apart([source.argument for source in self.job.sources], out)
        known = known_of(f.sources for f in self.book if f.ended is not None) if schedule.only_new else {}
        new, changed = new_of(found_now(self.job.sources), known, until if schedule.only_new else None)
        links = [Link(run=f.out, identity=str(f.identity)) for f in self.book.runs] if schedule.chain_index else []
        begun = self.now()
        firing = Firing(
            number=self.book.next_number,
            due=due,
            out=out,
            sources=tuple(new),
            changed=tuple(changed),
            against=tuple(links) if new else (),
            begun=begun,
            ended=None if new else begun,
        )
        if new:
            check_out(self.job, firing)
        if changed:
            warn(
                f"{self.job.name}: {len(changed)} files were changed since they were taken, and are new: "
                f"{_some(changed)}"
            )
        self.book.write(firing)
        return firing

    def finish(self, firing: Firing) -> Firing:
        """From the record to the end, whatever of it was done before."""
        self._check_links(firing)
        identity = self._made(firing)
        found = verify(out_at(firing.out))
        if not found.ok:
            named = "; ".join(found.problems[:SHOWN])
            raise DataError(
                f"{firing.out}: {len(found.problems)} problems, so `current` stays where it is: {named}; restore the "
                "files or remove the directory, then fire again"
            )
        if found.identity != identity:
            raise DataError(f"{firing.out}: has the identity {found.identity}, its run gave {identity}; fire again")
        if changed := changed_here(firing.sources):
            warn(
                f"{self.job.name}: {len(changed)} files have changed while their run was made, which may hold part of "
                f"the old and of the new; the next firing takes them whole: {_some(changed)}"
            )
        current = self._schedule.current
        newer = any(other.due > firing.due for other in self.book.runs)
        if current is not None and not newer:
            point(current, firing.out, identity)
        return self.book.end(firing, self.now(), identity)

    def give_up(self, firing: Firing) -> None:
        """Remove what an unfinished firing made, if it is its own, and forget it.

        Raises RecipeError if its run is there, finished; EngineError if a submission is still at work on it.
        """
        if self._schedule.submit_to is not None:
            check_alone(submissions_folder(self.job), firing.out)
        if has_made(self.job, firing):
            raise RecipeError(
                f"{firing.out}: the run of the firing of {firing.due.isoformat()} is finished; without --anew it is "
                "verified and kept; if it is damaged, remove that directory first"
            )
        clear_out(self.job, firing)
        self.book.forget(firing)

    def _made(self, firing: Firing) -> str:
        try:
            check_unchanged(firing.sources, found_now(self.job.sources))
        except DataError:
            if has_made(self.job, firing):  # the run was done with before its inputs went away
                return Manifest.load(out_at(firing.out)).identity
            raise
        return self.run(firing)

    def _check_links(self, firing: Firing) -> None:
        for link in firing.against:
            if not _is_finished(link.run):
                raise DataError(
                    f"{link.run}: is gone, and later firings are deduplicated against its index; restore its "
                    "manifest.json and index/"
                )
            found = Manifest.load(out_at(link.run)).identity
            if found != link.identity:
                raise DataError(
                    f"{link.run}: has the identity {found}, its firing made {link.identity}; restore that run"
                )

    @property
    def _schedule(self) -> Schedule:
        assert self.job.schedule is not None
        return self.job.schedule


def _is_finished(out: str) -> bool:
    return out_at(out).exists(FILE)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
