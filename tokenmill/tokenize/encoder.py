"""Text to ids: by the kernel where it is proven to give the library's ids, by the library where it is not.

The choice is made for each tokenizer as it is read, and for each text: one that holds an added token of the file's own
goes by the library. It never changes an id, only the time that it takes: the library is some ten times slower.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tokenmill.tokenize.byte_bpe import ByteBpe
from tokenmill.tokenize.library_encoder import LibraryEncoder
from tokenmill.tokenize.split_pattern import Unsupported
from tokenmill.tokenize.tokenizer_json import Described, any_of, read

MAY_CHANGE = "[^\\x00-\\x{2FF}]"  # below U+0300 nothing composes, and all is composed


_NOTHING, _SPACE = pa.scalar("", pa.large_string()), pa.scalar(" ", pa.large_string())


class Encoder:
    """`encode` gives ids without EOD. One core; memory: see ByteBpe and LibraryEncoder, which each process has once.

    `why_library`: what the kernel does not do of this tokenizer; None where it does.
    """

    def __init__(self, path: Path, eod: str) -> None:
        """Raises RecipeError if `path` is no tokenizer or `eod` is not in its vocabulary."""
        self._library = LibraryEncoder(path, eod)
        self.eod, self.vocabulary_size = self._library.eod, self._library.vocabulary_size
        self.why_library: str | None = None
        self._kernel: tuple[Described, ByteBpe] | None = None
        try:
            described = read(path, self._library.special)
            self._kernel = described, ByteBpe(described.rules)
        except Unsupported as reason:
            self.why_library = str(reason)

    def encode(self, texts: pa.LargeStringArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The ids of all texts, one behind the other, and the number of ids of each. A null is an empty text."""
        texts = pc.fill_null(texts, "")
        if self._kernel is None:
            return self._library.encode(texts.to_pylist())
        described, kernel = self._kernel
        ready = self._ready(texts, described)
        if not described.added:
            return kernel.encode(ready)
        added = any_of(described.added)
        left_out = pc.or_(pc.match_substring_regex(texts, added), pc.match_substring_regex(ready, added))
        if not pc.any(left_out).as_py():
            return kernel.encode(ready)
        rows = np.flatnonzero(left_out.to_numpy(zero_copy_only=False))
        ids, lengths = kernel.encode(pc.if_else(left_out, "", ready))
        others, of_others = self._library.encode(texts.take(pa.array(rows)).to_pylist())
        # The kernel has given those none: theirs go where they would stand.
        ids = np.insert(ids, np.repeat(np.cumsum(lengths)[rows], of_others), others)
        lengths[rows] = of_others
        return ids, lengths

    def _ready(self, texts: pa.LargeStringArray, described: Described) -> pa.LargeStringArray:
        """As the tokenizer's normaliser, and its space before a text, leave them."""
        if described.nfc:
            changed = pc.match_substring_regex(texts, MAY_CHANGE)
            if pc.any(changed).as_py():
                composed = [self._library.normalised(text) for text in texts.filter(changed).to_pylist()]
                texts = pc.replace_with_mask(texts, changed, pa.array(composed, pa.large_string()))
        if described.prefix_space:
            bare = pc.and_not(pc.not_equal(texts, ""), pc.starts_with(texts, " "))
            texts = pc.if_else(bare, pc.binary_join_element_wise(_NOTHING, texts, _SPACE), texts)
        return texts
