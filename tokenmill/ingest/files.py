"""The source that reads files: web archives, JSON lines and Parquet, in any mixture."""

from collections.abc import Iterator
from dataclasses import dataclass

from tokenmill.core.errors import DataError
from tokenmill.core.source import Chunk, File, Open, Source, Split
from tokenmill.ingest import jsonl, parquet, web_archive
from tokenmill.ingest.formats import HEAD_BYTES, Format, decompressed, format_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Source):
    """Files of known formats; one source may hold several.

    `keeps_ids`: the files are a run's own documents (Parquet), whose id, source and meta stay what they are.
    """

    keeps_ids: bool = False

    def splits(self, open: Open) -> list[Split]:
        """Reads HEAD_BYTES of each file, and of Parquet the footer."""
        splits: list[Split] = []
        for file in sorted(self.files, key=lambda f: f.name):
            with open(file.uri) as stream:
                head = stream.read(HEAD_BYTES)
                form = _format(file, head)
                if self.keeps_ids and form.family != "parquet":
                    raise DataError(f"{file.name}: {form.family}, want the Parquet documents of a run")
                match form.family:
                    case "parquet":
                        splits += parquet.splits(file, stream, self.keeps_ids)
                    case "jsonl":
                        splits += jsonl.splits(file, decompressed(head), form.compression)
                    case family:
                        splits += web_archive.splits(file, head, family, form.compression)
        return splits

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
