"""A blend is read as promised, known by its content, and refused before Megatron would stumble."""

import shutil
from pathlib import Path

import pytest
from train.hand_made_blend import EOD, PhaseOf, counting_blend, write_blend, write_shard

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.train.blend import Weighted, content_of, read_blend


def test_reads_phases_weights_and_holdout(tmp_path: Path) -> None:
    a, b, held = (write_shard(tmp_path / name, [[1, EOD]]) for name in "abh")
    directory = write_blend(tmp_path / "blend", PhaseOf(3, {a: 0.25, b: 0.75}, {held: 2.0}), PhaseOf(2, {b: 1.0}))
    blend = read_blend(directory)
    assert (blend.vocabulary_size, blend.eod, blend.sequence_length, blend.seed) == (64, EOD, 8, 7)
    assert (blend.samples, blend.total_tokens) == (5, 40)
    first, second = blend.phases
    assert first.train == (Weighted(prefix=a, weight=0.25), Weighted(prefix=b, weight=0.75))
    assert first.valid == (Weighted(prefix=held, weight=2.0),)
    assert (second.samples, second.valid) == (2, ())
    assert list(blend.shards()) == [a, b, held]


def test_content_does_not_depend_on_the_place(tmp_path: Path) -> None:
    here, there = counting_blend(tmp_path / "here"), counting_blend(tmp_path / "there")
    assert content_of(read_blend(here)) == content_of(read_blend(there))


def test_content_changes_with_any_byte_of_a_shard_and_any_weight(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a", [[1, 2, EOD], [3, EOD]])
    other = write_shard(tmp_path / "b", [[5, EOD]])

    def content(weight: float) -> str:
        shutil.rmtree(tmp_path / "blend", ignore_errors=True)
        return content_of(read_blend(write_blend(tmp_path / "blend", PhaseOf(2, {shard: weight, other: 1.0}))))

    seen = [content(0.5), content(0.25)]
    write_shard(shard, [[1, 2, EOD], [4, EOD]])  # one token
    seen.append(content(0.5))
    write_shard(shard, [[1, EOD], [2, 4, EOD]])  # the same tokens but one place: another boundary
    seen.append(content(0.5))
    assert len(set(seen)) == 4


def test_no_blend_there_is_the_requests_fault(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no blend\.json there"):
        read_blend(tmp_path)


def test_an_edited_phase_is_refused(tmp_path: Path) -> None:
    directory = counting_blend(tmp_path)
    path = directory / "phase-1.json"
    path.write_text(path.read_text().replace("0.7", "0.9"))
    with pytest.raises(DataError, match=r"phase-1\.json"):
        read_blend(directory)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_must_be_positive(tmp_path: Path, weight: float) -> None:
    directory = write_blend(tmp_path / "blend", PhaseOf(1, {tmp_path / "a": weight}))
    with pytest.raises(DataError, match="want a positive number"):
        read_blend(directory)


def test_a_phase_needs_shards_and_samples(tmp_path: Path) -> None:
    for number, phase in enumerate([PhaseOf(1, {}), PhaseOf(0, {tmp_path / "a": 1.0})]):
        with pytest.raises(DataError, match="want at least one of each"):
            read_blend(write_blend(tmp_path / str(number), phase))


def test_an_end_of_document_beyond_the_vocabulary_is_refused(tmp_path: Path) -> None:
    directory = write_blend(tmp_path / "blend", PhaseOf(1, {tmp_path / "a": 1.0}), vocabulary_size=0)
    with pytest.raises(DataError, match="eod 0, vocabulary_size 0"):
        read_blend(directory)


def test_a_shard_without_tokens_is_refused_by_name(tmp_path: Path) -> None:
    empty = write_shard(tmp_path / "empty", [[], []])
    blend = read_blend(write_blend(tmp_path / "blend", PhaseOf(1, {empty: 1.0})))
    with pytest.raises(DataError, match=f"{empty}: no tokens"):
        content_of(blend)


def test_a_truncated_or_missing_shard_is_refused_by_name(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "cut", [[1, 2, 3, EOD]])
    blend = read_blend(write_blend(tmp_path / "blend", PhaseOf(1, {shard: 1.0})))
    tokens = Path(f"{shard}.bin")
    tokens.write_bytes(tokens.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"cut\.bin"):
        content_of(blend)
    tokens.unlink()
    with pytest.raises(DataError, match=r"cut\.bin"):
        content_of(blend)
