"""Any source to documents, nothing dropped: what is there, in one schema."""

from tokenmill.core.recipe import Recipe
from tokenmill.ingest.extract_html import ExtractHtml

EXTRACT = Recipe("extract", (ExtractHtml(),))
