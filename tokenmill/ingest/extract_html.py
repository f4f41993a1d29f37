"""HTML to text: the main content of a page, by resiliparse; its bytes go no further than here.

Source: Resiliparse (Bevendorff et al. 2018), with alternative texts of images left out as DCLM does
(arXiv:2406.11794). Its search for the main content takes time with the square of how deep elements nest:
8,000 deep take 0.6 s, 100,000 more than a minute (resiliparse 2.0.1), hence `max_depth`.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text

from tokenmill.core.document import RECORD
from tokenmill.core.errors import RecipeError
from tokenmill.core.stage import Stage
from tokenmill.ingest.decode_text import decode_text
from tokenmill.ingest.rows import sound

# Not counted: elements without content, and those that the next of their kind closes.
_FLAT = "area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr|p|li|dt|dd|tr|td|th|option|tbody|thead"
_TAG = re.compile(rf"<(/?)(?!(?:{_FLAT})\b)[a-z]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractHtml(Stage):
    """Give rows that have `html` and no `text` their text; a page without any gets an empty one."""

    name: ClassVar[str] = "extract_html"
    revision: ClassVar[int] = 1
    reads: ClassVar[pa.Schema] = pa.schema([RECORD.field(name) for name in ("text", "html", "charset", "error")])
    adds: ClassVar[pa.Schema] = pa.schema([RECORD.field(name) for name in ("text", "html", "error")])
    pins: ClassVar[tuple[str, ...]] = ("resiliparse",)

    main_content: bool = True  # False: navigation and footers too
    max_html_bytes: int = 8 << 20  # Common Crawl cuts pages at 5 MiB; 4 MB of paragraphs take 0.8 s
    max_depth: int = 4_000  # 0.15 s; browsers stop at 512

    def __post_init__(self) -> None:
        if self.max_html_bytes < 1 or self.max_depth < 1:
            raise RecipeError(
                f"{self.name}: max_html_bytes={self.max_html_bytes}, max_depth={self.max_depth}, want 1 or more"
            )

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts, errors = batch["text"], batch["error"]
        if batch["html"].null_count < batch.num_rows:
            texts, errors = self._extracted(batch)
        for name, column in (("text", texts), ("error", errors), ("html", pa.nulls(batch.num_rows, pa.large_binary()))):
            batch = batch.set_column(batch.schema.get_field_index(name), RECORD.field(name), column)
        return batch

    def _extracted(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        texts: list[str | None] = batch["text"].to_pylist()
        errors: list[str | None] = batch["error"].to_pylist()
        charsets = batch["charset"].to_pylist()
        for i, html in enumerate(batch["html"]):
            if html.is_valid and texts[i] is None and errors[i] is None:
                texts[i], errors[i] = self._text(html.as_buffer(), charsets[i])
        return pa.array(texts, pa.large_string()), pa.array(errors, pa.string())

    def _text(self, html: pa.Buffer, charset: str | None) -> tuple[str | None, str | None]:
        """The text, or why there is none."""
        if html.size > self.max_html_bytes:
            return None, f"HTML of {html.size} bytes, limit {self.max_html_bytes}"
        page = decode_text(html.to_pybytes(), charset, is_html=True)
        if page.count("<") > self.max_depth and (depth := _depth(page)) > self.max_depth:
            return None, f"HTML nested {depth} deep, limit {self.max_depth}"
        try:
            return sound(extract_plain_text(page, main_content=self.main_content, alt_texts=False)), None
        except BaseException as error:
            # A panic in Rust is no Exception, and its class cannot be imported.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            return None, f"HTML parser failed: {str(error)[:100]}"


def _depth(page: str) -> int:
    """How deep tags nest, scripts and comments taken for markup: an upper bound for the page's tree."""
    depth = deepest = 0
    for tag in _TAG.finditer(page):
        depth = max(depth - 1, 0) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest
