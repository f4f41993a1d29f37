"""English web text, from crawl archives or extracted documents to kept documents.

The order is FineWeb's (Penedo et al. 2024, arXiv:2406.17557): language, Gopher repetition, Gopher quality, C4,
FineWeb's own rules, then near-duplicates. Exact duplicates go first: they cost a hash, not a signature.
"""

from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.filters.c4 import C4
from tokenmill.filters.c4_edit import C4Edit
from tokenmill.filters.fineweb import FineWeb
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.gopher_repetition import GopherRepetition
from tokenmill.filters.identify_language import IdentifyLanguage
from tokenmill.filters.language import Language
from tokenmill.filters.measure_lines import MeasureLines
from tokenmill.filters.measure_text import MeasureText
from tokenmill.ingest.extract_html import ExtractHtml

WEB_EN = Recipe(
    "web_en",
    (
        ExtractHtml(),
        IdentifyLanguage(),
        Language(languages=("en",), at_least=0.65),  # FineWeb; Nemotron-CC takes .3
        MeasureText(),
        GopherRepetition(),
        GopherQuality(),
        C4(),
        C4Edit(),
        MeasureLines(),  # FineWeb's rules look at what C4 left of the lines
        FineWeb(),
        ExactDedup(),
        FuzzyDedup(
            unit="words", shingle_length=5, bands=14, rows_per_band=8, threshold=0.75
        ),  # FineWeb's, with verification
    ),
)
