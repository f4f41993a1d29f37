"""Text to ids with any Hugging Face tokenizer.json, as text and nothing else.

A web page that says "<|endoftext|>" must not end a document, so no text ever becomes a special token. Three doors
are closed: the template that adds tokens (`add_special_tokens`), the search for special tokens in the text
(`encode_special_tokens`), and the model's own vocabulary, where a special token may be an ordinary piece too
(T5's Unigram model). Added tokens that the file itself does not call special (runs of spaces, dolma's
`|||EMAIL_ADDRESS|||`, but also DeepSeek's `<｜User｜>`) are vocabulary by its own word, and are matched.
"""

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, Unigram

from tokenmill.core.errors import RecipeError
from tokenmill.tokenize.end_of_document import open_tokenizer

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

CHUNK_CHARS = 1 << 20  # texts per call: the library holds some 95 bytes a token (0.23.3, measured), here about 25 MB


class LibraryEncoder:
    """`encode` gives ids without EOD. One core; memory: the vocabulary, and about 25 bytes per character of a chunk."""

    def __init__(self, path: Path, eod: str) -> None:
        """Raises RecipeError if `path` is no tokenizer or `eod` is not in its vocabulary."""
        # The library asks at every call; a worker is one core, and threads before a fork would warn.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        tokenizer = open_tokenizer(path)
        found = tokenizer.token_to_id(eod)
        if found is None:
            raise RecipeError(f"{path}: {eod!r} is not in the vocabulary; choose another end of document with --eod")
        self.eod = int(found)
        added = tokenizer.get_added_tokens_decoder()
        if self.eod in added:  # nothing in a text may end the document, even where the file forgot to call it special
            tokenizer.add_special_tokens([AddedToken(eod, special=True, normalized=False)])
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        _without_chance(tokenizer)
        self._tokenizer = tokenizer
        self.vocabulary_size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self._unknown = _unknown(tokenizer, path)
        self.special = {id for id, token in added.items() if token.special} - {self._unknown} | {self.eod}
        self._forbidden = np.zeros(self.vocabulary_size, np.bool_)
        self._forbidden[list(self.special)] = True

    def encode(self, texts: Sequence[str]) -> tuple[Int32, Int64]:
        """The ids of all texts, one behind the other, and the number of ids of each."""
        ids: list[Int32] = [np.zeros(0, np.int32)]
        lengths: list[int] = []
        for chunk in _chunks(texts):
            encodings = self._tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
            for encoding in encodings:
                found = np.array(encoding.ids, np.int32)
                if self._forbidden[found].any():
                    found = self._spelled_out(found)
                ids.append(found)
                lengths.append(len(found))
        return np.concatenate(ids), np.array(lengths, np.int64)

    def normalised(self, text: str) -> str:
        """As the tokenizer's normaliser leaves it."""
        normaliser = self._tokenizer.normalizer
        return text if normaliser is None else str(normaliser.normalize_str(text))

    def _spelled_out(self, ids: Int32) -> Int32:
        """`ids` with every special token replaced by the ids of its characters: the same text, other pieces."""
        parts = ([int(i)] if not self._forbidden[i] else self._characters(int(i)) for i in ids)
        return np.fromiter(itertools.chain.from_iterable(parts), np.int32)

    def _characters(self, id: int) -> list[int]:
        token = self._tokenizer.id_to_token(id) or ""
        ids: list[int] = []
        for character in token:
            found = self._tokenizer.token_to_id(character)
            if found is None or self._forbidden[found]:
                found = self._unknown
            if found is None:
                raise RecipeError(
                    f"this vocabulary makes the special token {token!r} out of plain text and has no other way "
                    f"to write {character!r}; use another tokenizer"
                )
            ids.append(found)
        return ids


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Consecutive texts of about CHUNK_CHARS together. A longer text is a chunk of its own."""
    start = chars = 0
    for i, text in enumerate(texts):
        if chars and chars + len(text) > CHUNK_CHARS:
            yield texts[start:i]
            start, chars = i, 0
        chars += len(text)
    if start < len(texts):
        yield texts[start:]


def _unknown(tokenizer: Tokenizer, path: Path) -> int | None:
    """The id that the model gives for what it does not know. It may be marked special, and means what it says."""
    if isinstance(tokenizer.model, Unigram):  # the one model that does not tell
        found = json.loads(path.read_bytes())["model"].get("unk_id")
    else:
        name = tokenizer.model.unk_token
        found = None if name is None else tokenizer.token_to_id(name)
    return None if found is None else int(found)


def _without_chance(tokenizer: Tokenizer) -> None:
    """Switch random segmentations off: they are for training a tokenizer's robustness, never for making data."""
    if isinstance(tokenizer.model, BPE):
        tokenizer.model.dropout = None
    if isinstance(tokenizer.model, Unigram):
        tokenizer.model.alpha = None
        tokenizer.model.nbest_size = None
