"""Keep one of each set of documents that were read from the same URL.

URLs are compared in a normal form: http is https, `www.`, default ports, fragments, slashes at the end, empty queries
and parameters that only count visits do not matter; kernels/normalised_urls.py states every rule and where in RFC 3986
it stands. A document whose url is null or blank is compared with nothing, and neither is one whose text is null, since
it must not be kept for one that has a text: so this step stands behind the extraction.

Whose text stays is a policy: by default that of the preferred source, then the earliest crawl, then the longest text.
Earliest, because a page only gets longer by what others wrote below it, or turns into a notice that it is gone; and
because what later crawls add then changes nothing that earlier ones kept.

The key is the evidence: a verdict's similarity is 1 and speaks of the URL. The texts may differ.
"""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.errors import RecipeError
from tokenmill.dedup.equal_keys import OneOfEachKey
from tokenmill.dedup.preference import columns_of
from tokenmill.kernels.hashing import hash128
from tokenmill.kernels.normalised_urls import normalised_urls


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlDedup(OneOfEachKey):
    """One stays of the documents with equal URLs."""

    name: ClassVar[str] = "url_dedup"
    revision: ClassVar[int] = 1

    prefer: tuple[str, ...] = ("priority", "date", "-chars")
    # Parameters of the query that say how a visitor came: of Google, Meta, Microsoft, Yandex and Mailchimp.
    ignored_parameters: tuple[str, ...] = (
        "utm_*",
        "gclid",
        "dclid",
        "gbraid",
        "wbraid",
        "fbclid",
        "msclkid",
        "yclid",
        "mc_cid",
        "mc_eid",
    )
    # No text is compared here, so a URL that stands for a whole source (`https://example.org/dataset` beside each of
    # its documents) would leave one. Common Crawl has some 100 crawls: a page is in them some hundred times.
    cluster_at_most: int | None = 1000

    def __post_init__(self) -> None:
        OneOfEachKey.__post_init__(self)
        for name in self.ignored_parameters:
            if not name.removesuffix("*") or not name.isascii():
                raise RecipeError(
                    f"{self.name}: ignored_parameters has {name!r}; want names in ASCII, with * at the end of one for "
                    "all that begin so"
                )

    @property
    def reads(self) -> pa.Schema:
        return columns_of(self.prefer).append(pa.field("url", pa.string()))

    def hashes(self, batch: pa.RecordBatch, content: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
        hashes = hash128(normalised_urls(batch["url"], self.ignored_parameters), "url")
        return pc.if_else(content.is_valid(), hashes, pa.scalar(None, hashes.type))
