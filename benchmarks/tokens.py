"""Text to ids beside Hugging Face tokenizers and tiktoken: the same ids, MB/s of UTF-8, one pinned core.

    taskset -c 1 python benchmarks/tokens.py --data ../shared/data [--tokenizer llama3]

Of each kind of text the last 4 MB are measured. Cold: a table that holds the vocabulary alone. Warm: after all the rest
of that kind (36 MB of code, 25 MB in 75 languages, 4 MB of English), of which nothing comes again. Again: the same 4 MB
once more, a bound that no text reaches. Scan alone: cutting by the first split, the limit of all that follows. tiktoken
runs `encode_ordinary`, its fastest call on one core; it has the tokenizer of Llama 3 alone. Rounds take turns; the best
of three counts.
"""

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from tokenmill.kernels.pretoken_table import MISSED_BYTES, MISSES, PRETOKENS
from tokenmill.kernels.split_scan import PADDING, split
from tokenmill.tokenize.byte_bpe import ByteBpe, scan_tables
from tokenmill.tokenize.tokenizer_json import read

MEASURED = 4_000_000  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="llama3")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    path = asked.data / "tokenizers" / f"{asked.tokenizer}.tokenizer.json"
    described = read(path, set())
    library = Tokenizer.from_file(str(path))
    library.encode_special_tokens = True
    library.no_truncation()
    ranks = _tiktoken(asked.data) if asked.tokenizer == "llama3" else None
    ByteBpe(described.rules).encode(pa.array(["compiled"], pa.large_string()))
    print(f"{asked.tokenizer}: MB/s, and how many times Hugging Face tokenizers")
    for kind, texts in kinds(asked.data).items():
        before, measured = _parted(texts)
        _measure(kind, before, measured, described.rules, library, ranks, asked.rounds)


def _measure(
    kind: str, before: list[str], measured: list[str], rules: Any, library: Tokenizer, ranks: Any, rounds: int
) -> None:
    size = sum(len(text.encode()) for text in measured)
    column = pa.array(measured, pa.large_string())
    best: dict[str, float] = {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        made = run()
        best[name] = max(best.get(name, 0), size / 1e6 / (time.perf_counter() - began))
        return made

    raw = np.frombuffer("".join(measured).encode() + bytes(PADDING), np.uint8)
    class_of, tables = scan_tables(rules.splits)
    warm_scan = partial(split, raw, size, class_of[0], tables[0], np.zeros(size + 1, np.int64))
    wanted: list[int] = []
    for _ in range(rounds):
        cold, warm = ByteBpe(rules), ByteBpe(rules)
        cold.encode(pa.array([""], pa.large_string()))
        warm.encode(pa.array(before, pa.large_string()))
        seen = warm.counts.copy()
        ids, _ = timed("cold", partial(cold.encode, column))
        timed("warm", partial(warm.encode, column))
        new = warm.counts - seen
        timed("again", partial(warm.encode, column))
        timed("scan alone", warm_scan)
        made = timed("HF", lambda: library.encode_batch_fast(measured, add_special_tokens=False))
        wanted = [id for encoding in made for id in encoding.ids]
        if ranks is not None:
            timed("tiktoken", lambda: [ranks.encode_ordinary(text) for text in measured])
        assert ids.tolist() == wanted, "the ids differ"
    read_before = sum(len(text.encode()) for text in before) / 1e6
    missed = f"{new[MISSES] / new[PRETOKENS]:.1%} of pretokens and {new[MISSED_BYTES] / size:.1%} of bytes new"
    print(f"{kind}: {size / len(wanted):.2f} bytes a token; warm: after {read_before:.0f} MB, {missed}")
    for name, speed in best.items():
        against = f", {speed / best['tiktoken']:5.1f} x tiktoken" if ranks is not None else ""
        print(f"  {name:9} {speed:7.1f} MB/s {speed / best['HF']:6.1f} x HF{against}")


def _parted(texts: list[str]) -> tuple[list[str], list[str]]:
    """(all before, the last MEASURED bytes)."""
    size = 0
    for number in range(len(texts) - 1, -1, -1):
        size += len(texts[number].encode())
        if size >= MEASURED:
            return texts[:number], texts[number:]
    raise SystemExit(f"only {size:,} bytes of a kind of text; want more than {MEASURED:,}")


def kinds(data: Path) -> dict[str, list[str]]:
    """Real texts by kind, no document twice, in an order by their hash."""
    code = pq.read_table(data / "code" / "code_docs.parquet")["text"].to_pylist()
    many = [
        text
        for name in ("labelled_docs", "tf_docs", "tldr")
        for text in pq.read_table(data / "multilingual" / f"{name}.parquet")["text"].to_pylist()
    ]
    english = [*_english(data)]
    return {
        name: sorted({t for t in texts if t}, key=_order)
        for name, texts in {"English": english, "code": code, "multilingual": many}.items()
    }


def _order(text: str) -> int:
    from xxhash import xxh64_intdigest

    return int(xxh64_intdigest(text.encode()))


def _english(data: Path) -> Iterator[str]:
    """Web text, questions and answers, and reasoning traces: every long string in the files that are English."""

    def strings(content: Any) -> Iterator[str]:
        if isinstance(content, str) and len(content) > 200:
            yield content
        elif isinstance(content, dict):
            for value in content.values():
                yield from strings(value)
        elif isinstance(content, list):
            for value in content:
                yield from strings(value)

    for file in sorted([*(data / "webtext").glob("*.json*"), *(data / "traces").rglob("*.json*")]):
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        try:
            yield from strings(json.loads(raw))
        except ValueError:
            for line in raw.splitlines():
                yield from strings(json.loads(line)) if line.strip() else ()


def _tiktoken(data: Path) -> Any:
    try:
        import tiktoken
        from tiktoken.load import load_tiktoken_bpe
    except ImportError:
        return None
    content = json.loads((data / "tokenizers" / "llama3.tokenizer.json").read_bytes())
    pattern = content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    ranks = load_tiktoken_bpe(str(data / "tokenizers" / "llama3_tokenizer.model"))
    return tiktoken.Encoding("llama3", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


if __name__ == "__main__":
    main()
