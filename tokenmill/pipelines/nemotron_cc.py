"""English web text as Nemotron-CC has it, as far as its steps exist here: language and all of deduplication.

The order is that of Su et al. 2024 (arXiv:2412.02595) and of its open recipe: extraction, language at .3 or more,
exact duplicates, near-duplicates over all snapshots at once (24-character shingles, 20 bands of 13 hashes: half of the
pairs at .77 become candidates, and the open recipe removes on a shared band alone; here each is verified at .8), then
substrings of 50 tokens. The quality classifiers and heuristics behind those, and jusText as the extractor, are not
here yet.
"""

from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import CHARACTERS_20X13
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.filters.identify_language import IdentifyLanguage
from tokenmill.filters.language import Language
from tokenmill.ingest.extract_html import ExtractHtml

NEMOTRON_CC = Recipe(
    "nemotron_cc",
    (
        ExtractHtml(),
        IdentifyLanguage(),
        Language(languages=("en",), at_least=0.3),
        ExactDedup(),
        CHARACTERS_20X13,
        SubstringDedup(unit="tokens", length=50),
    ),
)
