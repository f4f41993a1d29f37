"""The source that reads files: web archives, JSON lines and Parquet, in any mixture."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tokenmill.core.errors import DataError
from tokenmill.core.source import Chunk, File, Open, Source, Split
from tokenmill.ingest import jsonl, parquet, web_archive
from tokenmill.ingest.formats import HEAD_BYTES, Format, decompressed, format_of
from tokenmill.ingest.limits import split_growth

HEADS_AT_ONCE = 32  # in an object store each is a wait of some 30 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Source):
    """Files of known formats; one source may hold several.

    `keeps_ids`: the files are a run's own documents (Parquet), whose id, source and meta stay what they are.
    """

    keeps_ids: bool = False

    def splits(self, open: Open) -> list[Split]:
        """Reads HEAD_BYTES of each file, and of Parquet the footer, of several files at a time."""
        growth = split_growth(sum(file.size for file in self.files))
        files = sorted(self.files, key=lambda f: f.name)
        with ThreadPoolExecutor(HEADS_AT_ONCE) as readers:
            parts = readers.map(lambda file: self.splits_of(file, open, growth), files)
            return [split for part in parts for split in part]

    def splits_of(self, file: File, open: Open, growth: int) -> list[Split]:
        """Of one file; `growth` as split_growth gives it for the whole source."""
        with open(file.uri) as stream:
            head = stream.read(HEAD_BYTES)
            form = _format(file, head)
            if self.keeps_ids and form.family != "parquet":
                raise DataError(f"{file.name}: {form.family}, want the Parquet documents of a run")
            match form.family:
                case "parquet":
                    return parquet.splits(file, stream, self.keeps_ids, growth)
                case "jsonl":
                    return jsonl.splits(file, decompressed(head), form.compression, growth)
                case family:
                    return web_archive.splits(file, head, family, form.compression, growth)

    def read(self, split: Split, open: Open, batch_bytes: int) -> Iterator[Chunk]:
        with open(split.file.uri) as stream:
            form = _format(split.file, stream.read(HEAD_BYTES))
            match form.family:
                case "parquet":
                    yield from parquet.read(split, stream, self.name, batch_bytes, self.keeps_ids)
                case "jsonl":
                    yield from jsonl.read(split, stream, form.compression, self.name, batch_bytes)
                case family:
                    yield from web_archive.read(split, stream, family, form.compression, self.name, batch_bytes)


def _format(file: File, head: bytes) -> Format:
    form = format_of(file.name, head)
    if form is None:
        raise DataError(
            f"{file.name}: of no known format; want .jsonl or .json (.gz, .zst), .parquet, "
            ".warc, .wet or .wat (.gz, .lz4, .zst), .arc (.gz); leave it out"
        )
    return form
