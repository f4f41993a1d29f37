"""Cut paragraphs that occur elsewhere out of documents.

A paragraph is a run of lines that are not blank, compared by these lines without the white space at their ends. So it
goes only where all of it is found elsewhere: gentler than line_dedup, which takes single lines out of lists and verse.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenmill.dedup.repeated_passages import RepeatedPassages


@dataclass(frozen=True, slots=True, kw_only=True)
class ParagraphDedup(RepeatedPassages):
    """One copy of each paragraph stays. repeated_passages.py says whose, and when a document leaves whole."""

    name: ClassVar[str] = "paragraph_dedup"
    revision: ClassVar[int] = 1
    passage: ClassVar[str] = "paragraph"
