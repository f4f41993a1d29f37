"""What is left of one text without its spans, in plain Python; substring_cut.py must give the same."""

from collections.abc import Sequence

from tokenmill.kernels.unicode_classes import CLASSES, SPACE


def cut_reference(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """`spans` in bytes, in any order."""
    marked = {byte for start, stop in spans for byte in range(start, stop)}
    goes, at = [], 0  # a character goes if all of its bytes do
    for character in text:
        width = len(character.encode())
        goes.append(marked.issuperset(range(at, at + width)))
        at += width
    blank = [bool(CLASSES[ord(character)] & SPACE) for character in text]
    # Runs of characters that go are first shrunk: white space at their ends stays for now.
    pieces: list[list[int]] = []
    for place, gone in enumerate(goes):
        if gone and place and goes[place - 1]:
            pieces[-1][1] = place + 1
        elif gone:
            pieces.append([place, place + 1])
    cuts: list[list[int]] = []
    for start, stop in pieces:
        while start < stop and blank[start]:
            start += 1
        while start < stop and blank[stop - 1]:
            stop -= 1
        if start == stop:
            continue
        if cuts and all(blank[cuts[-1][1] : start]):
            cuts[-1][1] = stop
        else:
            cuts.append([start, stop])
    result, at = "", 0
    for start, stop in cuts:
        left, right = start, stop
        while left > at and blank[left - 1]:
            left -= 1
        while right < len(text) and blank[right]:
            right += 1
        result += text[at:left]
        before, behind = text[left:start], text[stop:right]
        if result and right < len(text):
            result += _line_break(before, behind)
        at = right
    return result + text[at:]


def _line_break(before: str, behind: str) -> str:
    """What comes between two pieces, of the white space that was before and behind what is cut."""
    head, feed, indentation = before.rpartition("\n")
    head_behind, feed_behind, indentation_behind = behind.rpartition("\n")
    if behind.count("\n") > before.count("\n"):
        whole = head_behind + feed_behind
        first = whole.index("\n")
        lines = whole[first - (whole[:first].endswith("\r")) :]
    else:
        lines = head + feed or "\n"
    return lines + (indentation_behind if feed_behind else indentation if feed else "")
