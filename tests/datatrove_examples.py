"""datatrove steps for the tests that every stage meets: they need nothing but datatrove's base."""

from typing import Any

from datatrove.pipeline.extractors.base import BaseExtractor
from datatrove.pipeline.filters import C4QualityFilter

from tokenmill.core.stage import Filter, Stage
from tokenmill.filters.from_datatrove import from_datatrove
from tokenmill.ingest.datatrove_extractor import DatatroveExtractor, extract_by


class BetweenTags(BaseExtractor):
    """Everything but tags; fails on a page that says deep."""

    name = "between tags"

    def __init__(self, joined_by: str = " ", timeout: float = 1) -> None:
        super().__init__(timeout)
        self.joined_by = joined_by

    def extract(self, text: str) -> Any:
        if "deep" in text:
            raise RecursionError("too deep")
        parts = [part.partition(">")[2].strip() for part in text.split("<")]
        return self.joined_by.join(part for part in parts if part) or None


def c4() -> tuple[Stage, Filter]:
    """It edits, it drops, it gives reasons."""
    return from_datatrove("datatrove", C4QualityFilter, min_num_sentences=-1)


def between_tags() -> DatatroveExtractor:
    return extract_by(BetweenTags)
