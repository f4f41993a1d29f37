"""What one page, one document, one token and one shard cost: the measured numbers that benchmarks/scale.py starts from.

    PYTHONPATH=. taskset -c 1 python benchmarks/scale_costs.py [--data ../shared/data] [--only pages,texts,tokens]

CPU seconds of one core, the best of three rounds, so that other programs on the machine count little. Pages: the 420
real ones of data/warc/derived_trafilatura.warc.gz (125 kB of HTML each, 25 kB compressed). Texts: the English web text
of data/webtext. Two more, `receipts` and `reads`, write 100,000 and 20,000 small files below --tmp: some minutes.
"""

import argparse
import gc
import io
import pickle
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenmill.core.asset import Asset
from tokenmill.core.barrier import VERDICTS, Verdict
from tokenmill.core.document import BATCH_BYTES, DOCUMENT, RECORD, TRAVELLING
from tokenmill.core.recipe import Segment
from tokenmill.core.source import File
from tokenmill.engines.address import of_shard
from tokenmill.engines.keyed_file import KeyedFile, key_range, read_keys
from tokenmill.engines.loop import run_stages, take_errors
from tokenmill.engines.plan import make_plan
from tokenmill.ingest.files import Files
from tokenmill.manifests import checked_json
from tokenmill.manifests.hashing_file import HashingFile
from tokenmill.manifests.manifest import Manifest, Shard
from tokenmill.manifests.parquet_file import ParquetFile
from tokenmill.manifests.store import store_at
from tokenmill.pipelines.web_en import WEB_EN
from tokenmill.tokenize.tokenize import Tokenize

ROUNDS = 3


def best(do: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Least CPU seconds of this thread's process over some rounds; the first, which compiles, is not counted."""
    do()
    times = []
    for _ in range(rounds):
        gc.collect()
        begin = time.process_time()
        do()
        times.append(time.process_time() - begin)
    return min(times)


def say(**figures: Any) -> None:
    for name, value in figures.items():
        print(f"{name:44} {value:,.4g}" if isinstance(value, float) else f"{name:44} {value:,}", flush=True)


def source(paths: list[Path]) -> Files:
    return Files(name="web", files=tuple(File(name=p.name, uri=str(p), size=p.stat().st_size) for p in paths))


def opened(uri: str) -> Any:
    return Path(uri).open("rb")


def read_all(files: Files) -> list[pa.RecordBatch]:
    """All documents, with the columns that an engine adds."""
    batches, row = [], 0
    for number, split in enumerate(files.splits(opened)):
        for chunk in files.read(split, opened, BATCH_BYTES):
            n = chunk.records.num_rows
            extra = [
                pa.array(np.full(n, number, np.int32)),
                pa.array(np.arange(row, row + n)),
                pa.array(np.zeros(n, np.int32)),
                pa.nulls(n, pa.int64()),
            ]
            row += n
            columns = [*chunk.records.cast(RECORD).columns, *extra]
            batches.append(pa.RecordBatch.from_arrays(columns, schema=pa.schema([*RECORD, *TRAVELLING])))
    return [b for b in batches if b.num_rows]


def text_bytes(batches: list[pa.RecordBatch]) -> int:
    return sum(pc.sum(pc.binary_length(b["text"])).as_py() or 0 for b in batches)


def staged(segment: Segment, batches: list[pa.RecordBatch]) -> Iterator[tuple[str, float, int, int, int]]:
    """(step, CPU seconds, documents in, bytes of text in, documents out) of each step in turn."""
    for stage in segment.stages:
        had = [b for b in batches if b.num_rows]

        def apply(had: list[pa.RecordBatch] = had, stage: Any = stage) -> list[pa.RecordBatch]:
            return [run_stages((stage,), b, lambda leaving: None) for b in had]

        seconds = best(apply)
        batches = apply()
        yield stage.name, seconds, sum(b.num_rows for b in had), text_bytes(had), sum(b.num_rows for b in batches)
    segment_batches[:] = [b for b in batches if b.num_rows]


segment_batches: list[pa.RecordBatch] = []  # what the last call of `staged` left


def pages(data: Path) -> None:
    """Reading and the steps that see every page."""
    files = source([data / "warc" / "derived_trafilatura.warc.gz"])
    batches = [take_errors(b, "read", lambda leaving: None) for b in read_all(files)]
    n, html = sum(b.num_rows for b in batches), sum(pc.sum(pc.binary_length(b["html"])).as_py() for b in batches)
    say(pages=n, compressed_bytes_per_page=files.files[0].size / n, html_bytes_per_page=html / n)
    say(read_ms_per_page=best(lambda: read_all(files)) / n * 1e3)
    first = Segment(stages=WEB_EN.segments()[0].stages[:2], barriers=())
    for name, seconds, documents, _, _ in staged(first, batches):
        say(**{f"{name}_ms_per_page": seconds / documents * 1e3})
    out = segment_batches
    say(text_bytes_per_page=text_bytes(out) / n)
    say(
        dropped_bytes_per_page=parquet_bytes(out) / n,
        dropped_write_ms_per_page=best(lambda: parquet_bytes(out)) / n * 1e3,
    )


def parquet_bytes(batches: list[pa.RecordBatch], schema: pa.Schema = DOCUMENT) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = HashingFile(Path(folder) / "x")
        parquet = ParquetFile(file, schema)
        for batch in batches:
            parquet.write(batch)
        parquet.close()
        file.close()
        return file.bytes


def texts(data: Path) -> list[pa.RecordBatch]:
    """The steps that see English text alone, and what the barriers are told of each document."""
    names = ("c4_demo.jsonl.gz", "dclm_human_quality_majority.jsonl.gz", "dj_redpajama-cc-2023-06-refined.jsonl")
    files = source([data / "webtext" / name for name in names])
    batches = [pa.concat_batches([take_errors(b, "read", lambda leaving: None) for b in read_all(files)])]
    batches[0] = run_stages(WEB_EN.segments()[0].stages[:3], batches[0], lambda leaving: None)
    mb = text_bytes([batches[0]]) / 1e6
    say(english_documents=batches[0].num_rows, english_bytes_per_document=mb * 1e6 / batches[0].num_rows)
    segment = WEB_EN.segments()[0]
    total = 0.0
    # On all documents, not on those that the filters before left: few remain here, and a few are no measure.
    for stage in segment.stages[3:]:
        batch = batches[0]
        total += (seconds := best(partial(run_stages, (stage,), batch, lambda leaving: None)))
        if stage.adds:
            batches[0] = run_stages((stage,), batch, lambda leaving: None)
        say(**{f"{stage.name}_ms_per_MB": seconds / mb * 1e3})
    say(all_filters_ms_per_MB=total / mb * 1e3)
    n, whole = batches[0].num_rows, batches[0]
    for barrier in segment.barriers:
        assert isinstance(barrier, Verdict)
        say(**{f"{barrier.name}_observe_ms_per_MB": best(partial(barrier.observe, whole, None)) / mb * 1e3})
        kept = barrier.observe(whole, None)
        emitted = barrier.rounds[0].emit(with_address(kept, whole), whole, None)
        say(**{f"{barrier.name}_remembers_bytes_per_document": kept.nbytes / n})
        say(**{f"{barrier.name}_emits_bytes_per_document": emitted.nbytes / n})
    say(survivor_bytes_per_document=lz4_bytes(whole) / n, documents_bytes_per_document=parquet_bytes([whole]) / n)
    say(write_ms_per_MB=best(lambda: parquet_bytes([whole])) / mb * 1e3)
    measures = pa.schema([DOCUMENT.field("id"), pa.field("row", pa.int64()), *WEB_EN.measures()])
    say(measures_bytes_per_document=parquet_bytes([whole], measures) / n, measures=len(measures) - 2)
    return batches


def with_address(kept: pa.RecordBatch, of: pa.RecordBatch) -> pa.RecordBatch:
    for name in ("shard", "row"):
        if name not in kept.schema.names:
            kept = kept.append_column(TRAVELLING.field(name), of[name])
    return kept


def lz4_bytes(batch: pa.RecordBatch) -> int:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(batch)
    return len(sink.getvalue())


def tokens(data: Path) -> None:
    """Tokenizing, and what a token weighs while it is shuffled."""
    batch = pa.concat_batches(read_all(source([data / "webtext" / "c4_demo.jsonl.gz"])))
    stage = Tokenize(tokenizer=Asset.of(data / "tokenizers" / "llama3.tokenizer.json"), eod="<|end_of_text|>")
    seconds = best(lambda: stage.apply(batch))
    done = stage.apply(batch)
    n, mb = pc.sum(done["tokens"]).as_py(), text_bytes([batch]) / 1e6
    say(tokenize_MB_per_s=mb / seconds, bytes_per_token=mb * 1e6 / n, tokens_per_document=n / batch.num_rows)
    travelling = done.select(["id", "source", "shard", "row", "priority", "chars_in", "ids", "tokens"])
    say(shuffled_bytes_per_token=travelling.nbytes / n, shuffled_lz4_bytes_per_token=lz4_bytes(travelling) / n)
    order = pa.array(np.random.default_rng(0).permutation(batch.num_rows))
    say(sorting_ns_per_token=best(lambda: [travelling.take(order) for _ in range(50)]) / 50 / n * 1e9)


def receipts(folder: Path, n: int = 100_000) -> None:
    """The driver's side: a plan of many shards, and a receipt for each."""
    for shards in (n, 10 * n):
        plan_of(shards)
    name, sha = "crawl-00000", "a" * 64
    file = {"bytes": 2_043_508, "kind": "dropped", "rows": 1800, "rows_hash": sha[:32], "sha256": sha}
    work = (
        "emitted/exact_dedup.exact_dedup", "emitted/fuzzy_dedup.bands", "kept/exact_dedup", "kept/fuzzy_dedup",
        "segment-0", "segment-0/ledger", "segment-0/measures",
    )  # fmt: skip
    kinds = ("metadata", "request", "response: image/jpeg", "response: status 301", "warcinfo")
    body = {
        "inputs": sha, "documents": 33_000, "kept": 5_000, "text_bytes": 15_000_000, "began": 0, "ended": 10**9,
        "totals": {}, "records": dict.fromkeys(kinds, 33_000),
        "files": [{**file, "path": f"dropped/{name}.parquet"}],
        "work": {f"_work/{w}/{name}.arrow": 1_000_000 for w in work},
    }  # fmt: skip
    content = checked_json.content_of(body)
    folder.mkdir(parents=True)
    for i in range(n):
        (folder / f"{i:06d}.json").write_bytes(content)
    before, begin = resident(), time.process_time()
    bodies = [checked_json.load(folder / f"{i:06d}.json") for i in range(n)]
    say(receipt_bytes=len(content), receipt_load_us=(time.process_time() - begin) / n * 1e6)
    say(receipt_resident_bytes=(resident() - before) // n)
    del bodies
    closing(folder, n, file)


def closing(folder: Path, n: int, file: dict[str, Any]) -> None:
    """The manifest of n shards with 5 files each."""
    kinds = ("documents", "dropped", "dropped/after", "ledger", "measures")
    named = sorted(f"{kind}/crawl-{i:05d}.parquet" for kind in kinds for i in range(n))
    begin = time.process_time()
    shards = tuple(Shard(**{**file, "path": path, "kind": path.partition("/")[0]}) for path in named)
    manifest = Manifest(name="web_en", recipe="web_en@1", parents=(), shards=shards, totals={}, assets={})
    say(manifest_files=len(shards), manifest_made_s=time.process_time() - begin)
    begin = time.process_time()
    say(identity=int(manifest.identity[:4], 16), identity_s=time.process_time() - begin)
    begin = time.process_time()
    manifest.save(store_at(folder / "out"))
    say(manifest_saved_s=time.process_time() - begin, resident_MB=resident() // 10**6)


def plan_of(shards: int) -> None:
    head = io.BytesIO(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n").getvalue()
    folder = "s3://commoncrawl/crawl-data/CC-MAIN-2026-40/segments/1700000000.00/warc"
    files = tuple(
        File(name=f"CC-MAIN-20261001000000-{i:05d}.warc", uri=f"{folder}/CC-MAIN-20261001000000-{i:05d}.warc",
             size=64 << 20, modified_ns=1)
        for i in range(shards)
    )  # fmt: skip
    begin = time.process_time()
    plan = make_plan(WEB_EN, [Files(name="crawl", files=files)], lambda uri: io.BytesIO(head))
    say(**{f"plan_of_{shards:,}_s": time.process_time() - begin})
    begin = time.process_time()
    packed = pickle.dumps(plan, 5)
    say(**{f"plan_of_{shards:,}_pickled_MB": len(packed) / 1e6})
    del plan, files
    gc.collect()
    before, begin = resident(), time.process_time()
    again = pickle.loads(packed)
    say(**{f"plan_of_{shards:,}_unpickle_s": time.process_time() - begin})
    say(**{f"plan_of_{len(again.shards):,}_resident_MB": (resident() - before) / 1e6})


def resident() -> int:
    pages_ = int(Path("/proc/self/statm").read_text().split()[1])
    return pages_ * resource.getpagesize()


def reads(folder: Path, n: int = 20_000, partitions: int = 600, documents: int = 450) -> None:
    """One range of keys out of one shard's file; the verdicts of one shard out of one partition's file."""
    schema = pa.schema([("key", pa.uint64()), ("shard", pa.int32()), ("row", pa.int64())])
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = documents * 14
    for i in range(n):
        with HashingFile(folder / f"{i:06d}") as file:
            keyed = KeyedFile(file, schema)
            key = rng.integers(0, 2**64, rows, np.uint64)
            keyed.write(pa.record_batch([key, np.full(rows, i, np.int32), np.arange(rows)], schema=schema))
            keyed.close()
    paths = sorted(folder.iterdir())

    def one() -> int:
        return sum(b.num_rows for p in paths for b in read_keys(p, *key_range(7, partitions)))

    say(read_keys_us_per_file=best(one, 2) / n * 1e6)
    verdicts = folder / "verdicts"
    verdicts.mkdir()
    for p in range(partitions):
        shard = np.sort(rng.integers(0, 100_000, n)).astype(np.int32)
        row, keeper = np.arange(n), pa.array(["a" * 32] * n)
        columns = [shard, row, keeper, shard, row, np.ones(n, np.float32), pa.nulls(n, pa.int32())]
        with pa.ipc.new_file(str(verdicts / f"{p:05d}"), VERDICTS) as writer:
            writer.write_table(pa.table(columns, schema=VERDICTS))
    paths = sorted(verdicts.iterdir())
    say(of_shard_us_per_file=best(lambda: of_shard(paths, VERDICTS, 777)) / partitions * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tmp", type=Path, default=Path(tempfile.gettempdir()) / "tokenmill-scale-costs")
    parser.add_argument("--only", default="pages,texts,tokens,receipts,reads")
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    shutil.rmtree(arguments.tmp, ignore_errors=True)
    parts: dict[str, Callable[[Path], object]] = {
        "pages": pages,
        "texts": texts,
        "tokens": tokens,
        "receipts": receipts,
        "reads": reads,
    }
    for name in arguments.only.split(","):
        print(f"# {name}", flush=True)
        place = arguments.data if name in ("pages", "texts", "tokens") else arguments.tmp / name
        parts[name](place)
    shutil.rmtree(arguments.tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
