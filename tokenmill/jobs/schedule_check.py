"""What must be right in a job with a schedule before anything is handed over, or fired."""

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.job_file import JobFile
from tokenmill.jobs.schedule import check
from tokenmill.manifests.shown_uri import holds_secret, shown_uri


def check_scheduled(job: JobFile) -> None:
    """Raises RecipeError for a schedule that never fires, for firings that share a directory, for a URL of a secret."""
    if job.schedule is not None:
        check(job.schedule.cron, job.schedule.timezone, job.schedule.start, job.out)
    check_urls(job)


def check_urls(job: JobFile) -> None:
    """Raises RecipeError for a URL with a password or a signature in it: plans, records and events would keep it."""
    places = {
        **{f"sources.{n}.path": source.path for n, source in enumerate(job.sources)},
        **{f"against.{n}": run for n, run in enumerate(job.against)},
        "out": job.out,
        "assets": job.assets,
        "state": job.state,
        "schedule.current": job.schedule.current if job.schedule is not None else None,
        "metrics.prometheus": job.metrics.prometheus,
        "metrics.openlineage": job.metrics.openlineage,
    }
    for key, place in places.items():
        if place is not None and holds_secret(place):
            raise RecipeError(
                f"{key}: {shown_uri(place)}: its URL holds a password or a signature, and a job file holds no secret; "
                "name it without, and give the tasks a secret that opens it (environment.secrets)"
            )
