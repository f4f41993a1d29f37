"""Which documents are held out from training: by id alone, so that every run and every seed holds out the same ones."""

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import RecipeError
from tokenmill.kernels.hashing import uniform_from_id

# A number of its own: with a seed that a sampling step may use too, a sample of the documents would hold either
# all of the hold-out or none of it.
SEED = 0x686F6C64  # "hold"


def in_holdout(ids: pa.StringArray, share: float) -> pa.BooleanArray:
    """True for about `share` (0..1) of the ids. A larger share holds out the same ones, and more."""
    return pc.less(uniform_from_id(ids, SEED), share)


def check_share(step: str, share: float) -> None:
    """Raises RecipeError unless 0 <= share < 1."""
    if not 0 <= share < 1:
        raise RecipeError(f"{step}: holdout={share}, want a share of the documents from 0 up to, not including, 1")
