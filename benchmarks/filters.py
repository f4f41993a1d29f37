"""Time and compare the heuristic filters of `web_en` with datatrove's, on the same documents, in one process.

    python benchmarks/filters.py --data ../shared/data [--core 0] [--rounds 5] [--every 4]

Needs the extra `bench` (datatrove with its processing extra). The times are medians of interleaved rounds on one
pinned core, over every n-th document; the decisions are compared over all documents. datatrove runs its four filters
in full, each alone over all documents, through `filter()`, without its pipeline around it.
"""

import argparse
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter
from resiliparse.extract.html2text import extract_plain_text

from tokenmill.core.stage import Filter
from tokenmill.filters.c4 import C4
from tokenmill.filters.c4_edit import C4Edit
from tokenmill.filters.fineweb import FineWeb
from tokenmill.filters.gopher_quality import GopherQuality
from tokenmill.filters.gopher_repetition import GopherRepetition
from tokenmill.filters.measure_lines import MeasureLines
from tokenmill.filters.measure_text import MeasureText

BATCH_BYTES = 8 << 20

THEIRS: dict[str, BaseFilter] = {
    "gopher_repetition": GopherRepetitionFilter(),
    "gopher_quality": GopherQualityFilter(),
    "c4": C4QualityFilter(filter_no_terminal_punct=False),
    "fineweb": FineWebQualityFilter(),
}
OURS: dict[str, Filter] = {f.name: f for f in (GopherRepetition(), GopherQuality(), C4(), FineWeb())}

SAME_REASON = {  # datatrove's word: our rule
    "empty": "chars_at_least",
    "dup_para_frac": "paragraphs_repeated_at_most",
    "dup_para_char_frac": "chars_in_repeated_paragraphs_at_most",
    "dup_line_frac": "lines_repeated_at_most",
    "dup_line_char_frac": "chars_in_repeated_lines_at_most",
    **{f"top_{n}_gram": f"top_{n}_gram_at_most" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"repeated_{n}_grams_at_most" for n in range(5, 11)},
    "gopher_short_doc": "words_at_least",
    "gopher_long_doc": "words_at_most",
    "gopher_below_avg_threshold": "mean_word_length_at_least",
    "gopher_above_avg_threshold": "mean_word_length_at_most",
    "gopher_too_many_hashes": "hashes_at_most",
    "gopher_too_many_ellipsis": "ellipses_at_most",
    "gopher_too_many_bullets": "bullet_lines_at_most",
    "gopher_too_many_end_ellipsis": "ellipsis_lines_at_most",
    "gopher_below_alpha_threshold": "with_letter_at_least",
    "gopher_enough_stop_words": "stop_words_at_least",
    "lorem_ipsum": "lorem_ipsum_lines_at_most",
    "curly_bracket": "curly_bracket_lines_at_most",
    "too_few_sentences": "sentences_at_least",
    "line_punct_ratio": "punctuated_lines_at_least",
    "short_line_ratio": "short_lines_at_most",
    "char_dup_ratio": "chars_in_duplicate_lines_at_most",
    "list_ratio": "newlines_at_most",
}


def documents(data: Path) -> list[str]:
    """Web text in several corpora, English documentation, and the text of HTML pages. Empty texts are left out."""
    texts: list[str] = []
    for path in sorted((data / "webtext").iterdir()):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            texts += table["text" if "text" in table.column_names else "contents"].to_pylist()
        else:
            with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            texts += [row.get("text") or row.get("content") for row in rows]
    docs = pq.read_table(data / "multilingual/tf_docs.parquet")
    texts += docs.filter(pa.compute.equal(docs["language"], "en"))["text"].to_pylist()
    for name in ("mozilla_readability", "trafilatura_eval"):
        pages = pq.read_table(data / f"html/{name}.parquet")["html"].to_pylist()
        pages = [p.decode("utf-8", "replace") if isinstance(p, bytes) else p for p in pages]
        texts += [extract_plain_text(page, main_content=True) for page in pages]
    return [text for text in texts if text]


def batches(texts: list[str]) -> list[pa.RecordBatch]:
    """The texts as the engine hands them over: batches of about BATCH_BYTES."""
    cut: list[list[str]] = [[]]
    size = 0
    for text in texts:
        size += len(text.encode())
        if size > BATCH_BYTES:
            cut.append([])
            size = len(text.encode())
        cut[-1].append(text)
    return [pa.record_batch({"text": pa.array(part, pa.large_string())}) for part in cut]


def our_measures(parts: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    return [MeasureLines().apply(MeasureText().apply(part)) for part in parts]


def run_ours(parts: list[pa.RecordBatch]) -> None:
    """Everything: both measuring stages, all four filters and the edit, over all documents."""
    for part in our_measures(parts):
        for ours in OURS.values():
            ours.decide(part)
        C4Edit().apply(part)


def our_steps(parts: list[pa.RecordBatch]) -> dict[str, Callable[[], object]]:
    measured = our_measures(parts)
    return {
        "measure_text": lambda: [MeasureText().apply(p) for p in parts],
        "measure_lines": lambda: [MeasureLines().apply(p) for p in parts],
        "c4_edit": lambda: [C4Edit().apply(p) for p in parts],
        "the four filters' rules": lambda: [f.decide(p) for f in OURS.values() for p in measured],
    }


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def their_seconds(name: str, texts: list[str]) -> float:
    fresh = [Document(text=text, id="") for text in texts]  # C4 writes into its documents
    judge = THEIRS[name].filter
    return seconds(lambda: [judge(document) for document in fresh])


def compare(texts: list[str]) -> None:
    """Print how often the two decide the same, per filter."""
    measured = our_measures(batches(texts))
    edited = [text for part in measured for text in C4Edit().apply(part)["text"].to_pylist()]
    print("\n| filter | kept by datatrove | by us | same decision | same reason too |\n|---|---|---|---|---|")
    for name, ours in OURS.items():
        rules = [rule for part in measured for rule in ours.decide(part).rule.to_pylist()]
        fresh = [Document(text=text, id="") for text in texts]
        theirs = [THEIRS[name].filter(document) for document in fresh]
        reasons = [None if t is True else SAME_REASON[t[1]] for t in theirs]
        if name == "fineweb":
            reasons = ["punctuated_lines_at_least" if r == "chars_at_least" else r for r in reasons]
        same = sum((a is None) == (b is None) for a, b in zip(rules, reasons, strict=True))
        same_reason = sum(a == b for a, b in zip(rules, reasons, strict=True))
        print(
            f"| {name} | {reasons.count(None)} | {rules.count(None)} "
            f"| {same} ({same / len(texts):.2%}) | {same_reason} ({same_reason / len(texts):.2%}) |"
        )
        if name == "c4":
            both = [i for i in range(len(texts)) if reasons[i] is None and rules[i] is None]
            equal = sum(fresh[i].text == edited[i] for i in both)
    print(f"\nOf the {len(both)} texts that both keep by C4, {equal} are the same behind its edit.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=4, help="time every n-th document")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    texts = documents(arguments.data)
    sample = texts[:: arguments.every]
    parts, megabytes = batches(sample), sum(len(t.encode()) for t in sample) / 1e6
    whole, whole_megabytes = batches(texts), sum(len(t.encode()) for t in texts) / 1e6
    steps = our_steps(whole)
    run_ours(parts)  # compiles, or loads what was compiled
    for name in THEIRS:
        their_seconds(name, sample[:20])
    taken: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for name in THEIRS:
            taken.setdefault(name, []).append(their_seconds(name, sample))
        # Ours takes a hundredth of the time: once a round would measure who else was awake just then.
        taken.setdefault("ours", []).append(statistics.median(seconds(lambda: run_ours(parts)) for _ in range(9)))
        for name, step in steps.items():
            taken.setdefault(name, []).append(seconds(step))
        taken.setdefault("all", []).append(seconds(lambda: run_ours(whole)))
    median = {name: statistics.median(times) for name, times in taken.items()}
    theirs = sum(median[name] for name in THEIRS)
    ratios = [sum(taken[n][i] for n in THEIRS) / taken["ours"][i] for i in range(arguments.rounds)]
    print(f"Timed: {len(sample)} documents, {megabytes:.2f} MB; all: {len(texts)}, {whole_megabytes:.2f} MB.\n")
    print("| what | MB/s |\n|---|---|")
    for name in THEIRS:
        print(f"| datatrove {name}, alone | {megabytes / median[name]:.2f} |")
    print(f"| datatrove, all four | {megabytes / theirs:.3f} |")
    print(f"| ours, all of it | {megabytes / median['ours']:.1f} |")
    for name in steps:
        print(f"| ours, {name}, all documents | {whole_megabytes / median[name]:.1f} |")
    print(f"| ours, all of it, all documents | {whole_megabytes / median['all']:.1f} |")
    print(f"\nRatio: {theirs / median['ours']:.0f} (rounds: {min(ratios):.0f} to {max(ratios):.0f}).")
    compare(texts)


if __name__ == "__main__":
    main()
