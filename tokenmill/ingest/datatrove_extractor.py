"""HTML to text by one of datatrove's extractors: Trafilatura, ReadabilityInscriptis, or one of the user's own.

    Recipe("mine", (extract_by(Trafilatura, deduplicate=False), ...))

Its `extract` is called in this process and without a time limit: what a document becomes must not depend on how busy
a machine is. A page that it fails on is an error; one in which it finds nothing has an empty text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pyarrow as pa

from tokenmill.core.asset import Asset
from tokenmill.core.document import RECORD
from tokenmill.core.errors import RecipeError
from tokenmill.core.foreign import Foreign
from tokenmill.core.stage import Stage
from tokenmill.ingest.decode_text import decode_text
from tokenmill.ingest.rows import sound


@dataclass(frozen=True, slots=True, kw_only=True)
class DatatroveExtractor(Stage):
    """Give rows that have `html` and no `text` their text. `extract_by` makes one."""

    name: ClassVar[str] = "datatrove_extractor"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([RECORD.field(name) for name in ("text", "html", "charset", "error")])
    adds: ClassVar[pa.Schema] = pa.schema([RECORD.field(name) for name in ("text", "html", "error")])

    extractor: Foreign
    max_html_bytes: int = 8 << 20  # Common Crawl cuts pages at 5 MiB

    def parameters(self) -> dict[str, Any]:
        return {"max_html_bytes": self.max_html_bytes, **self.extractor.described()}

    def assets(self) -> Iterator[Asset]:
        return self.extractor.assets()

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts: list[str | None] = batch["text"].to_pylist()
        errors: list[str | None] = batch["error"].to_pylist()
        charsets = batch["charset"].to_pylist()
        for i, html in enumerate(batch["html"]):
            if html.is_valid and texts[i] is None and errors[i] is None:
                texts[i], errors[i] = self._text(html.as_buffer(), charsets[i])
        new = {"text": texts, "error": errors, "html": [None] * batch.num_rows}
        for field in self.adds:
            column = pa.array(new[field.name], field.type)
            batch = batch.set_column(batch.schema.get_field_index(field.name), field, column)
        return batch

    def _text(self, html: pa.Buffer, charset: str | None) -> tuple[str | None, str | None]:
        """The text, or why there is none."""
        if html.size > self.max_html_bytes:
            return None, f"HTML of {html.size} bytes, limit {self.max_html_bytes}"
        page = decode_text(html.to_pybytes(), charset, is_html=True)
        try:
            return sound(_built(self.extractor).extract(page)) or "", None
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"[:200]


def extract_by(kind: type, /, *, distributions: tuple[str, ...] = (), **arguments: Any) -> DatatroveExtractor:
    """The stage that extracts with `kind(**arguments)`; the versions of what it requires are part of its own.

    Raises RecipeError for what is no extractor, and for one that would remember earlier pages.
    """
    kinds = {c.__name__ for c in kind.__mro__}
    if "BaseExtractor" not in kinds:
        raise RecipeError(f"{kind.__name__} is no extractor of datatrove")
    extractor = Foreign.of(kind, arguments, ("datatrove", *distributions))
    if "Trafilatura" in kinds and extractor.argument("deduplicate") is not False:
        raise RecipeError(
            f"{kind.__name__}: deduplicate=True leaves out what it saw on earlier pages, whichever these were; "
            "say deduplicate=False, and use line_dedup for that"
        )
    return DatatroveExtractor(extractor=extractor)


@cache
def _built(extractor: Foreign) -> Any:
    return extractor.build()
