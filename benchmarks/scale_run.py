"""What one run of web_en costs: core-seconds, bytes, files and requests, as formulas over benchmarks/scale_facts.py.

They follow the code: which files a task writes and reads is written in engines/, how large a range of keys is in
engines/reduce.py, how a source is cut in ingest/limits.py, and in which parts an object store is asked in manifests/.
"""

from dataclasses import dataclass
from math import ceil

from benchmarks.scale_facts import fact
from tokenmill.engines.context import MERGED_FROM
from tokenmill.engines.keyed_file import PIECE_BYTES, RUN_BYTES
from tokenmill.engines.merge import BYTES, FILES
from tokenmill.engines.reduce import PARTITION_BYTES
from tokenmill.ingest.limits import SPLIT_BYTES, split_growth
from tokenmill.manifests.object_cache import PART_BYTES
from tokenmill.manifests.remote_stream import BLOCK_BYTES
from tokenmill.manifests.s3_objects import ONE_PUT_BYTES

HOUR = 3600
MACHINES = 16  # of 64 cores: what the requests are counted for
FILES_OF_A_SHARD = 18  # 9 in segment 0, 2 in each of two later rounds, 5 in segment 1; receipts are among them
RECEIPTS_OF_A_SHARD = 4
STATIONS = 15  # engines/stations.py, of web_en


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of web_en over `pages` pages, cut into shards of `split_bytes`."""

    split_bytes: float
    pages: float = fact("pages")

    @property
    def files(self) -> float:
        return self.pages / fact("pages") * fact("files")

    @property
    def shards(self) -> int:
        return int(self.files * ceil(fact("file") / self.split_bytes))

    @property
    def documents(self) -> float:
        """That reach the barriers."""
        each = fact("english_tokens") * fact("later_filters") / fact("document_tokens")
        return self.pages / fact("pages") * each

    @property
    def kept(self) -> float:
        return self.documents * (1 - fact("duplicates"))

    @property
    def text(self) -> float:
        """Bytes of the documents that reach the barriers."""
        return self.documents * fact("document_tokens") * fact("token")

    @property
    def sent(self) -> dict[str, float]:
        """Bytes that each round moves between tasks."""
        n = self.documents
        return {
            "exact_dedup": n * fact("exact"),
            "fuzzy_dedup.bands": n * fact("bands"),
            "fuzzy_dedup.signatures": n * fact("candidates") * fact("signatures"),
            "fuzzy_dedup.shingles": n * fact("open") * fact("shingles"),
        }

    def partitions(self, round_: str) -> int:
        return max(1, ceil(self.sent[round_] / PARTITION_BYTES))

    def merged(self, round_: str) -> int:
        """Files that ranges of keys are read from."""
        if self.shards < MERGED_FROM:
            return self.shards
        return max(ceil(self.shards / FILES), ceil(self.sent[round_] / BYTES))

    def merging_reads(self, round_: str) -> float:
        """A merging task looks into each of its files once for every run that it writes."""
        return self.shards * ceil(self.sent[round_] / self.merged(round_) / RUN_BYTES)

    def range_reads(self, round_: str) -> int:
        return self.merged(round_) * self.partitions(round_)

    @property
    def core_seconds(self) -> dict[str, float]:
        scale = fact("files") * fact("file") / fact("pages") / fact("measured_page")  # its pages are that much larger
        ms = 1e-3 * self.pages
        english = self.pages * fact("english") * fact("text_of_page") * 1e-6
        moved = sum(self.sent.values())
        return {
            "read WARC": ms * fact("read_ms") * scale,
            "extract_html": ms * fact("extract_ms") * scale,
            "identify_language": ms * fact("language_ms"),
            "measures, filters, edits": english * fact("filters_ms") * 1e-3,
            "hashes and signatures": self.text * 1e-6 * fact("observe_ms") * 1e-3,
            "ledger, measures, receipts, dropped/": ms * (fact("engine_ms") + fact("dropped_write_ms")),
            "merge": 2 * moved / fact("sha256"),
            "exact and fuzzy rounds": self.documents * fact("fuzzy_us") * 1e-6,
            "documents/": self.text * 1e-6 * fact("write_ms") * 1e-3,
        }

    @property
    def bytes(self) -> dict[str, tuple[float, float]]:
        """(read, written) by phase, on whatever holds the run; a worker's own scratch is not counted."""
        n, pages, source = self.documents, self.pages, self.files * fact("file")
        put_by = n * (fact("survivor") + fact("kept")) + pages * fact("left")
        moved = sum(self.sent.values())
        dropped = (pages - n) * fact("dropped")
        verdicts = n * fact("duplicates") * fact("verdict")
        books = pages * (fact("ledger") + fact("measures"))
        first = self.sent["exact_dedup"] + self.sent["fuzzy_dedup.bands"]
        ranges = moved + sum(map(self.range_reads, self.sent)) * PIECE_BYTES  # a piece more than is wanted, each
        return {
            "segment 0": (source, dropped + put_by + first),
            "merge, four rounds": (moved, moved),
            "reduce, four rounds": (ranges, verdicts + n * fact("candidates") * 20),
            "emit, two rounds": (n * 2 * fact("kept") + n * fact("open") * fact("survivor"), moved - first),
            "segment 1": (put_by, self.kept * fact("documents") + books + n * fact("duplicates") * fact("documents")),
        }

    @property
    def requests(self) -> dict[str, tuple[float, float, float]]:
        """(GET, PUT, LIST) by phase on an object store, in parts as manifests/ sends and fetches them; HEAD is GET."""
        s, listed = self.shards, self.shards / 1000
        ranges, reads = (sum(map(of, self.sent)) for of in (self.partitions, self.range_reads))
        files = sum(map(self.merged, self.sent))
        moved = sum(self.sent.values())
        first, last = self.bytes["segment 0"][1], self.bytes["segment 1"]
        # A range of a merged file: what it is, its end, two looks for the place, and the pieces themselves.
        in_ranges = 4 * reads + moved / PIECE_BYTES
        return {
            "plan": (2 * self.files, 2, self.files / 1000),
            "segment 0": (self.files * fact("file") / BLOCK_BYTES + s, 9 * s + first / ONE_PUT_BYTES, listed),
            "merge": (2 * 4 * s + moved / PART_BYTES, 2 * files + moved / ONE_PUT_BYTES, 4 * listed),
            "reduce": (in_ranges, 2 * ranges, ranges),
            "emit": (2 * 3 * s, 2 * 2 * s, 2 * s),
            "segment 1": (7 * s + last[0] / PART_BYTES + MACHINES * ranges, 5 * s + last[1] / ONE_PUT_BYTES, 2 * s),
            "closing": (RECEIPTS_OF_A_SHARD * s, 3 * STATIONS, 13 * STATIONS * listed),
        }

    @property
    def shard_seconds(self) -> float:
        """Core-seconds of one task of segment 0."""
        of = self.core_seconds
        return (sum(of.values()) - of["merge"] - of["exact and fuzzy rounds"] - of["documents/"]) / self.shards

    @property
    def answer_opens(self) -> float:
        """By shards: of the components, of the second round's answers, and of all verdicts."""
        p = {name: self.partitions(name) for name in self.sent}
        verdicts = p["exact_dedup"] + p["fuzzy_dedup.signatures"] + p["fuzzy_dedup.shingles"]
        return self.shards * (1.0 + p["fuzzy_dedup.signatures"] + verdicts)


SMALL = Run(split_bytes=SPLIT_BYTES)  # as a source of up to 1.3 TB is cut, and as any was before 2026-11-24
LARGE = Run(split_bytes=SPLIT_BYTES * split_growth(int(fact("files") * fact("file"))))
