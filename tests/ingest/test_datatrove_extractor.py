"""datatrove's extractors as a stage: any page alone decides what its text is."""

import os
import subprocess
from pathlib import Path

import pytest
from sample_documents import documents

pytest.importorskip("datatrove", reason="needs the extra datatrove: pip install 'tokenmill[datatrove]'")

from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import C4ParagraphFilter
from datatrove_examples import BetweenTags

from tokenmill.core.errors import RecipeError
from tokenmill.ingest.datatrove_extractor import extract_by

ROOT = Path(__file__).parents[2]
BENCH = ROOT / ".venv-bench" / "bin" / "python"


def test_pages_get_their_text_and_what_has_one_keeps_it() -> None:
    batch = documents()
    after = extract_by(BetweenTags, joined_by="\n").apply(batch)
    rows = {row["url"].rpartition("/")[2]: row for row in after.to_pylist()}
    assert rows["page"]["text"].startswith("The harbour\nHome\nAbout\nThe harbour\nThe harbour was quiet")
    assert "zurückkamen" in rows["page-in-windows-1252"]["text"]
    assert rows["page,-deep"]["error"] == "RecursionError: too deep"
    assert rows["zero-bytes"]["text"] == ""
    assert after["html"].null_count == after.num_rows
    for name, text in zip(batch["url"].to_pylist(), batch["text"].to_pylist(), strict=True):
        if text is not None:
            assert rows[name.rpartition("/")[2]]["text"] == text


def test_a_step_that_remembers_pages_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"Trafilatura: deduplicate=True leaves out .* say deduplicate=False"):
        extract_by(Trafilatura)
    assert extract_by(Trafilatura, deduplicate=False).parameters()["arguments"] == {"deduplicate": False}
    with pytest.raises(RecipeError, match="C4ParagraphFilter is no extractor"):
        extract_by(C4ParagraphFilter)


def test_arguments_are_part_of_the_version() -> None:
    assert extract_by(BetweenTags).version != extract_by(BetweenTags, joined_by="\n").version


FIFTY = """
from datatrove.pipeline.extractors import Trafilatura
from sample_documents import documents
from tokenmill.ingest.datatrove_extractor import extract_by
import pyarrow as pa
page = [n for n, url in enumerate(documents()["url"].to_pylist()) if url.endswith("/page")]
texts = extract_by(Trafilatura, deduplicate=False).apply(documents().take(pa.array(page * 50)))["text"]
assert len(set(texts.to_pylist())) == 1, set(texts.to_pylist())
native = Trafilatura(deduplicate=False)
html = documents()["html"][page[0]].as_py().decode()
assert texts[0].as_py() == native.extract(html) and "The boats have engines now" in texts[0].as_py()
"""


@pytest.mark.slow
def test_fifty_equal_pages_give_fifty_equal_texts_as_trafilatura_reads_them() -> None:
    if not BENCH.exists():
        pytest.skip("no .venv-bench, which has trafilatura: `make bench` makes it")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [str(BENCH), "-c", FIFTY]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
