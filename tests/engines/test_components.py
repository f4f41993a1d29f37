"""Components found by stars over ranges of nodes are those that one task finds in memory."""

import json
from pathlib import Path

import numpy as np
import pytest

from tokenmill.engines import driver, reduce
from tokenmill.engines.components import spread
from tokenmill.jobs.cli import main
from tokenmill.manifests.manifest import Manifest


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Chains of pages that drift, of 1 to 12 pages each."""
    with (tmp_path / "pages.jsonl").open("w") as file:
        for chain in range(12):
            words = [f"c{chain}w{i:04}" for i in range(1200)]
            for i in range(chain + 1):
                file.write(json.dumps({"text": " ".join(words[i * 50 : i * 50 + 500])}) + "\n")
    return tmp_path


def test_many_tasks_find_the_same_as_one(pages, monkeypatch):
    command = ["run", "fuzzy_dedup", "--source", f"{pages}/pages.jsonl", "--workers", "1", "--out"]
    monkeypatch.setattr(reduce, "PARTITION_BYTES", 8000)  # links of one component come from several tasks
    assert main([*command, f"{pages}/one"]) == 0
    monkeypatch.setattr(driver, "LINKS_IN_MEMORY", 20)
    assert main([*command, f"{pages}/many"]) == 0
    one, many = Manifest.load(pages / "one"), Manifest.load(pages / "many")
    assert one.identity == many.identity
    assert one.facts == many.facts
    assert one.facts["fuzzy_dedup.bands, components"]["documents"] == 77
    assert one.facts["fuzzy_dedup.bands, components"]["components"] >= 11
    phases = json.loads((pages / "many" / "provenance.json").read_text())["phases_s"]
    assert "fuzzy_dedup.bands, star step 4" in phases


def test_no_two_nodes_meet_in_a_key():
    nodes = np.concatenate([np.arange(-1000, 1000), np.arange(1000) << 40, [np.iinfo(np.int64).max]])
    assert len(np.unique(spread(nodes))) == len(np.unique(nodes))
