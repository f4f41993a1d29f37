"""Deduplication alone, for documents that are there already."""

from tokenmill.core.recipe import Recipe
from tokenmill.dedup.exact import ExactDedup
from tokenmill.dedup.fuzzy import FuzzyDedup
from tokenmill.ingest.extract_html import ExtractHtml

EXACT_DEDUP = Recipe("exact_dedup", (ExtractHtml(), ExactDedup()))

FUZZY_DEDUP = Recipe("fuzzy_dedup", (ExtractHtml(), FuzzyDedup()))
