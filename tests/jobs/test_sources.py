"""--source: what it may name, and that where things lie changes nothing."""

from pathlib import Path

import pytest

from tokenmill.core.errors import RecipeError
from tokenmill.jobs.sources import find_sources

LINE = '{"text": "a document"}\n'


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    place = tmp_path / "crawl"
    (place / "deep").mkdir(parents=True)
    (place / "b.jsonl").write_text(LINE)
    (place / "deep" / "a.jsonl").write_text(LINE)
    (place / "_SUCCESS").write_text("")
    return place


def names(argument: str) -> list[str]:
    (source,) = find_sources([argument]).sources
    return [f.name for f in source.files]


def test_a_folder_gives_its_files_by_relative_name(crawl):
    assert names(str(crawl)) == ["b.jsonl", "deep/a.jsonl"]


def test_a_glob_gives_names_below_its_fixed_part(crawl):
    assert names(f"{crawl}/**/*.jsonl") == ["b.jsonl", "deep/a.jsonl"]


def test_a_file_gives_its_own_name(crawl):
    assert names(str(crawl / "b.jsonl")) == ["b.jsonl"]


def test_a_source_is_called_as_told_or_by_its_place_never_by_its_path(crawl):
    found = find_sources([f"wiki={crawl}", str(crawl / "b.jsonl")]).sources
    assert [(s.name, s.priority) for s in found] == [("wiki", 0), ("source-2", 1)]
    assert find_sources([str(crawl)]).sources[0].name == "source"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("{crawl}/c.jsonl", r"no such file or folder; did you mean .*b\.jsonl\?"),
        ("{crawl}/../nowhere/at/all", "no such file or folder$"),
        ("{crawl}/*.warc", "no file fits this pattern"),
        ("{crawl}/empty", r"nothing to read here \(it is empty\)"),
        ("{crawl}/strange", r"nothing to read here \(1 files of no known format\)"),
        ("{crawl}/strange/x.xyz", "of no known format; want"),
    ],
)
def test_what_cannot_be_read_is_refused(crawl, argument, message):
    (crawl / "empty").mkdir()
    (crawl / "strange").mkdir()
    (crawl / "strange" / "x.xyz").write_bytes(b"\x00\x01\x02 nothing known")
    with pytest.raises(RecipeError, match=message):
        find_sources([argument.format(crawl=crawl)])


def test_files_of_no_known_format_are_named_when_a_folder_has_them(crawl, capsys):
    (crawl / "notes.xyz").write_bytes(b"\x00\x01 hello")
    assert names(str(crawl)) == ["b.jsonl", "deep/a.jsonl"]
    assert "passing over 1 files of no known format: notes.xyz" in capsys.readouterr().err


def test_no_source_is_refused():
    with pytest.raises(RecipeError, match="no --source given"):
        find_sources([])
