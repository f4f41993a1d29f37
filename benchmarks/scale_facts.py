"""The numbers that docs/scale.md starts from: measured, read in the code, published or assumed; each says which."""

from dataclasses import dataclass

COSTS = "benchmarks/scale_costs.py, 2026-11-24"
RUN = "manifest of web_en over 5,040 pages, 2026-11-24"
COPIES = "fuzzy_scale.py with half of the rows copies, 2026-11-24"
FINEWEB = "FineWeb, arXiv:2406.17557"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A number that everything below starts from."""

    value: float
    unit: str
    source: str


FACTS: dict[str, Fact] = {
    "pages": Fact(value=3e9, unit="pages", source="the question; December 2024 had 2.64e9 (commoncrawl.org)"),
    "files": Fact(value=90_000, unit="WARC files", source="commoncrawl.org, 2024"),
    "file": Fact(value=1e9, unit="bytes a file", source="about 90 TB a snapshot (commoncrawl.org, 2024)"),
    "measured_page": Fact(value=25_220, unit="compressed bytes a page, where times were measured", source=COSTS),
    "english": Fact(value=0.46, unit="of the pages", source="commoncrawl.org, March 2023"),
    "english_tokens": Fact(value=36e12 / 96, unit="tokens a snapshot behind language and Gopher", source=FINEWEB),
    "later_filters": Fact(value=0.75, unit="kept by C4's and FineWeb's own rules", source=FINEWEB + ": 20e12 to 15e12"),
    "duplicates": Fact(value=1 - 20 / 36, unit="of the documents of a snapshot", source=FINEWEB + ": 36e12 to 20e12"),
    "document_tokens": Fact(value=537, unit="tokens a document", source=COSTS),
    "token": Fact(value=4.68, unit="bytes of text a token", source=COSTS),
    "read_ms": Fact(value=0.308, unit="ms a page", source=COSTS),
    "extract_ms": Fact(value=1.411, unit="ms a page", source=COSTS),
    "language_ms": Fact(value=0.211, unit="ms a page", source=COSTS),
    "dropped_write_ms": Fact(value=0.027, unit="ms a page", source=COSTS),
    "engine_ms": Fact(value=0.17, unit="ms a page", source="whole command less its parts: 2.13 - 1.96"),
    "text_of_page": Fact(value=7_134, unit="bytes of text a page", source=COSTS),
    "filters_ms": Fact(value=30.9, unit="ms a MB of English text", source=COSTS),
    "observe_ms": Fact(value=3.62, unit="ms a MB: hashes and signatures", source=COSTS),
    "write_ms": Fact(value=4.67, unit="ms a MB of text: Parquet, hashes of rows and bytes", source=COSTS),
    "fuzzy_us": Fact(value=14.0, unit="core-us a document, all rounds", source=COPIES),
    "dropped": Fact(value=3_148, unit="bytes a page in dropped/", source=COSTS),
    "documents": Fact(value=1_125, unit="bytes a document in documents/", source=COSTS),
    "ledger": Fact(value=36, unit="bytes a page in ledger/", source=RUN),
    "measures": Fact(value=122, unit="bytes a page in measures/, at most", source=COSTS),
    "survivor": Fact(value=1_760, unit="bytes a document put by (lz4)", source=COSTS),
    "left": Fact(value=473, unit="bytes a page: ledger and measures put by", source=RUN),
    "kept": Fact(value=56 + 496 + 24, unit="bytes a document remembered", source=COSTS),
    "exact": Fact(value=68, unit="bytes a document sent", source=COSTS),
    "bands": Fact(value=280, unit="bytes a document sent", source=COSTS),
    "candidates": Fact(value=0.72, unit="of the documents share a band", source=COPIES),
    "signatures": Fact(value=516, unit="bytes a candidate sent", source="dedup/fuzzy_signatures.py"),
    "links": Fact(value=2.4, unit="links a document, before ranges join them", source="14 s^8 a copy, of those copies"),
    "open": Fact(value=0.32, unit="of the documents need shingles", source=COPIES),
    "shingles": Fact(value=2_200, unit="bytes an open document sent", source="dedup/fuzzy_shingles.py: 520 + 4 a word"),
    "verdict": Fact(value=68, unit="bytes a verdict", source="core/barrier.py VERDICTS"),
    "receipt": Fact(value=1_095, unit="bytes", source=COSTS),
    "receipt_resident": Fact(value=4_351, unit="bytes in the driver", source=COSTS),
    "receipt_us": Fact(value=50, unit="us to load and check", source=COSTS),
    "plan_resident": Fact(value=1_050, unit="bytes a shard in every process", source=COSTS),
    "plan_pickled": Fact(value=229, unit="bytes a shard", source=COSTS),
    "read_us": Fact(value=65, unit="us a (file, range), page cache", source=COSTS),
    "of_shard_us": Fact(value=127, unit="us a file of verdicts, page cache", source=COSTS),
    "network_open_us": Fact(value=1_000, unit="us an open over a network", source="assumed"),
    "metadata": Fact(value=29_000, unit="creates a second", source="Dell, HPC Lustre with EDR, mdtest, 2016"),
    "puts": Fact(value=3_500, unit="PUT a second and prefix", source="AWS knowledge center, S3 503, 2026"),
    "gets": Fact(value=5_500, unit="GET a second and prefix", source="AWS knowledge center, S3 503, 2026"),
    "put_usd": Fact(value=0.005, unit="USD per 1,000 PUT or LIST", source="c3x.dev, S3 request fees, 2026"),
    "get_usd": Fact(value=0.0004, unit="USD per 1,000 GET", source="c3x.dev, S3 request fees, 2026"),
    "get_wait": Fact(value=0.030, unit="s a small GET", source="assumed"),
    "hf": Fact(value=4.96e6, unit="bytes of text a second, HF tokenizers", source=COSTS),
    "prototype": Fact(value=139.8e6, unit="bytes a second, a prototype", source="shared/reference/perf.md, 2026-11"),
    "piece": Fact(value=4.155, unit="bytes a token while shuffled", source=COSTS),
    "sort_ns": Fact(value=2.06, unit="ns a token", source=COSTS),
    "parquet_read": Fact(value=494e6, unit="bytes a second", source="shared/reference/perf.md, 2026-11"),
    "sha256": Fact(value=1.4e9, unit="bytes a second", source="OpenSSL with SHA extensions, this machine, 2026-11-24"),
}


def fact(name: str) -> float:
    return FACTS[name].value
