"""`tokenmill blend`: weights of sources to the lists of shards that Megatron reads."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.console import show
from tokenmill.manifests.blend import compile_blend


def command(
    blend: Annotated[Path, typer.Argument(help="The blend's YAML file.")],
    out: Annotated[Path | None, typer.Option(help="Where blend.json and one file per phase go.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be written, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Compile a blend, or say why it cannot be: sources, weights, epochs, phases."""
    if out is None and not plan:
        raise RecipeError("no --out given; name a directory, or use --plan to write nothing")
    compiled = compile_blend(blend)
    if out is not None and not plan:
        compiled.write(out)
    show(compiled.body, as_json, _text(compiled.body, None if plan else out))


def _text(body: dict[str, Any], out: Path | None) -> str:
    """A line per phase and per source in it."""
    rows = [f"{body['name']}: {body['samples']:,} sequences of {body['sequence_length']:,} tokens"]
    for phase in body["phases"]:
        rows.append(f"phase {phase['name']}: {phase['samples']:,} sequences, {phase['tokens']:,} tokens")
        for name, part in phase["sources"].items():
            requested, achieved, epochs = (body[k][name][phase["name"]] for k in ("requested", "achieved", "epochs"))
            rows.append(
                f"  {name}: {requested:.4%} requested, {achieved:.4%} achieved, {epochs:.3g} epochs of "
                f"{part['unique_tokens']:,} tokens in {len(part['shards']):,} shards"
            )
    for name, source in body["sources"].items():
        rows.append(f"{name}: {source['epochs']:.3g} epochs in all, {source['max_epochs']:g} allowed")
    held = body["holdout_tokens"]
    rows.append(f"validation: {held:,} tokens held out" if held else "validation: none, no hold-out is used")
    rows.append(f"identity {body['identity']}")
    if out is not None:
        rows.append(f"next: tokenmill train --model tiny --blend {out} --out DIR")
    return "\n".join(rows)
