"""How many lives of one element in a row have left nothing behind: it is tried again while its lives do something.

Kept in files of the job's folder: the next life may begin on another machine.
"""

from pathlib import Path

LIVES = "lives"  # a folder in the job's folder


def tally_file(folder: Path, element: str) -> Path:
    """Where a life of `element` writes a byte for each task that it has done; empty at its beginning.

    Whoever asks afterwards learns it there even of a life that was killed before it could say anything.
    """
    place = folder / LIVES
    place.mkdir(exist_ok=True)
    file = place / f"{element}.done"
    file.write_bytes(b"")
    return file


def count_barren(folder: Path, element: str, done: int) -> int:
    """How many lives in a row have done nothing, this one included, which has done `done` tasks."""
    file = folder / LIVES / element
    barren = 0 if done else 1 + (int(file.read_text()) if file.exists() else 0)
    file.parent.mkdir(exist_ok=True)
    file.write_text(str(barren))
    return barren
