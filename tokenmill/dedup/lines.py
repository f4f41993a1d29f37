"""Cut lines that occur elsewhere out of documents: menus, notices, licence headers, quoted articles.

A line is compared without the white space at its ends, exactly otherwise; blank lines are never duplicates of each
other. Llama 3 (arXiv:2407.21783, 3.1.1) found that this removes "not only leftover boilerplate ... but also frequent
high-quality text", and gained from it.
"""

from dataclasses import dataclass
from typing import ClassVar

from tokenmill.dedup.repeated_passages import RepeatedPassages


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDedup(RepeatedPassages):
    """One copy of each line stays. repeated_passages.py says whose, and when a document leaves whole."""

    name: ClassVar[str] = "line_dedup"
    revision: ClassVar[int] = 1
    passage: ClassVar[str] = "line"
