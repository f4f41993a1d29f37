"""`tokenmill verify`: is a run still what its manifest says?"""

from typing import Annotated

import typer

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.jobs.console import show
from tokenmill.jobs.places import run_at
from tokenmill.manifests.verify import Verification, verify

SHOWN = 20  # problems printed; --json has them all


def command(
    directory: Annotated[str, typer.Argument(help="A finished run: its directory or URL.")],
    sample: Annotated[
        str, typer.Option(help="Share of the files to re-read, such as 1% or 0.01; the others by size alone.")
    ] = "100%",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Re-read a run: hashes, rows, fates, sums, tokens. Prints its identity; exit 3 if anything differs."""
    run = run_at(directory)
    found = verify(run, _share(sample))
    facts = {
        "identity": found.identity,
        "ok": found.ok,
        "problems": found.problems,
        "files": found.files,
        "bytes": found.bytes,
    }
    show(facts, as_json, _text(directory, found))
    if not found.ok:
        if as_json:
            raise typer.Exit(3)
        raise DataError(
            f"{directory}: {len(found.problems)} problems; "
            "restore the files from a copy, or remove the directory and run again"
        )


def _share(sample: str) -> float:
    try:
        share = float(sample.removesuffix("%")) / (100 if sample.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise RecipeError(f"--sample {sample}: want a share such as 1% or 0.01")
    return share


def _text(directory: str, found: Verification) -> str:
    if found.ok:
        return (
            f"{directory}: {found.files} files, {found.bytes:,} bytes, as the manifest says\nidentity {found.identity}"
        )
    more = [f"... and {len(found.problems) - SHOWN} more"] if len(found.problems) > SHOWN else []
    return "\n".join([*found.problems[:SHOWN], *more])
