"""Pages with something for every verdict: copies, near copies, shared passages, repeated lines, chains that drift."""

import json
import random
from pathlib import Path


def write_repeated_pages(folder: Path) -> None:
    """Three files."""
    rng = random.Random(3)
    texts: list[str] = []
    passage = " ".join(f"p{rng.randrange(99)}" for _ in range(30))
    for n in range(90):
        lines = [" ".join(f"w{rng.randrange(40_000)}" for _ in range(12)) for _ in range(8)]
        if n % 6 == 1:
            lines = rng.choice(texts).split("\n")
        elif n % 6 == 2:
            lines = [*rng.choice(texts).split("\n")[:-1], "one more line"]
        elif n % 6 == 3:
            lines[3] += " " + passage
        elif n % 6 == 4:
            lines.insert(4, "This line stands on many of the pages of this site.")
        texts.append("\n".join(lines))
    for chain in range(8):
        words = [f"c{chain}w{i:04}" for i in range(900)]
        texts += [" ".join(words[i * 50 : i * 50 + 500]) for i in range(chain + 1)]
    folder.mkdir()
    for n in range(3):
        some = [json.dumps({"id": f"d{i}", "text": t}) for i, t in enumerate(texts) if i % 3 == n]
        (folder / f"{n}.jsonl").write_text("\n".join(some))
