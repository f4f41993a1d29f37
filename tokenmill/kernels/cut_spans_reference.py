"""What is left of texts when stretches are taken out, in plain Python; cut_spans.py must give the same."""

from collections.abc import Iterable


def cut_spans(texts: list[str | None], spans: Iterable[tuple[int, int, int]]) -> list[str | None]:
    """`spans` are (row, start, stop) in bytes of the UTF-8."""
    left = [None if text is None else text.encode() for text in texts]
    for row, start, stop in sorted(spans, reverse=True):
        text = left[row]
        assert text is not None
        left[row] = text[:start] + text[stop:]
    return [None if text is None else text.decode() for text in left]
