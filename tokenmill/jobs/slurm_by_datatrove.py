"""A job on Slurm by datatrove's executors: the same arrays, closing jobs and elements, its chain and its scripts."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.prepared import Part, Prepared

OURS = ("array", "job-name", "nodes", "requeue", "export")  # which datatrove says itself


def submit(
    job: JobFile,
    prepared: Prepared,
    parts: Sequence[Callable[[str], Part]],
    commands: Sequence[Sequence[Sequence[str]]],
    options: Sequence[Mapping[str, str | None]],
    closes: Sequence[bool],
) -> Iterator[Part]:
    """For each part: what it is once Slurm has given it a number, the command of each of its ranks, its options.

    `closes`: of each, whether it closes a station. What waits for one that does not begins however that one has ended.
    """
    from tokenmill.engines.datatrove_slurm import SlurmStation, chain
    from tokenmill.engines.datatrove_slurm import submit as handed_over

    stations = [
        SlurmStation(
            name=told["job-name"] or "",
            commands=ranks,
            at_once=job.resources.at_once or -1,
            sbatch={key: value and shlex.quote(value) for key, value in told.items() if key not in OURS}
            # Its script starts a step of Slurm's; a signal to the batch shell alone would end at the shell.
            | {"signal": (told["signal"] or "").removeprefix("B:")},
        )
        for ranks, told in zip(commands, options, strict=True)
    ]
    exported = [f"export {key}={shlex.quote(value)}" for key, value in job.environment.variables.items()]
    executors = chain(
        stations, Path(prepared.folder), python=prepared.python, setup=[*job.environment.setup, *exported]
    )
    for executor, before in zip(executors[1:], closes, strict=False):
        executor.run_on_dependency_fail = not before
    for part, number in zip(parts, handed_over(executors), strict=True):
        yield part(number)
