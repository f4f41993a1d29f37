"""`verify` fails, naming the file, for any change to any output of a run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toys import Count, Length, SameFirstWord, Silence, lines_source, run_here

from tokenmill.core.recipe import Recipe
from tokenmill.engines.plan import make_plan
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Manifest
from tokenmill.manifests.remote_stream import open_uri
from tokenmill.manifests.verify import verify


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("apple pie\napple\n!bad\npear tart\n")
    plan = make_plan(Recipe("toy", (Count(), Length(), SameFirstWord())), [lines_source(folder)], open_uri)
    run_here(plan, tmp_path / "out", workers=1, progress=Silence())
    return tmp_path / "out"


def every_file(out: Path) -> list[Path]:
    return sorted(p for p in out.rglob("*") if p.is_file())


def test_an_untouched_run_is_right(out):
    found = verify(out)
    assert (found.ok, found.problems, found.identity) == (True, [], Manifest.load(out).identity)
    assert found.files == len(every_file(out)) - 2  # all but the manifest and the provenance


def test_any_changed_byte_is_found_in_its_file(out):
    """Bytes spread over each file, the first and the last among them."""
    for path in every_file(out):
        content = path.read_bytes()
        for place in {*range(0, len(content), max(1, len(content) // 25)), len(content) - 1}:
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            assert any(path.name in p for p in verify(out).problems), (path.name, place)
        path.write_bytes(content)
    assert verify(out).ok


def test_a_missing_file_is_named(out):
    for path in every_file(out):
        content = path.read_bytes()
        path.unlink()
        assert any(path.name in p for p in verify(out).problems), path.name
        path.write_bytes(content)


def test_a_truncated_file_is_named(out):
    path = next((out / "dropped").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    assert [p for p in verify(out).problems if path.name in p]


def test_a_ledger_row_removed_is_found_even_by_size_and_sums(out):
    path = out / "ledger" / "lines-00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    assert any("ledger/lines-00000.parquet" in p for p in verify(out, share=0.0).problems)


def test_a_forged_ledger_is_found_by_the_sums(out):
    """Somebody who also rewrites the manifest's hashes still has to make the books balance."""
    path = out / "ledger" / "lines-00000.parquet"
    table = pq.read_table(path).slice(1)
    pq.write_table(table, path)
    from tokenmill.manifests import verify as module

    manifest = Manifest.load(out)
    problems = module._check_books(LocalStore(out), manifest)
    assert any("rows are not 0..2" in p for p in problems)
    assert any("totals differ" in p for p in problems)


def test_a_file_nobody_made_is_found(out):
    (out / "documents" / "extra.parquet").write_bytes(b"?")
    assert verify(out).problems == ["documents/extra.parquet: not in the manifest"]


def test_a_manifest_that_was_reformatted_is_refused(out):
    path = out / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert "not as it was written" in verify(out).problems[0]
