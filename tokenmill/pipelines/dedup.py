"""Deduplication alone, for documents that are there already."""

from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import CHARACTERS_20X13, CHARACTERS_26X11, FuzzyDedup
from tokenmill.dedup.lines import LineDedup
from tokenmill.dedup.ngram_bloom import NgramBloom
from tokenmill.dedup.ngram_filter import NgramFilter
from tokenmill.dedup.normalised import NormalisedDedup
from tokenmill.dedup.paragraphs import ParagraphDedup
from tokenmill.dedup.substring import SubstringDedup
from tokenmill.dedup.url import UrlDedup
from tokenmill.ingest.extract_html import ExtractHtml

EXACT_DEDUP = Recipe("exact_dedup", (ExtractHtml(), ExactDedup()))

NORMALISED_DEDUP = Recipe("normalised_dedup", (ExtractHtml(), NormalisedDedup()))

URL_DEDUP = Recipe("url_dedup", (ExtractHtml(), UrlDedup()))

LINE_DEDUP = Recipe("line_dedup", (ExtractHtml(), LineDedup()))

PARAGRAPH_DEDUP = Recipe("paragraph_dedup", (ExtractHtml(), ParagraphDedup()))

FUZZY_DEDUP = Recipe("fuzzy_dedup", (ExtractHtml(), FuzzyDedup()))

FUZZY_DEDUP_20X13 = Recipe("fuzzy_dedup_20x13", (ExtractHtml(), CHARACTERS_20X13))

FUZZY_DEDUP_26X11 = Recipe("fuzzy_dedup_26x11", (ExtractHtml(), CHARACTERS_26X11))

# One n-gram in 4: a paragraph of some 33 tokens or more has the 5 that its share is judged by.
NGRAM_DEDUP = Recipe("ngram_dedup", (ExtractHtml(), ExactDedup(), NgramFilter(one_in=4), NgramBloom()))

SUBSTRING_DEDUP = Recipe("substring_dedup", (ExtractHtml(), SubstringDedup()))
