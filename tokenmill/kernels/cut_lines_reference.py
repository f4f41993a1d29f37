"""What is left of a text when lines are cut out of it, in plain Python; cut_lines.py must give the same."""

from collections.abc import Iterable

from tokenmill.kernels.line_spans_reference import SPACES


def cut_lines(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """`spans` are (start, stop) in bytes of the UTF-8."""
    spans = list(spans)
    left: list[str] = []
    takes_blank = cutting = False
    at = 0
    for line in text.split("\n"):
        end = at + len(line.encode())
        blank = not line.strip(SPACES)
        if any(start < end and stop > at for start, stop in spans):
            takes_blank, cutting = not left or not left[-1].strip(SPACES), True
        elif not (takes_blank and blank):
            left.append(line)
            takes_blank = cutting = False
        at = end + 1
    joined = "\n".join(left)
    return joined.removesuffix("\r") if cutting else joined
