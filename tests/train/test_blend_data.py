"""megatron-core gives each token of the shards once an epoch, phase by phase, and leaves no trace beside them."""

import os
from collections import Counter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("megatron.core")

from train.hand_made_blend import EOD, PhaseOf, counting_blend, write_blend, write_shard  # noqa: E402

from tokenmill.core.errors import DataError  # noqa: E402
from tokenmill.train.blend import read_blend  # noqa: E402
from tokenmill.train.blend_data import open_blend  # noqa: E402


def listing(directory: Path) -> dict[str, tuple[int, int]]:
    """Every path below, with its size and time of change."""
    paths = sorted(directory.rglob("*"))
    return {str(p.relative_to(directory)): (p.stat().st_size, p.stat().st_mtime_ns) for p in paths}


def test_an_epoch_reads_every_token_once_and_labels_are_one_further(tmp_path: Path) -> None:
    documents = [[11, 12, 13, EOD], [14, 15, EOD], [16, 17, 18, 19, 20, 21, 22, 23, EOD], [24]]  # 17 = 2 x 8 + 1
    shard = write_shard(tmp_path / "a", documents)
    blend = read_blend(write_blend(tmp_path / "blend", PhaseOf(2, {shard: 1.0})))
    samples, holdout = open_blend(blend, tmp_path / "cache", 4)
    assert (len(samples), holdout) == (2, None)
    batch = samples.batch(0, 2)
    assert batch.tokens.shape == (2, 8) and bool((batch.tokens[:, 1:] == batch.labels[:, :-1]).all())
    assert batch.counts.tolist() == [[1.0] * 8] * 2
    (begin,) = [row for row in range(2) if batch.tokens[row, 0] not in batch.labels[1 - row]] or [0]
    read = [int(batch.tokens[begin, 0]), *batch.labels.flatten().tolist()]
    assert Counter(read) == Counter(token for document in documents for token in document)


def test_samples_are_numbered_across_phases(tmp_path: Path) -> None:
    ones = write_shard(tmp_path / "ones", [[1] * 100])
    twos = write_shard(tmp_path / "twos", [[2] * 100])
    threes = write_shard(tmp_path / "threes", [[3] * 100])
    directory = write_blend(
        tmp_path / "blend", PhaseOf(3, {ones: 1.0}), PhaseOf(2, {twos: 1.0}), PhaseOf(2, {threes: 1})
    )
    samples, _ = open_blend(read_blend(directory), tmp_path / "cache", 4)
    assert samples.batch(0, 7).tokens[:, 0].tolist() == [1, 1, 1, 2, 2, 3, 3]
    assert samples.batch(2, 3).tokens[:, 0].tolist() == [1, 2, 2]
    with pytest.raises(IndexError, match="sample 7 of 7"):
        samples.batch(6, 2)


def test_weights_decide_how_many_samples_a_shard_gives(tmp_path: Path) -> None:
    ones = write_shard(tmp_path / "ones", [[1] * 400])
    twos = write_shard(tmp_path / "twos", [[2] * 400])
    directory = write_blend(tmp_path / "blend", PhaseOf(20, {ones: 3.0, twos: 1.0}))
    samples, _ = open_blend(read_blend(directory), tmp_path / "cache", 4)
    assert Counter(samples.batch(0, 20).tokens[:, 0].tolist()) == {1: 15, 2: 5}


def test_nothing_is_written_beside_the_shards_and_no_process_group_stays(tmp_path: Path) -> None:
    directory = counting_blend(tmp_path / "outputs")
    before = listing(tmp_path / "outputs")
    open_blend(read_blend(directory), tmp_path / "cache", 4)
    assert listing(tmp_path / "outputs") == before
    assert not torch.distributed.is_initialized()


def test_the_second_opening_reads_the_cache_and_gives_the_same(tmp_path: Path) -> None:
    blend = read_blend(counting_blend(tmp_path / "outputs"))
    first, held = open_blend(blend, tmp_path / "cache", 4)
    before = listing(tmp_path / "cache")
    again, held_again = open_blend(blend, tmp_path / "cache", 4)
    assert listing(tmp_path / "cache") == before and before
    assert torch.equal(first.batch(0, 48).tokens, again.batch(0, 48).tokens)
    assert held is not None and held_again is not None
    assert torch.equal(held.batch(0, 4).labels, held_again.batch(0, 4).labels)


def test_a_cache_that_was_never_finished_is_made_again(tmp_path: Path) -> None:
    blend = read_blend(counting_blend(tmp_path / "outputs"))
    whole, _ = open_blend(blend, tmp_path / "cache", 4)
    os.rename(tmp_path / "cache", tmp_path / ".cache.part")
    for path in (tmp_path / ".cache.part").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    again, _ = open_blend(blend, tmp_path / "cache", 4)
    assert torch.equal(whole.batch(0, 48).tokens, again.batch(0, 48).tokens)
    assert not (tmp_path / ".cache.part").exists()


def test_many_shards_of_small_weight_do_not_exhaust_a_large_one(tmp_path: Path) -> None:
    """megatron-core asks for 90 + 100 x 1 samples, then draws 90% of 190 from a shard that it built 91 for."""
    large = write_shard(tmp_path / "large", [[1] * 30 for _ in range(25)])  # 93 samples an epoch
    small = {write_shard(tmp_path / f"small{i}", [[2] * 20]): 0.001 for i in range(100)}
    blend = read_blend(write_blend(tmp_path / "blend", PhaseOf(100, {large: 0.9, **small})))
    samples, _ = open_blend(blend, tmp_path / "cache", 4)
    first = samples.batch(0, 100).tokens[:, 0].tolist()
    assert 88 <= first.count(1) <= 92


def test_the_holdout_is_the_last_phases_and_no_larger_than_it_is(tmp_path: Path) -> None:
    ones = write_shard(tmp_path / "ones", [[1] * 50])
    held = write_shard(tmp_path / "held", [[9] * 33])
    phases = (PhaseOf(2, {ones: 1.0}, {ones: 1.0}), PhaseOf(2, {ones: 1.0}, {held: 1.0}))
    blend = read_blend(write_blend(tmp_path / "blend", *phases))
    _, few = open_blend(blend, tmp_path / "few", 2)
    _, all_of_it = open_blend(blend, tmp_path / "all", 64)
    assert few is not None and all_of_it is not None
    assert (len(few), len(all_of_it)) == (2, 4)
    assert set(all_of_it.batch(0, 4).tokens.flatten().tolist()) == {9}


def test_a_token_beyond_the_vocabulary_is_another_tokenizers(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a", [[64] * 30])
    samples, _ = open_blend(read_blend(write_blend(tmp_path / "b", PhaseOf(3, {shard: 1.0}))), tmp_path / "cache", 4)
    with pytest.raises(DataError, match="token 64, the blend's vocabulary ends at 63"):
        samples.batch(0, 3)


def test_padding_masks_no_real_token(tmp_path: Path) -> None:
    """Whatever id a document holds counts: end of document and id 0 included."""
    shard = write_shard(tmp_path / "a", [[EOD] * 40])
    samples, _ = open_blend(read_blend(write_blend(tmp_path / "b", PhaseOf(3, {shard: 1.0}))), tmp_path / "cache", 4)
    assert bool(samples.batch(0, 3).counts.all())
