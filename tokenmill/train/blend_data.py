"""The samples of a blend in their one order, read through megatron-core as Megatron-LM would read them.

Sample i of a run is sample i - (samples of the phases before) of its phase: a global index, so that a position in
the data is one number, whatever the batch. Documents are packed with nothing between them but the end-of-document
token, and neither attention nor loss stops there, as in Megatron-LM's pretraining by default.

Workarounds, for megatron-core 0.16.1:
- With no cache path it writes indices beside the user's shards; with one it asks torch.distributed for a rank. So
  there is a cache path, and a process group of one while the datasets are built.
- The names of cached indices follow from paths and settings, not from content. So the cache's folder does.
- A cache that a killed process left half written is loaded and fails. So it is made aside and renamed when whole.
- Many small shards may be asked for more samples than were built (IndexError). Then the surplus is raised.
"""

import math
import os
import shutil
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from tokenmill.core.errors import DataError
from tokenmill.manifests.megatron_index import read_header
from tokenmill.train.blend import Blend, Phase, Weighted
from tokenmill.train.extra import extra

NO_TOKEN = -1  # the padding that no document holds: any other id would be masked out where it occurs
SURPLUS = 0.005  # Megatron's own default: the share by which more samples are built than asked for


@dataclass(frozen=True, slots=True)
class Batch:
    """Torch tensors of shape [samples, sequence_length]."""

    tokens: Any  # int64
    labels: Any  # int64: `tokens`, one further
    counts: Any  # float32: 1, or 0 where the loss is not taken


@dataclass(frozen=True, slots=True)
class Samples:
    """One or more datasets, end to end. `lengths` says how many samples of each count."""

    datasets: Sequence[Any]
    lengths: Sequence[int]
    vocabulary_size: int

    def __len__(self) -> int:
        return sum(self.lengths)

    def batch(self, first: int, count: int) -> Batch:
        """Samples `first` to `first + count - 1`. Raises DataError for a token id beyond the vocabulary."""
        torch = extra("torch")
        rows = [self._sample(index) for index in range(first, first + count)]
        batch = Batch(*(torch.stack([row[key] for row in rows]) for key in ("tokens", "labels", "loss_mask")))
        largest = int(torch.maximum(batch.tokens.max(), batch.labels.max()))
        if largest >= self.vocabulary_size:
            raise DataError(
                f"samples {first} to {first + count - 1}: token {largest}, the blend's vocabulary ends at "
                f"{self.vocabulary_size - 1}; the shards were made with another tokenizer"
            )
        return batch

    def _sample(self, index: int) -> Any:
        ends = list(accumulate(self.lengths))
        if not 0 <= index < ends[-1]:
            raise IndexError(f"sample {index} of {ends[-1]}")
        phase = bisect_right(ends, index)
        return self.datasets[phase][index - (ends[phase] - self.lengths[phase])]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """As much of a tokenizer as megatron-core's datasets ask for."""

    sha256: str
    vocab_size: int
    eod: int

    @property
    def eos(self) -> int:
        return self.eod

    @property
    def pad(self) -> int:
        return NO_TOKEN

    @property
    def unique_identifiers(self) -> dict[str, str]:
        return {"sha256": self.sha256}


def open_blend(blend: Blend, cache: Path, holdout_at_most: int) -> tuple[Samples, Samples | None]:
    """The training samples of all phases, and at most so many of the last hold-out there is (None: there is none).

    `cache` is a folder that only this content uses; it is made on the first call and then read.
    """
    made_aside = cache.with_name(f".{cache.name}.part")
    shutil.rmtree(made_aside, ignore_errors=True)
    folder = cache if cache.is_dir() else made_aside
    with _megatron():
        train = [_dataset(blend, phase.train, phase.samples, 0, folder) for phase in blend.phases]
        last = next((phase for phase in reversed(blend.phases) if phase.valid), None)
        holdout = None if last is None else _holdout(blend, last, holdout_at_most, folder)
    if folder is made_aside:
        os.replace(made_aside, cache)
    return Samples(train, [phase.samples for phase in blend.phases], blend.vocabulary_size), holdout


def _holdout(blend: Blend, phase: Phase, at_most: int, folder: Path) -> Samples:
    tokens = sum(read_header(entry.prefix).tokens for entry in phase.valid)
    count = max(1, min(at_most, tokens // blend.sequence_length))
    return Samples([_dataset(blend, phase.valid, count, 1, folder)], [count], blend.vocabulary_size)


def _dataset(blend: Blend, entries: tuple[Weighted, ...], samples: int, split: int, folder: Path) -> Any:
    """megatron-core's dataset of at least `samples` samples; `split` 0 is train, 1 valid."""
    try:
        return _built(blend, entries, samples, split, folder, SURPLUS)
    except IndexError:
        # It asks each shard for ceil(samples x share), sums these up, and then draws shares of the larger sum.
        total = sum(entry.weight for entry in entries)
        asked = [math.ceil(samples * entry.weight / total) for entry in entries]
        drawn = [sum(asked) * entry.weight / total + 2 for entry in entries]
        return _built(blend, entries, samples, split, folder, max(d / a for d, a in zip(drawn, asked, strict=True)) - 1)


def _built(blend: Blend, entries: tuple[Weighted, ...], samples: int, split: int, folder: Path, surplus: float) -> Any:
    gpt = extra("megatron.core.datasets.gpt_dataset")
    builder = extra("megatron.core.datasets.blended_megatron_dataset_builder").BlendedMegatronDatasetBuilder
    splits: list[tuple[list[str], list[float]] | None] = [None, None, None]
    splits[split] = ([str(entry.prefix) for entry in entries], [entry.weight for entry in entries])
    sizes = [0, 0, 0]
    sizes[split] = samples
    settings = gpt.GPTDatasetConfig(
        random_seed=blend.seed,
        sequence_length=blend.sequence_length,
        blend_per_split=splits,
        path_to_cache=str(folder),
        tokenizer=Tokenizer(blend.tokenizer, blend.vocabulary_size, blend.eod),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
        mid_level_dataset_surplus=surplus,
    )
    try:
        return builder(gpt.GPTDataset, sizes, lambda: True, settings).build()[split]
    except Exception as error:
        if isinstance(error.__cause__, OSError):  # it hides a full or read-only disk behind a bare Exception
            raise error.__cause__ from error
        raise


@contextmanager
def _megatron() -> Iterator[None]:
    """megatron-core without its remarks on missing CUDA packages, in a process group (of one, unless there is one)."""
    distributed = extra("torch.distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extra("megatron.core.datasets.gpt_dataset")  # warns when it is imported
        alone = not distributed.is_initialized()
        if alone:
            distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        try:
            yield
        finally:
            if alone:
                distributed.destroy_process_group()
