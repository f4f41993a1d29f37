"""Are the verdicts of fuzzy_dedup right, does it find what the formula says, and what do other tools make of the same?

    PYTHONPATH=. python benchmarks/dedup_quality.py --data ../shared/data [--peers [PYTHON]] [--text-dedup PYTHON]

The set is real documents with planted copies (tests/dedup/planted.py), the truth every pair of them by exact Jaccard.
`--peers` runs datatrove, datasketch and rensa in an interpreter that has them (this one by default), `--text-dedup`
that tool in one that has it: its dependencies suit nobody else's. `--write` puts what is printed into results/.
"""

import argparse
import datetime as dt
import gzip
import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from textwrap import fill

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "tests/dedup")]

from planted import (  # noqa: E402
    Document,
    Pairs,
    all_pairs,
    batch_of,
    chosen,
    jaccard_of,
    neighbours_of,
    odds_of_a_band,
    real_documents,
    share_a_band,
    synthetic_pairs,
    walked,
    with_copies,
)
from verdict_runs import run_verdict  # noqa: E402

from tokenmill.dedup.fuzzy import FuzzyDedup  # noqa: E402
from tokenmill.kernels.minhash import signatures  # noqa: E402

COMMAND = "PYTHONPATH=. python benchmarks/dedup_quality.py --data ../shared/data --peers PYTHON --text-dedup PYTHON"
COUNTED = 0.3  # pairs from here on are listed
SYNTHETIC = 10_000  # pairs in each bin
SEEDS = range(100, 110)  # real pairs have documents in common, so that one family of hashes is right or wrong for many
CHARACTERS = FuzzyDedup(unit="characters", shingle_length=24, bands=20, rows_per_band=13, threshold=0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run of a step over a set, with the truth about it."""

    step: FuzzyDedup
    batch: pa.RecordBatch
    pairs: Pairs  # all from COUNTED on
    candidate: npt.NDArray[np.bool_]  # of `pairs`: share a band
    by_chance: npt.NDArray[np.float64]  # of `pairs`: share of SEEDS families of hashes by which they share one
    keepers: dict[int, int]
    stated: npt.NDArray[np.float64]  # similarities that the verdicts state, in the order of `keepers`
    exact: npt.NDArray[np.float64]  # the true ones, by plain sets
    counts: dict[str, int]


def places_of(step: FuzzyDedup, texts: pa.LargeStringArray, seed: int | None = None) -> npt.NDArray[np.uint32]:
    return signatures(texts, step.hashes, step.shingle_length, step.seed if seed is None else seed, step.unit)[0]


def judged(step: FuzzyDedup, texts: list[str]) -> Judged:
    batch = batch_of(texts)
    table, counts = run_verdict(step, batch)
    keepers = dict(zip(table["row"].to_pylist(), table["keeper_row"].to_pylist(), strict=True))
    pairs = all_pairs(texts, COUNTED, step.shingle_length, step.unit)
    exact = [jaccard_of(texts[row], texts[keeper], step.shingle_length, step.unit) for row, keeper in keepers.items()]
    by_seed = [share_a_band(places_of(step, batch["text"], seed), pairs, step.bands) for seed in SEEDS]
    return Judged(
        step=step,
        batch=batch,
        pairs=pairs,
        candidate=share_a_band(places_of(step, batch["text"]), pairs, step.bands),
        by_chance=np.mean(by_seed, axis=0),
        keepers=keepers,
        stated=table["similarity"].to_numpy().astype(np.float64),
        exact=np.array(exact),
        counts=counts,
    )


def verdicts_are_right(run: Judged) -> Iterator[str]:
    step, near = run.step, run.pairs.jaccard >= run.step.threshold
    right = int((run.exact >= step.threshold).sum())
    kept_keepers = sum(keeper not in run.keepers for keeper in run.keepers.values())
    by_shingles = np.float32(run.exact) == np.float32(run.stated)
    off = np.abs(run.stated - run.exact)[~by_shingles]
    errors = off / np.sqrt(np.maximum(run.exact * (1 - run.exact), 1e-9) / step.hashes)[~by_shingles]
    paired = chosen(run.pairs, near & run.candidate)
    definition = walked(run.batch, paired)
    other = sum(run.keepers.get(row) != definition.get(row) for row in {*run.keepers, *definition})
    documents, gone = run.batch.num_rows, len(run.keepers)
    yield f"- {documents:,} documents, {near.sum():,} pairs at {step.threshold} or more; {gone:,} removed."
    yield (
        f"- Precision **{right / gone:.3f}**: {right:,} of {gone:,} removed documents have a true similarity of"
        f" {step.threshold} or more to the keeper that their verdict names (the least: {run.exact.min():.4f}), and of"
        f" {kept_keepers:,} that keeper is kept."
    )
    yield (
        f"- {int(by_shingles.sum()):,} verdicts state the true similarity; {len(off):,} were decided by signatures, and"
        f" state it within {errors.max(initial=0):.1f} standard errors ({off.max(initial=0):.3f})."
    )
    yield (
        f"- {other} documents fare differently from the definition: the walk in plain Python over all pairs at the"
        " threshold that share a band."
    )
    neighbours, unexplained, missed = neighbours_of(chosen(run.pairs, near)), 0, 0
    together = {*zip(paired.one.tolist(), paired.two.tolist(), strict=True)}
    for row, others in neighbours.items():
        near_kept = [other for other in others if other not in run.keepers]
        if row not in run.keepers and near_kept:
            missed += 1
            unexplained += any((min(row, other), max(row, other)) in together for other in near_kept)
    left = still_to_remove(run.batch, run.pairs, set(run.keepers), step.threshold)
    yield (
        f"- Of the documents that one would remove who knew all pairs, {gone / (gone + left):.1%} are. {missed:,} kept"
        f" documents still have a near one that is kept; {unexplained} of them share a band with it. Comparisons that"
        f" the cap prevented: {run.counts['unverified']}."
    )


def still_to_remove(batch: pa.RecordBatch, pairs: Pairs, gone: set[int], threshold: float) -> int:
    """Documents that the walk over all near pairs of those that were kept would remove."""
    stays = np.ones(batch.num_rows, np.bool_)
    stays[list(gone)] = False
    return len(walked(batch, chosen(pairs, (pairs.jaccard >= threshold) & stays[pairs.one] & stays[pairs.two])))


def recall_by_bins(run: Judged, edges: Sequence[float], worst: list[float]) -> Iterator[str]:
    """`worst` is given the differences from the formula, in points, of the bins above the threshold."""
    step = run.step
    yield (
        "| true similarity | planted pairs | share a band | by ten other seeds | formula | synthetic pairs"
        " | share a band | formula | all, off by | removed at it |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for number, (low, high) in enumerate(pairwise(edges)):
        below = np.nextafter(high, 2) if high == edges[-1] else high
        some = (run.pairs.jaccard >= low) & (run.pairs.jaccard < below)
        removed_here = (run.exact >= low) & (run.exact < below)
        texts, pairs = synthetic_pairs(SYNTHETIC, low, high, number, unit=step.unit, length=step.shingle_length)
        found = share_a_band(places_of(step, texts), pairs, step.bands)
        planted, real = run.pairs.jaccard[some], run.candidate[some]
        odds = [odds_of_a_band(values, step.bands, step.rows_per_band) for values in (planted, pairs.jaccard)]
        off = 100 * (np.concatenate((real, found)).mean() - np.concatenate(odds).mean())
        if low >= step.threshold:
            worst.append(abs(float(off)))
        yield (
            f"| {low:.2f} to {high:.2f} | {some.sum():,} | {real.mean():.1%} | {run.by_chance[some].mean():.1%}"
            f" | {odds[0].mean():.1%} | {len(found):,}"
            f" | {found.mean():.1%} | {odds[1].mean():.1%} | {off:+.1f} points | {removed_here.sum():,} |"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a tool says of a set."""

    tool: str
    seconds: float
    removed: dict[int, int]


def by_our_command(documents: Path, folder: Path) -> Told:
    """Rows are told apart by the order of their addresses, which is that of the file."""
    command = "import sys; from tokenmill.jobs.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["run", "fuzzy_dedup", "--source", f"pages={documents}", "--out", str(folder / "ours"), "--workers", "1"]
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", command, *words], check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    ledger = pa.concat_tables(pq.read_table(path) for path in sorted((folder / "ours/ledger").iterdir())).to_pylist()
    addresses = sorted((entry["shard"], entry["row"]) for entry in ledger)
    place = {address: row for row, address in enumerate(addresses)}
    removed = {
        place[entry["shard"], entry["row"]]: place[entry["keeper_shard"], entry["keeper_row"]]
        for entry in ledger
        if entry["fate"] == "duplicate"
    }
    return Told(tool="ours, `tokenmill run fuzzy_dedup`", seconds=seconds, removed=removed)


def by_peer(name: str, interpreter: str, documents: Path, folder: Path) -> Told:
    out = folder / f"{name}.json"
    script = HERE / "dedup_quality_peers.py"
    done = subprocess.run([interpreter, str(script), name, str(documents), str(out)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} by {interpreter}: {done.stderr[-2000:]}")
    told = json.loads(out.read_text())
    return Told(tool=f"{name} {told['version']}", seconds=told["seconds"], removed=dict(told["removed"]))


def beside_peers(texts: list[str], peers: dict[str, str], threshold: float) -> Iterator[str]:
    yield (
        "| tool | removed | near some kept document | near the one that stays for it | false, below"
        f" {threshold} | false, below .5 | removed of what should be | seconds |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    random.Random(1).shuffle(texts := [*texts])  # tools that keep the first one met are not to meet the originals first
    batch, pairs = batch_of(texts), all_pairs(texts, COUNTED)
    neighbours = neighbours_of(pairs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = folder / "documents.parquet"
        pq.write_table(pa.table({"id": [str(row) for row in range(len(texts))], "text": texts}), documents)
        by_our_command(documents, folder / "first")  # compiles
        runs = [by_our_command(documents, folder)]
        runs += [by_peer(peer, interpreter, documents, folder) for peer, interpreter in peers.items()]
    for told in runs:
        gone = told.removed
        nearest = np.array([max((s for o, s in neighbours[row].items() if o not in gone), default=0) for row in gone])
        named = np.array([neighbours[row].get(keeper, 0) for row, keeper in gone.items()])
        true = int((nearest >= threshold).sum())
        left = still_to_remove(batch, pairs, set(gone), threshold)
        yield (
            f"| {told.tool} | {len(gone):,} | {true / len(gone):.1%} | {(named >= threshold).mean():.1%}"
            f" | {len(gone) - true:,} | {int((nearest < 0.5).sum()):,} | {true / (true + left):.1%}"
            f" | {told.seconds:.1f} |"
        )


def articles(data: Path) -> list[str]:
    with (data / "neardup/minhash_articles.txt").open(encoding="utf-8") as lines:
        return [line.rstrip("\n").split(" ", 1)[1] for line in lines]


def versions_of_pages(data: Path) -> list[str]:
    with gzip.open(data / "neardup/etcd_versions.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def kinds(documents: list[Document], run: Judged) -> Iterator[str]:
    """What was planted: the similarity of each copy to its original, and who left."""
    yield "| edit, of 1 to 30% of the words | copies | at the threshold or above | of these, copy or original removed |"
    yield "|---|---|---|---|"
    known = neighbours_of(run.pairs)
    for kind in dict.fromkeys(d.kind for d in documents if d.kind != "original"):
        rows = [row for row, document in enumerate(documents) if document.kind == kind]
        near = [row for row in rows if known[row].get(documents[row].of, 0) >= run.step.threshold]
        left = sum(row in run.keepers or documents[row].of in run.keepers for row in near)
        yield f"| {kind} | {len(rows):,} | {len(near):,} | {left / max(1, len(near)):.1%} |"


def report(data: Path, peers: dict[str, str]) -> Iterator[str]:
    originals = real_documents(data)
    documents = with_copies(originals, 2)
    texts = [document.text for document in documents]
    words, worst = judged(FuzzyDedup(), texts), list[float]()
    some = with_copies(originals[::3], 2)
    characters, worst_of_characters = judged(CHARACTERS, [document.text for document in some]), list[float]()
    bins = [*recall_by_bins(words, (0.3, 0.5, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0), worst)]
    bins_of_characters = [*recall_by_bins(characters, (0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0), worst_of_characters)]
    precision = min(float((run.exact >= run.step.threshold).mean()) for run in (words, characters))
    off = max(worst + worst_of_characters)
    yield f"# Fuzzy duplicates: precision {precision:.3f}, recall within {off:.1f} points of the formula"
    yield ""
    yield (
        f"{dt.datetime.now(tz=dt.UTC).date()}, a machine with 2 cores, shared with other work."
        f" Python {platform.python_version()}, numba {version('numba')}, pyarrow {version('pyarrow')}."
    )
    yield f"\n    {COMMAND}\n"
    size = sum(len(text.encode()) for text in texts) / 1e6
    yield (
        f"{len(originals):,} real documents of 50 to 1,000 words (web text, code, documentation in many languages,"
        " news) and two copies of each, edited in turns by the six kinds below, of 1 to 30% of the words:"
        f" {len(texts):,} documents, {size:.0f} MB. Truth is the Jaccard similarity of every pair, by counting the"
        " shingles that they share. What was removed was compared with its keeper once more by plain sets of strings."
    )
    yield "\n## 5 words, 14 bands of 8, threshold .75\n"
    yield from verdicts_are_right(words)
    yield ""
    yield from bins
    yield "\nBelow the threshold pairs share bands, as the formula has it, and verification keeps them all.\n"
    yield from kinds(documents, words)
    yield "\n## 24 characters, 20 bands of 13, threshold .8\n"
    yield "On every third document and its copies.\n"
    yield from verdicts_are_right(characters)
    yield ""
    yield from bins_of_characters
    if peers:
        yield "\n## Beside others\n"
        yield (
            "All by shingles of 5 words, 14 bands of 8 and, where one can be said, threshold .75; one process each."
            " Truth is as above. Others split words in their own ways (text-dedup at each symbol, so that there are"
            " empty words in code), so that by theirs some of what is below the threshold is near; what is far is"
            " counted apart. datatrove and text-dedup verify nothing: they keep one of each cluster, the pairs of which"
            " share a band. datasketch's index does not either; rensa compares signatures. Both are given shingles, one"
            " document after another. Documents come in random order. Ours keeps the longer text, others the first or"
            " the root of a tree: where a document is near two that are not near each other, they remove more or fewer"
            " with equal right. `removed of what should be`: true removals, through these and what the walk over all"
            " near pairs would still remove of what was kept. Seconds: ours is the command, with its start, reading,"
            " writing and the ledger; theirs are without the start of Python, those of datatrove and text-dedup with"
            " reading and writing.\n"
        )
        for name, found in (
            ("The planted set", texts),
            ("`neardup/etcd_versions`, pages of a manual in several releases", versions_of_pages(data)),
            ("`neardup/minhash_articles`, news, ten of them plagiarised", articles(data)),
        ):
            yield f"{name}: {len(found):,} documents\n"
            yield from beside_peers(found, peers, 0.75)
            yield ""


def wrapped(paragraph: str) -> str:
    """Lines of at most 120 characters; line ends that are there stay."""
    indent = "  " if paragraph.startswith("- ") else ""
    parts = paragraph.split("\n")
    return "\n".join(fill(p, 120, subsequent_indent=indent, break_on_hyphens=False) for p in parts)


def main(data: Path, peers: dict[str, str], write: bool) -> None:
    lines = []
    for line in report(data, peers):
        lines.append(line if "|" in line or "    " in line else wrapped(line))
        print(lines[-1], flush=True)
    if write:
        (HERE / "results/dedup_quality.md").write_text("\n".join(lines).rstrip("\n") + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", nargs="?", const=sys.executable, metavar="PYTHON")
    parser.add_argument("--text-dedup", metavar="PYTHON")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    theirs = dict.fromkeys(("datatrove", "datasketch", "rensa"), given.peers) if given.peers else {}
    if given.text_dedup:
        theirs["text-dedup"] = given.text_dedup
    main(given.data, theirs, given.write)
