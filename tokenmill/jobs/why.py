"""`tokenmill why`: the fate of one document, with the numbers that decided it."""

from typing import Annotated, Any

import typer

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.jobs.console import show
from tokenmill.jobs.places import run_at
from tokenmill.manifests import checked_json, ledger
from tokenmill.manifests.fate import Fate, chain_of, fates_of
from tokenmill.manifests.verify import PROVENANCE


def command(
    directory: Annotated[str, typer.Argument(help="A finished run: its directory or URL.")],
    document: Annotated[str, typer.Argument(metavar="ID", help="A document's id, or the beginning of one.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Say what became of a document, by which rule, at which value."""
    run = run_at(directory)
    found = fates_of(run, document.lower())
    if not found:
        raise RecipeError(f"{document}: no document of this run has an id that begins so")
    inputs = checked_json.load_from(run, PROVENANCE)["inputs"]
    chains = [chain_of(run, f.row) for f in found]
    facts = [
        f.row | {"measures": f.measures, "spans": f.spans, "keepers": chain, "read_from": inputs.get(f.row["shard"])}
        for f, chain in zip(found, chains, strict=True)
    ]
    text = "\n".join(_text(f, inputs, chain) for f, chain in zip(found, chains, strict=True))
    show({"documents": facts}, as_json, text)


def _text(fate: Fate, inputs: dict[str, Any], keepers: list[dict[str, Any]]) -> str:
    row = fate.row
    place = inputs.get(row["shard"], {}).get("uri", "an unknown file")
    lines = [f"{row['id']}  (row {row['row']} of {row['shard']}, read from {place})", f"  {_verdict(row)}"]
    if len(keepers) > 1 or any(keeper["fate"] != ledger.KEPT for keeper in keepers):
        lines += [f"    {keeper['id']}: {_verdict(keeper)}" for keeper in keepers]
    lines += [_span(span, row["stage"]) for span in fate.spans]
    if fate.measures:
        width = max(len(name) for name in fate.measures)
        lines += [f"    {name:<{width}}  {_number(value)}" for name, value in fate.measures.items()]
    return "\n".join(lines)


def _span(span: dict[str, Any], left_at: str | None) -> str:
    stage, keeper = span["stage"], f"{span['keeper']} (row {span['keeper_row']} of {span['keeper_shard']})"
    cut = "would have cut" if stage == left_at else "cut"  # too little would have been left
    if not span["keeper"]:
        keeper = "a document that was taken down since"
    places = f"of {span['occurrences']:,} places that have them"
    return f"    {stage} {cut} bytes {span['start']:,}..{span['stop']:,}: as in {keeper}, which comes first {places}"


def _verdict(row: dict[str, Any]) -> str:
    match row["fate"]:
        case ledger.KEPT:
            tokens = f", {row['tokens']:,} tokens" if row["tokens"] is not None else ""
            return f"kept: {row['chars_out']:,} of {row['chars_in']:,} characters{tokens}"
        case ledger.DROPPED:
            value = "" if row["value"] is None else f": {_number(row['value'])}, the bound is {_number(row['bound'])}"
            return f"dropped by {row['stage']}.{row['rule']}{value}"
        case ledger.DUPLICATE:
            return (
                f"duplicate ({row['stage']}) of {row['keeper']} (row {row['keeper_row']} of {row['keeper_shard']}), "
                f"similarity {row['similarity']:.3f}"
                + (f", proposed by band {row['band']}" if row["band"] is not None else "")
            )
        case ledger.ERROR:
            return f"error in {row['stage']}: {row['rule']}"
        case other:
            raise DataError(f"ledger: unknown fate {other}")


def _number(value: Any) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float) and value != int(value)
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )
