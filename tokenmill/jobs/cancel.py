"""`tokenmill cancel`: end what still runs or waits of a submitted job. What has a receipt stays."""

from dataclasses import replace
from typing import Annotated

import typer

from tokenmill.jobs.console import show
from tokenmill.jobs.handing_over import target_named
from tokenmill.jobs.submission import find_submission
from tokenmill.jobs.submit_schedule import scheduler_named


def command(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job file, or a submission's folder or name.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Stop a submitted job, or take back a schedule; submitting again goes on from what is done."""
    submission = find_submission(job)
    if submission.scheduled:
        ended = scheduler_named(submission.target).unschedule(submission.folder, submission.parts)
        replace(submission, parts=()).save()  # so that `status` does not call it scheduled
    else:
        ended = target_named(submission.target).cancel(submission.parts, submission.facts)
    lines = [f"{submission.name}: {len(ended)} of {len(submission.parts)} parts ended"]
    lines += [f"  {part.id}  {part.name}" for part in ended]
    lines.append(f"next: tokenmill submit {submission.job_file} --to {submission.target}")
    facts = {"submission": submission.name, "cancelled": [{"name": part.name, "id": part.id} for part in ended]}
    show(facts, as_json, "\n".join(lines))
