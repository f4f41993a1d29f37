"""Compressed streams as pieces."""

import gzip
import io
import random

import zstandard

from tokenmill.ingest.pieces import PIECE_BYTES, find_member, gzip_members, zstd_frames

NOISE = random.Random(1).randbytes(300_000)


def starts(head: bytes) -> bool:
    return head.startswith(b"REC")


def test_members_that_begin_a_record_say_where_and_others_go_on():
    parts = [gzip.compress(p) for p in (b"REC 1", b" more", b"REC 2")]
    pieces = list(gzip_members(io.BytesIO(b"".join(parts)), 0, starts))
    second = len(parts[0]) + len(parts[1])
    assert [(p.data, p.begins, p.seam) for p in pieces] == [
        (b"REC 1", 0, False),
        (b" more", None, True),
        (b"REC 2", second, False),
    ]


def test_everything_before_damage_is_given():
    data = bytearray(gzip.compress(NOISE, 1))
    data[-6] ^= 1  # the checksum
    pieces = list(gzip_members(io.BytesIO(bytes(data)), 0, None))
    assert b"".join(p.data for p in pieces) == NOISE
    assert [p.damage for p in pieces if p.damage] == [pieces[-1].damage]
    assert pieces[-1].damage is not None and pieces[-1].damage.startswith("corrupt gzip at byte ")


def test_what_inflates_to_very_much_comes_in_bounded_pieces():
    data = gzip.compress(b"\0" * (20 * PIECE_BYTES))
    sizes = [len(p.data) for p in gzip_members(io.BytesIO(data), 0, None)]
    assert sum(sizes) == 20 * PIECE_BYTES and max(sizes) <= PIECE_BYTES + (64 << 10)
    packed = zstandard.compress(b"\0" * (200 * PIECE_BYTES))
    sizes = [len(p.data) for p in zstd_frames(io.BytesIO(packed))]
    assert sum(sizes) == 200 * PIECE_BYTES and max(sizes) <= 65 * PIECE_BYTES


def test_a_member_is_found_across_the_edge_of_what_is_read_at_once():
    record = gzip.compress(b"REC" + NOISE[:100])
    decoy = gzip.compress(b"no record")
    for before in (0, 1, PIECE_BYTES - 2, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 5):
        filler = (decoy + b"x" * before)[: max(before, 0)]
        stream = io.BytesIO(filler + record)
        assert find_member(stream, 0, starts) == len(filler)
        assert find_member(stream, len(filler) + 1, starts) is None
