"""Carry out what a verdict about stretches of text decided: cut them out, and say which documents are too short now.

A document of which something was cut is dropped where too little is left; others never are. The bounds of all such
verdicts have the names that the ledger shows:

`chars_left_at_least`: RefinedWeb (arXiv:2306.01116) takes 20, for the same cut. A remainder this short holds no whole
window of 50 tokens, so what others lost to it is lost with it only in pieces.

`share_left_at_least`: of the characters. 0, off, is right unless there is a reason: a small share of a long document
may be all that is left of what many others had.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Decision
from tokenmill.kernels.substring_cut import readable_rest


def measures_of_cut(step: str) -> pa.Schema:
    """What a verdict about stretches adds. The white space that goes with a span is part of what is removed."""
    counts = [(f"{step}_chars_removed", pa.int64()), (f"{step}_chars_left", pa.int64())]
    return pa.schema([("text", pa.large_string()), *counts])


def check_bounds(step: str, chars_left_at_least: int, share_left_at_least: float) -> None:
    """Raises RecipeError for a bound out of range."""
    if chars_left_at_least < 0:
        raise RecipeError(f"{step}: chars_left_at_least={chars_left_at_least}, want at least 0")
    if not 0 <= share_left_at_least <= 1:
        raise RecipeError(f"{step}: share_left_at_least={share_left_at_least}, want 0..1")


def cut_out(
    batch: pa.RecordBatch, spans: pa.RecordBatch, adds: pa.Schema, chars_left_at_least: int, share_left_at_least: float
) -> tuple[pa.RecordBatch, Decision]:
    """`batch` with the columns `adds` (`measures_of_cut`), null where the text is, and which rows leave.

    `spans` may overlap. A document that leaves keeps its text; its measures say what would have been cut.
    """
    rows = batch["row"].to_numpy()
    spans_of = np.append(np.searchsorted(spans["row"].to_numpy(), rows), spans.num_rows)
    rest = readable_rest(batch["text"], spans_of, spans["start"].to_numpy(), spans["stop"].to_numpy())
    share = rest.chars_left / np.maximum(rest.chars_before, 1)
    short = rest.is_cut & (rest.chars_left < chars_left_at_least)
    leaves = short | (rest.is_cut & (share < share_left_at_least))
    rule = np.where(short, "chars_left_at_least", "share_left_at_least").astype(object)
    value = np.where(short, rest.chars_left, share)
    bound = np.where(short, chars_left_at_least, share_left_at_least).astype(np.float64)
    decision = Decision(
        pa.array(rule, pa.string(), mask=~leaves),
        pa.array(value, pa.float64(), mask=~leaves),
        pa.array(bound, pa.float64(), mask=~leaves),
    )
    null = batch["text"].is_null().to_numpy(zero_copy_only=False)
    columns = [
        pc.if_else(pa.array(leaves), batch["text"], rest.texts),
        pa.array(rest.chars_before - rest.chars_left, mask=null),
        pa.array(rest.chars_left, mask=null),
    ]
    for field, values in zip(adds, columns, strict=True):
        place = batch.schema.get_field_index(field.name)
        batch = batch.append_column(field, values) if place < 0 else batch.set_column(place, field, values)
    return batch, decision
