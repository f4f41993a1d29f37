"""What semantic deduplication costs on one core, and what quantising and clustering lose.

    python benchmarks/semantic.py [embed] [pairs] [kmeans] [bytes] [borders]      all of them by default

The process pins itself to one core where the system lets it. What is compared runs by turns, and each figure is the
best of its rounds, in CPU seconds. Models have random weights: speed does not depend on what a model has learnt, and
nothing here says how well one tells paraphrases apart. Embeddings for `borders` are planted, in two ways: `topics`,
directions around 200 centres as a trained model's are, and `none`, all directions alike, where centroids have nothing
to hold on to.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tokenizers
import torch
import transformers

from tokenmill.dedup.embed_directory import embed_from
from tokenmill.dedup.embed_model import TextModel
from tokenmill.kernels.cosine_keepers import cosine_keepers
from tokenmill.kernels.int8_vectors import Int8, quantised
from tokenmill.kernels.kmeans import kmeans, nearest_centroids

SHAPES = {"2 layers of 128": (128, 2, 2), "6 layers of 384": (384, 6, 12)}  # BERT-tiny; MiniLM-L6
D = 384
Floats = npt.NDArray[np.float32]


def best_seconds(works: dict[str, Callable[[], object]], rounds: int = 3) -> dict[str, float]:
    """In turns, so that a noisy minute is everybody's; a first round compiles and warms up."""
    best = dict.fromkeys(works, float("inf"))
    for number in range(rounds + 1):
        for name, work in works.items():
            begin = time.process_time()
            work()
            if number:
                best[name] = min(best[name], time.process_time() - begin)
    return best


def random_model(folder: Path, hidden: int, layers: int, heads: int) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(30_000))]
    shape = transformers.BertConfig(
        vocab_size=len(words), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * hidden,
    )  # fmt: skip
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    transformers.BertModel(shape, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    frame = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=frame)
    tokenizer.save(str(folder / "tokenizer.json"))


def texts_of(lengths: list[int]) -> list[str]:
    """One text of so many tokens each, the two of the frame included."""
    rng = np.random.default_rng(1)
    return [" ".join(f"w{n}" for n in rng.integers(0, 30_000, length - 2)) for length in lengths]


def in_padded_batches(model: TextModel, ids: list[list[int]], rows: int = 32) -> None:
    """What one does who does not ask for the last bits: sorted by length, 32 at a time, padded to the longest."""
    ids = sorted(ids, key=len)
    for start in range(0, len(ids), rows):
        block = ids[start : start + rows]
        model._forward(block, len(block[-1]), "mean")


def embed() -> Iterator[str]:
    yield f"{'texts a second':30} {'Embed':>8} {'model alone':>12} {'batches of 32':>14} {'alone / batches':>16}"
    for name, (hidden, layers, heads) in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            random_model(Path(folder), hidden, layers, heads)
            step = embed_from(folder)
            model = TextModel(step.config.path(), step.tokenizer.path(), [w.path() for w in step.weights], 256, "cpu")
            uneven = np.random.default_rng(2).integers(10, 257, 64).tolist()
            for what, lengths in [(f"{n} tokens", [n] * 64) for n in (32, 64, 128, 256)] + [("10 to 256", uneven)]:
                texts = texts_of(lengths)
                batch = pa.record_batch({"text": pa.array(texts, pa.large_string())})
                ids = [e.ids for e in model._tokenizer.encode_batch(texts)]
                taken = best_seconds(
                    {
                        "step": partial(step.apply, batch),
                        "alone": partial(model.alone, ids, "mean"),
                        "batches": partial(in_padded_batches, model, ids),
                    }
                )
                each = {k: len(texts) / s for k, s in taken.items()}
                yield (
                    f"{name}, {what:12} {each['step']:8.1f} {each['alone']:12.1f} {each['batches']:14.1f} "
                    f"{each['alone'] / each['batches']:16.2f}"
                )


def pairs() -> Iterator[str]:
    """All members of a cluster unlike each other: every pair is compared."""
    yield "  one cluster of   ours, s  numpy, s  ours, GMAC/s  numpy, GMAC/s  ratio"
    for n in (1_000, 4_000, 16_000):
        vectors = random_bytes(n)
        order, starts = np.random.default_rng(3).permutation(n), np.array([0, n])
        wide = vectors.astype(np.float32)
        wide /= np.linalg.norm(wide, axis=1)[:, None]
        taken = best_seconds(
            {
                "ours": partial(cosine_keepers, vectors, order, starts, 0.99, n),
                "numpy": partial(float32_products, wide),
            }
        )
        work = n * (n - 1) / 2 * D / 1e9
        both = sum(min(s + 1024, n) * min(1024, n - s) for s in range(0, n, 1024)) * D / 1e9
        yield (
            f"{n:16,} {taken['ours']:9.3f} {taken['numpy']:9.3f} {work / taken['ours']:13.1f} "
            f"{both / taken['numpy']:14.1f} {taken['numpy'] / taken['ours']:6.2f}"
        )
    same = np.repeat(random_bytes(1), 1_000_000, axis=0)
    at, ends = np.arange(len(same)), np.array([0, len(same)])
    taken = best_seconds({"same": lambda: cosine_keepers(same, at, ends, 0.99, 10_000)})
    yield f"1,000,000 identical vectors: {taken['same']:.2f} s"


def float32_products(wide: Floats) -> None:
    """Every pair once, in blocks of 1,024, as NeMo Curator's pairwise step does on a GPU; nothing is decided yet."""
    for start in range(0, len(wide), 1024):
        (wide[start : start + 1024] @ wide[: start + 1024].T.copy()).max(axis=1)  # .copy(): numpy halves A @ A.T


def fit() -> Iterator[str]:
    """Around 2,000 topics: more than there are centroids, as in any corpus."""
    few = topical(8_192, 2_000, 0.7, seed=4)
    for iterations in (1, 5, 10, 20, 40):
        found = kmeans(few, 210, iterations, 0)
        yield f"8,192 in 210, {iterations} iterations: mean cosine to the centroid {closeness(few, found):.4f}"
    for n, k in ((8_192, 210), (65_536, 1_680)):
        vectors = topical(n, 2_000, 0.7, seed=4)
        begin = time.process_time()
        centroids = kmeans(vectors, k, 20, 0)
        taken = time.process_time() - begin
        work = 21 * n * len(centroids) * D / 1e9
        yield f"{n:,} in {len(centroids):,}: {taken:.1f} s, {work / taken:.0f} GMAC/s if it took all 20 iterations"
        each = best_seconds({"assign": partial(nearest_centroids, vectors[:4096], centroids)})["assign"] / 4096
        yield f"  assigning a document to one of {len(centroids):,}: {each * 1e6:.1f} microseconds"


def rounding() -> Iterator[str]:
    """`peak`: the largest component as a multiple of the root mean square; models have a few such places."""
    rng = np.random.default_rng(5)
    for d in (384, 768):
        for peak in (3, 10):
            for noise in (0.14, 0.33, 0.75):
                a = rng.standard_normal((20_000, d)).clip(-3, 3)
                b = a + noise * rng.standard_normal(a.shape)
                for vectors in (a, b):
                    vectors[:, 0] = peak * np.sqrt(np.square(vectors[:, 1:]).mean(axis=1))
                true = cosines(a, b)
                errors = cosines(quantised(a), quantised(b)) - true
                formula = peak * np.sqrt((1 - true.mean() ** 2) / (6 * d)) / 127
                yield (
                    f"{d} dimensions, peak {peak:2}, cosine {true.mean():.3f}: error {errors.mean():+.5f} "
                    f"+- {errors.std():.5f} (formula {formula:.5f}), largest {np.abs(errors).max():.4f}"
                )


def borders() -> Iterator[str]:
    """20,000 pairs at each cosine, 40,000 vectors to fit on: how many pairs share one of their `m` nearest clusters."""
    yield f"{'pairs that meet':16} {'clusters':>9} {'m':>2}" + "".join(f"{c:>8}" for c in COSINES)
    for name, spread in (("topics", 0.7), ("none", None)):
        for k in (20, 200, 1_000):
            centroids = kmeans(quantised(directions(40_000, spread, seed=6)), k, 20, 0)
            a = directions(20_000, spread, seed=7)
            a /= np.linalg.norm(a, axis=1)[:, None]
            noise = np.random.default_rng(8).standard_normal(a.shape)
            noise -= (noise * a).sum(1)[:, None] * a
            noise /= np.linalg.norm(noise, axis=1)[:, None]
            near = nearest_few(a, centroids)
            shares: dict[int, list[str]] = {1: [], 2: [], 4: []}
            for cosine in COSINES:
                other = nearest_few(cosine * a + np.sqrt(1 - cosine**2) * noise, centroids)
                for m, found in shares.items():
                    meet = (near[:, :m, None] == other[:, None, :m]).any(axis=(1, 2))
                    found.append(f"{meet.mean():8.1%}")
            for m, found in shares.items():
                yield f"{name:16} {len(centroids):9,} {m:2}" + "".join(found)


def nearest_few(vectors: npt.NDArray[np.float64], centroids: Int8) -> npt.NDArray[np.int64]:
    """The 4 nearest centroids of each, the nearest first."""
    wide = centroids.astype(np.float32)
    close = vectors.astype(np.float32) @ (wide / np.linalg.norm(wide, axis=1)[:, None]).T
    few = np.argpartition(-close, 3, axis=1)[:, :4]
    order = np.argsort(-np.take_along_axis(close, few, axis=1), axis=1)
    found: npt.NDArray[np.int64] = np.take_along_axis(few, order, axis=1)
    return found


COSINES = (0.999, 0.99, 0.97, 0.95, 0.9, 0.8)


def directions(n: int, spread: float | None, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    if spread is None:
        return rng.standard_normal((n, D))
    centres = np.random.default_rng(0).standard_normal((200, D))
    return centres[rng.integers(0, 200, n)] + spread * rng.standard_normal((n, D))


def topical(n: int, topics: int, spread: float, seed: int) -> Int8:
    rng = np.random.default_rng(seed)
    whose = rng.integers(0, topics, n)
    return quantised(rng.standard_normal((topics, D))[whose] + spread * rng.standard_normal((n, D)))


def random_bytes(n: int) -> Int8:
    return quantised(np.random.default_rng(1).standard_normal((n, D)))


def cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    found: npt.NDArray[np.float64] = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return found


def closeness(vectors: Int8, centroids: Int8) -> float:
    return float(cosines(vectors, centroids[nearest_centroids(vectors, centroids)[:, 0]]).mean())


SECTIONS = {"embed": embed, "pairs": pairs, "kmeans": fit, "bytes": rounding, "borders": borders}


def main(names: list[str]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    for name in names or SECTIONS:
        print(f"\n{name}")
        for line in SECTIONS[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
