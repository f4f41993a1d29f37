"""What makes other tools hang or lose data: one bucket for all, all identical, all unique, chains of the unrelated."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenmill.core.barrier import ADDRESS
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.jobs.cli import main
from tokenmill.manifests.verify import verify

STEP = FuzzyDedup()
BANDS, SIGNATURES, _ = STEP.rounds


def rows_of(signatures: np.ndarray, schema: pa.Schema, keys: int = 7) -> pa.Table:
    """Emitted rows of the second round, one component: all equally long, so that the order is that of ids."""
    n = len(signatures)
    ids = np.zeros((n, 4), ">u4")
    ids[:, 3] = np.arange(n)
    columns = {
        "key": pa.array(np.full(n, keys, np.uint64)),
        "prefer": pa.array([bytes(16)] * n, pa.binary(16)),
        "id": pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(ids)]),
        "content": pa.array([bytes(16)] * n, pa.binary(16)),
        "signature": pa.Array.from_buffers(pa.binary(448), n, [None, pa.py_buffer(signatures)]),
        "shard": pa.array(np.zeros(n, np.int32)),
        "row": pa.array(np.arange(n)),
    }
    schema = pa.schema([*schema, *ADDRESS])
    return pa.table([columns[name] for name in schema.names], schema=schema)


def test_two_hundred_thousand_unlike_documents_in_one_bucket_stay_and_what_was_not_looked_at_is_counted():
    n = 200_000
    signatures = np.random.default_rng(1).integers(0, 1 << 32, (n, 112), np.uint32)
    signatures[:, :8] = 1
    cap = 50
    _, second, _ = FuzzyDedup(comparisons_at_most=cap).rounds
    found = second.reduce(rows_of(signatures, second.emits))
    assert found.verdicts is not None and found.verdicts.num_rows == 0
    assert found.counts["compared"] == cap * (n - cap) + cap * (cap - 1) // 2
    assert found.counts["unverified"] == (n - cap) * (n - cap - 1) // 2


def test_two_hundred_thousand_equal_signatures_need_one_comparison_each():
    n = 200_000
    signatures = np.broadcast_to(np.arange(112, dtype=np.uint32), (n, 112)).copy()
    found = SIGNATURES.reduce(rows_of(signatures, SIGNATURES.emits))
    assert found.verdicts is not None and set(found.verdicts["keeper_row"].to_pylist()) == {0}
    assert found.verdicts.num_rows == found.counts["compared"] == n - 1
    assert found.answers is not None and found.answers.num_rows == 0
    assert found.counts["unverified"] == 0


def test_one_bucket_is_one_star_of_links_however_large():
    n = 300_000
    rows = pa.table(
        [np.full(n, 5, np.uint64), np.zeros(n, np.int32), np.arange(n)[::-1]],
        schema=pa.schema([*BANDS.emits, *ADDRESS]),
    )
    links = BANDS.reduce(rows).links
    assert links is not None and links.num_rows == n - 1
    assert set(links["other_row"].to_pylist()) == {0}


def run(folder: Path, texts: list[str], out: str, *settings: str) -> dict[str, object]:
    with (folder / "in.jsonl").open("w") as file:
        for text in texts:
            file.write(json.dumps({"text": text}) + "\n")
    command = [
        "run",
        "fuzzy_dedup",
        "--source",
        f"pages={folder}/in.jsonl",
        "--out",
        f"{folder}/{out}",
        "--workers",
        "2",
    ]
    assert main([*command, *(word for setting in settings for word in ("--set", setting))]) == 0
    assert verify(folder / out).problems == []
    provenance: dict[str, object] = json.loads((folder / out / "provenance.json").read_text())
    return provenance


def ledger(out: Path) -> list[dict[str, object]]:
    return [r for p in sorted((out / "ledger").iterdir()) for r in pq.read_table(p).to_pylist()]


@pytest.mark.slow
def test_all_identical_all_unique_and_short_documents_in_bounded_memory(tmp_path):
    """200,000 pages each: one stays, all stay; 50,000 of fewer words than a shingle: each distinct one stays."""
    page = " ".join(f"word{i}" for i in range(60))
    told = run(tmp_path, [page] * 200_000, "same", "fuzzy_dedup.lost_share_at_most=none")
    rows = ledger(tmp_path / "same")
    assert [r["fate"] for r in rows].count("kept") == 1
    assert {r["similarity"] for r in rows if r["fate"] == "duplicate"} == {1.0}
    assert int(str(told["peak_bytes_per_worker"])) < 1_200_000_000

    told = run(tmp_path, [f"{i} {i}{page.replace('w', f'{i}w')}" for i in range(100_000)], "unique")
    assert {r["fate"] for r in ledger(tmp_path / "unique")} == {"kept"}
    assert int(str(told["peak_bytes_per_worker"])) < 1_200_000_000

    short = [f"{'abcdefg'[i % 7]} {'hijkl'[i % 5]} {i % 1000}" for i in range(50_000)]
    run(tmp_path, short, "short", "fuzzy_dedup.lost_share_at_most=none")
    assert [r["fate"] for r in ledger(tmp_path / "short")].count("kept") == len(set(short))


def test_a_chain_of_near_pages_falls_into_stars_on_the_engine_too(tmp_path):
    """A~B~C~...: page i shares .82 with page i + 1, .67 with i + 2; 200 pages, the ends of which share nothing."""
    words = [f"w{i:05}" for i in range(11_000)]
    pages = [" ".join(words[i * 50 : i * 50 + 500]) for i in range(200)]
    run(tmp_path, pages, "chain")
    rows = ledger(tmp_path / "chain")
    removed = {r["row"]: r for r in rows if r["fate"] == "duplicate"}
    assert len(removed) > 60
    for row, verdict in removed.items():
        assert abs(int(str(row)) - int(str(verdict["keeper_row"]))) == 1
        assert verdict["keeper_row"] not in removed
        assert verdict["similarity"] >= 0.75
