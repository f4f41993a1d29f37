"""What a Common Crawl snapshot and a 25-trillion-token blend need, from measured costs: the tables of docs/scale.md.

    PYTHONPATH=. python benchmarks/scale.py [--only TABLE] [--write docs/scale.md]

`--write` puts them where the page has `<!-- TABLE -->`; tests/test_scale.py holds it to that. Nothing is timed here:
see benchmarks/scale_costs.py for that.
"""

import argparse
import re
from collections.abc import Callable
from math import ceil
from pathlib import Path

from benchmarks.scale_facts import FACTS, fact
from benchmarks.scale_run import FILES_OF_A_SHARD, HOUR, LARGE, RECEIPTS_OF_A_SHARD, SMALL, Run
from tokenmill.engines.components import LINKS_IN_MEMORY
from tokenmill.engines.keyed_file import PIECE_BYTES, RUN_BYTES
from tokenmill.engines.merge import BYTES, FILES
from tokenmill.engines.plan import MAX_SHARDS
from tokenmill.manifests.object_cache import PART_BYTES
from tokenmill.manifests.remote_stream import BLOCK_BYTES
from tokenmill.manifests.s3_objects import ONE_PUT_BYTES


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float) -> str:
    """Three digits that count; above a million in powers of ten."""
    if value >= 1e7:
        return f"{value:.2g}".replace("e+0", "e").replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(value: float) -> str:
    for unit, one in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= one:
            return f"{value / one:.3g} {unit}"
    return f"{value:,.0f} B"


def facts_table() -> str:
    return table(
        ["fact", "value", "unit", "from"], [[n, f"{f.value:,.6g}", f.unit, f.source] for n, f in FACTS.items()]
    )


def snapshot_cpu() -> str:
    seconds = LARGE.core_seconds
    total = sum(seconds.values())
    rows = [[name, number(s / HOUR), f"{s / total:.1%}"] for name, s in seconds.items()]
    return table(["one snapshot", "core-hours", "share"], [*rows, ["all", number(total / HOUR), "100%"]])


def snapshot_bytes() -> str:
    rows = [[name, size(read), size(written)] for name, (read, written) in LARGE.bytes.items()]
    read, written = (sum(b[i] for b in LARGE.bytes.values()) for i in (0, 1))
    return table(["one snapshot", "read", "written"], [*rows, ["all", size(read), size(written)]])


def snapshot_ranges() -> str:
    """Reads of (file, range of keys), where the engine does not shuffle."""
    rows = []
    for name, moved in LARGE.sent.items():
        of = LARGE.partitions(name)
        rows.append([
            name, size(moved), f"{of:,}", number(SMALL.shards * of), number(LARGE.shards * of),
            number(LARGE.merged(name)), number(LARGE.merging_reads(name)), number(LARGE.range_reads(name)),
            size(moved / LARGE.range_reads(name)),
        ])  # fmt: skip
    head = ["round", "moved", "ranges", "64 MiB, as they are", "a file each, as they are", "merged files",
            "reads to merge", "reads of ranges", "each"]  # fmt: skip
    return table(head, rows)


def snapshot_counts() -> str:
    def row(name: str, of: Callable[[Run], str]) -> list[str]:
        return [name, of(SMALL), of(LARGE)]

    rows = [
        row("shards", lambda r: number(r.shards)),
        row("core-seconds a shard, segment 0", lambda r: number(r.shard_seconds)),
        row("files written and renamed, receipts too", lambda r: number(FILES_OF_A_SHARD * r.shards)),
        row("receipts", lambda r: number(RECEIPTS_OF_A_SHARD * r.shards)),
        row(
            "receipts in the driver's memory", lambda r: size(RECEIPTS_OF_A_SHARD * r.shards * fact("receipt_resident"))
        ),
        row(
            "loading them once, one core, s",
            lambda r: number(RECEIPTS_OF_A_SHARD * r.shards * fact("receipt_us") * 1e-6),
        ),
        row(
            "... from an object store by 16 readers, h",
            lambda r: number(RECEIPTS_OF_A_SHARD * r.shards * fact("get_wait") / 16 / HOUR),
        ),
        row("plan, pickled", lambda r: size(r.shards * fact("plan_pickled"))),
        row("plan, in every process", lambda r: size(r.shards * fact("plan_resident"))),
        row("opens of answers and verdicts by shards", lambda r: number(r.answer_opens)),
        row("... core-hours, page cache", lambda r: number(r.answer_opens * fact("of_shard_us") * 1e-6 / HOUR)),
        row("... core-hours at 1 ms an open", lambda r: number(r.answer_opens * fact("network_open_us") * 1e-6 / HOUR)),
    ]
    return table(["one snapshot", "shards of 64 MiB", "a shard a file"], rows)


def snapshot_requests() -> str:
    rows = []
    total = [0.0, 0.0, 0.0]
    for name, counts in LARGE.requests.items():
        rows.append([name, *map(number, counts)])
        total = [a + b for a, b in zip(total, counts, strict=True)]
    dollars = (total[0] * fact("get_usd") + (total[1] + total[2]) * fact("put_usd")) / 1000
    rows.append(["all", *map(number, total)])
    rows.append(
        [
            "hours of one prefix at its limit",
            number(total[0] / fact("gets") / HOUR),
            number(total[1] / fact("puts") / HOUR),
            "",
        ]
    )
    rows.append(["price, USD", number(dollars), "", ""])
    return table(["one snapshot, a shard a file", "GET", "PUT", "LIST"], rows)


def clusters() -> str:
    total = sum(LARGE.core_seconds.values())
    read, written = (sum(b[i] for b in LARGE.bytes.values()) for i in (0, 1))
    rows = []
    for cores in (256, 1024, 4096, 16384):
        hours = total / HOUR / cores
        source = LARGE.files * fact("file") / (hours * HOUR)
        rows.append([
            f"{cores:,}", number(hours), f"{source / 1e9 * 8:.3g}", f"{(read + written) / (hours * HOUR) / 1e9:.3g}",
            size(cores * 1.1e9), number(9 * LARGE.shards / (hours * HOUR)), number(cores / LARGE.shard_seconds),
        ])  # fmt: skip
    head = [
        "cores",
        "hours, if nothing waits",
        "source, Gbit/s",
        "storage, GB/s",
        "memory of workers",
        "files/s",
        "tasks/s",
    ]
    return table(head, rows)


def blend() -> str:
    """25e12 tokens, tokenized and shuffled once, from documents that are there."""
    t = 25e12
    text, packed = t * fact("token"), t * fact("token") / (fact("document_tokens") * fact("token") / fact("documents"))
    rows = []
    for name, speed in (("HF tokenizers, today", fact("hf")), ("the prototype's 140 MB/s", fact("prototype"))):
        cpu = {
            "read": text / fact("parquet_read"),
            "ids": text / speed,
            "sorting, twice": 2 * t * fact("sort_ns") * 1e-9,
            "hashing what is written": t * (2 * fact("piece") + 4) / fact("sha256"),
        }
        total = sum(cpu.values())
        io = packed + t * (4 * fact("piece") + 4)  # pieces are written, merged (read, written) and read
        rows.append([
            name, *(number(s / HOUR) for s in cpu.values()), number(total / HOUR), size(io),
            number(io / total * 1e-6), number(total / HOUR / 1024), number(io / 50e9 / HOUR),
        ])  # fmt: skip
    head = ["tokenizer", "read", "ids", "sorting, twice", "hashing", "core-hours in all", "bytes read and written",
            "MB/s a core", "hours of 1,024 cores", "hours of 50 GB/s"]  # fmt: skip
    return table(head, rows)


def blend_counts() -> str:
    """One source of 1e12 tokens, as the kept documents of snapshots hold it, and 25 of them."""
    tokens = 1e12
    snapshots = tokens / (LARGE.kept * fact("document_tokens"))
    shards = snapshots * LARGE.shards
    groups = ceil(tokens / 2**28)
    packed, pieces, ids = snapshots * LARGE.kept * fact("documents"), tokens * fact("piece"), tokens * 4
    files = 7 * shards + 4 * groups
    merged = max(ceil(pieces / BYTES), ceil(shards / FILES))
    gets = packed / BLOCK_BYTES + 7 * shards + pieces / PART_BYTES + 4 * merged * groups + pieces / PIECE_BYTES
    puts = files + 2 * merged + (2 * pieces + ids) / ONE_PUT_BYTES
    rows = [
        ["snapshots it takes", number(snapshots), number(25 * snapshots)],
        ["shards (files of documents/)", number(shards), number(25 * shards)],
        ["bytes of a shard", size(packed / shards), ""],
        ["plan, in every process", size(shards * fact("plan_resident")), ""],
        ["files written, receipts too", number(files), number(25 * files)],
        ["documents read", size(packed), size(25 * packed)],
        ["pieces written, merged, read", size(4 * pieces), size(100 * pieces)],
        ["tokens written", size(ids), size(25 * ids)],
        ["memory of a gathering task", size(2 * 2**28 * fact("piece")), ""],
        ["GET", number(gets), number(25 * gets)],
        ["... of it by ranges of merged files", number(4 * merged * groups + pieces / PIECE_BYTES), ""],
        ["PUT", number(puts), number(25 * puts)],
    ]
    return table(["tokenizing", "one source of 1e12 tokens", "25 of them"], rows)


def blend_groups() -> str:
    """Reads of Regroup: of sorted runs as the shards leave them, and of files merged in order."""
    rows = []
    sources = (("a snapshot", 1.564e11), ("1e12 tokens", 1e12), ("9.13e12, Nemotron-CC", 9.13e12), ("25e12", 25e12))
    for name, tokens in sources:
        groups = ceil(tokens / 2**28)
        pieces = tokens * fact("piece")
        runs = ceil(pieces / RUN_BYTES)
        shards = tokens / (LARGE.kept * fact("document_tokens")) * LARGE.shards
        files = max(ceil(pieces / BYTES), ceil(shards / FILES))
        rows.append([
            name, number(groups), size(pieces), number(runs * groups), size(pieces / runs / groups), number(files),
            number(files * groups), size(pieces / files / groups), size(pieces + files * groups * PIECE_BYTES),
            "no" if groups > 32_766 else "yes",
        ])  # fmt: skip
    head = ["one source of", "groups of 2^28", "pieces", "reads of runs", "each", "merged files", "reads", "each",
            "fetched", "Megatron takes them"]  # fmt: skip
    return table(head, rows)


def crawls() -> str:
    """Web text from many snapshots: every one deduplicated against those before it."""
    rows = []
    for n in (1, 10, 40, 100):
        hours = n * sum(LARGE.core_seconds.values()) / HOUR
        kept = n * LARGE.kept
        index = LARGE.kept * (496 + 8 + 4 * 420)
        read = index * n * (n - 1) / 2
        tokens = LARGE.kept * fact("document_tokens")
        rows.append([
            str(n), number(hours), number(n * LARGE.documents), number(n * tokens),
            size(n * LARGE.files * fact("file")), size(kept * fact("documents")), size(index * n), size(read),
        ])  # fmt: skip
    head = [
        "snapshots",
        "core-hours",
        "documents compared",
        "tokens kept",
        "source",
        "documents/",
        "index of all",
        "index read, one after the other",
    ]
    return table(head, rows)


def limits() -> str:
    """At which size each bound is met, in snapshots of 3e9 pages, with shards of 64 MiB and of a file each."""

    def snapshots(shards: float) -> list[str]:
        return [number(shards / SMALL.shards), number(shards / LARGE.shards)]

    links = LINKS_IN_MEMORY / (LARGE.documents * fact("links"))
    receipts = 32e9 / RECEIPTS_OF_A_SHARD / fact("receipt_resident")
    plan = f"{fact('plan_resident'):,.0f} B a shard"
    rows = [
        ["components in more than one task: stars", f"{LINKS_IN_MEMORY:,} links", number(links), number(links)],
        ["a task maps more files than Linux allows: before merging", "64,859 shards", *snapshots(64_859)],
        ["1 GB of plan in every process", plan, *snapshots(1e9 / fact("plan_resident"))],
        ["32 GB of receipts in the driver", "4 receipts a shard", *snapshots(receipts)],
        ["shards that an address has room for: refused", f"{MAX_SHARDS:,} shards", *snapshots(MAX_SHARDS)],
        ["a task maps more files than Linux allows: merged", f"64,859 x {FILES} shards", *snapshots(64_859 * FILES)],
    ]  # fmt: skip
    return table(["bound", "at", "snapshots, 64 MiB", "snapshots, a file each"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "facts": facts_table,
    "snapshot_cpu": snapshot_cpu,
    "snapshot_bytes": snapshot_bytes,
    "snapshot_ranges": snapshot_ranges,
    "snapshot_counts": snapshot_counts,
    "snapshot_requests": snapshot_requests,
    "clusters": clusters,
    "limits": limits,
    "blend": blend,
    "blend_counts": blend_counts,
    "blend_groups": blend_groups,
    "crawls": crawls,
}


def written(page: str) -> str:
    """`page` with the tables of now. Raises KeyError for a name that is none of them."""
    return re.sub(r"<!-- (\w+) -->\n(?:\|.*\n)*", lambda found: f"<!-- {found[1]} -->\n{TABLES[found[1]]()}\n", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(TABLES))
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    if arguments.write:
        arguments.write.write_text(written(arguments.write.read_text()))
        return
    for name, of in TABLES.items():
        if arguments.only in (None, name):
            print(f"<!-- {name} -->\n{of()}\n")


if __name__ == "__main__":
    main()
