"""What is written is what a reader gives, less what only the journey needs."""

from tokenmill.core.document import DOCUMENT, INTERNAL, RECORD, SHARD_NAME, TRAVELLING


def test_a_record_is_a_document_and_what_becomes_one() -> None:
    assert RECORD.names[: len(DOCUMENT)] == DOCUMENT.names
    assert {*RECORD.names, *TRAVELLING.names} - INTERNAL == set(DOCUMENT.names)


def test_what_only_the_engine_and_formats_know_is_not_written() -> None:
    assert {SHARD_NAME.name, *TRAVELLING.names} <= INTERNAL


def test_every_document_has_an_id_a_source_and_an_address() -> None:
    never_null = [f.name for f in (*RECORD, *TRAVELLING) if not f.nullable]
    assert never_null == ["id", "source", "shard", "row", "priority"]
