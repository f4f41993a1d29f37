"""The command `tokenmill`: one file per command; errors become exit codes here and nowhere else."""

import json
import sys

import typer

from tokenmill.core.errors import DataError, EngineError, RecipeError, TokenmillError
from tokenmill.jobs import (
    blend,
    cancel,
    demo,
    fire,
    inventory,
    logs,
    run,
    status,
    submit,
    takedown,
    task,
    tokenize,
    train,
    verify,
    what_if,
    why,
    work,
)
from tokenmill.jobs.console import warn

EXIT_CODES: dict[type[TokenmillError], int] = {RecipeError: 2, DataError: 3, EngineError: 4}
INTERRUPTED = 130

app = typer.Typer(
    name="tokenmill",
    help="Raw crawls, code and reasoning traces to audited, Megatron-ready token blends.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.command)
app.command("verify")(verify.command)
app.command("why")(why.command)
app.command("what-if")(what_if.command)
app.command("takedown")(takedown.command)
app.command("tokenize")(tokenize.command)
app.command("blend")(blend.command)
app.command("train")(train.command)
app.command("demo")(demo.command)
app.command("inventory")(inventory.command)
app.command("submit")(submit.command)
app.command("status")(status.command)
app.command("logs")(logs.command)
app.command("cancel")(cancel.command)
app.command("fire")(fire.command)
app.command("task")(task.command)
app.command("work")(work.command)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 2 request, 3 data, 4 engine, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        # standalone_mode=False lets our errors through; typer then returns an exit code it was given.
        result = typer.main.get_command(app).main(args=arguments, prog_name="tokenmill", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED:  # typer turns Ctrl-C into this
            warn("interrupted; the same command goes on where this one stopped")
        return code
    except TokenmillError as error:
        code = EXIT_CODES[next(kind for kind in EXIT_CODES if isinstance(error, kind))]
        _complain(error, code, arguments)
        return code
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's own usage errors
            warn(f"tokenmill: {error.format_message()}")
            return int(error.exit_code)
        raise


def _complain(error: TokenmillError, code: int, arguments: list[str]) -> None:
    warn(f"tokenmill: {error}")
    if "--json" in arguments:
        print(json.dumps({**error.facts, "error": type(error).__name__, "message": str(error), "exit_code": code}))
