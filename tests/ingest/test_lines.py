"""Lines out of pieces, against the plain way: split the whole at line feeds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.ingest.lines import lines
from tokenmill.ingest.pieces import Piece

PIECES = st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=12)


def plain_lines(data: bytes, stop: int | None = None) -> list[tuple[int, bytes]]:
    """(offset, line) of all that begin before `stop`; an unfinished last line counts, an empty one does not."""
    found, at = [], 0
    for line in data.splitlines(keepends=True):  # no carriage returns in PIECES
        if stop is None or at < stop:
            found.append((at, line.rstrip(b"\n")))
        at += len(line)
    return found


def given_lines(pieces: list[Piece], **parameters) -> list[tuple[int, bytes | int]]:
    found: list[tuple[int, bytes | int]] = []
    for part in lines(pieces, 0, **parameters):
        if part.oversize is not None:
            found.append((part.start, part.oversize))
        found += [(part.start + at, line) for at, line in plain_lines(part.block)]
    return found


@settings(max_examples=500, deadline=None)
@given(PIECES, st.integers(1, 30), st.none() | st.integers(1, 100))
def test_the_same_lines_however_the_pieces_fall(pieces, block_bytes, stop):
    assert given_lines([Piece(p) for p in pieces], block_bytes=block_bytes, stop=stop) == plain_lines(
        b"".join(pieces), stop
    )


@settings(max_examples=500, deadline=None)
@given(PIECES, st.integers(1, 10), st.integers(1, 10), st.none() | st.integers(1, 100))
def test_long_lines_are_passed_with_their_length_and_held_no_longer_than_promised(pieces, block_bytes, longest, stop):
    found = given_lines([Piece(p) for p in pieces], block_bytes=block_bytes, stop=stop, longest=longest)
    wanted = plain_lines(b"".join(pieces), stop)
    assert [at for at, _ in found] == [at for at, _ in wanted]
    for (_, got), (_, line) in zip(found, wanted, strict=True):
        if isinstance(got, int):
            assert got == len(line) > longest
        else:
            assert got == line


def test_damage_ends_the_lines_and_takes_the_unfinished_one():
    parts = list(lines([Piece(b"a\nb"), Piece(b"c\nd", damage="torn"), Piece(b"never\n")], 0, 100))
    assert [(p.start, p.block, p.damage) for p in parts] == [(0, b"a\nbc\n", None), (5, b"", "torn")]
