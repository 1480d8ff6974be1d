"""What a file of topics does when it is damaged, and when an older Headrace has made it."""

import apsw
import pytest

from headrace.core.topic_log import START, Note, Topic
from headrace.errors import StoreCorrupt
from headrace.stores.sqlite.topics import SqliteTopics

RECORDS = [b"one" * 50, b"two" * 50]


async def filled(folder) -> int:
    topics = await SqliteTopics.open(folder)
    head, _ = await topics.create(Topic("ann", "t", "text/plain", 1.0), RECORDS[:1])
    await topics.append(head.id, 1, RECORDS[1:], note=Note({"p": (1, 2)}), now=2.0)
    await topics.close()
    return head.id


def change(folder, statement: str, *values: object) -> None:
    """Something that happens behind the store's back."""
    db = apsw.Connection(str(folder / "topics.db"))
    db.execute(statement, values)
    db.close()


async def read(folder, id: int) -> list[bytes]:
    topics = await SqliteTopics.open(folder)
    try:
        return list((await topics.read(id, START)).records)
    finally:
        await topics.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE records SET data = CAST('onf' AS BLOB) WHERE place = 1",
        "UPDATE records SET epoch = epoch + 1 WHERE place = 2",
        "UPDATE records SET place = 3 - place",
        "UPDATE topics SET tail = 1",
        "UPDATE topics SET content_type = 'text/html'",
        "UPDATE topics SET lineage = x'919201cd03e8'",
        "UPDATE topics SET note = x'9280'",
    ],
)
async def test_what_was_not_written_is_an_error_and_never_wrong_bytes(tmp_path, damage):
    id = await filled(tmp_path)
    change(tmp_path, damage)
    with pytest.raises(StoreCorrupt):
        await read(tmp_path, id)


async def test_records_that_are_missing_at_the_end_are_an_error_and_not_a_shorter_batch(tmp_path):
    """So it is where a bit has flipped in the index: the search ends before the tail."""
    id = await filled(tmp_path)
    change(tmp_path, "DELETE FROM records WHERE place = 2")
    topics = await SqliteTopics.open(tmp_path)
    try:
        assert (await topics.read(id, START, max_bytes=1)).offset.number == 1
        with pytest.raises(StoreCorrupt):
            await topics.read(id, START)
    finally:
        await topics.close()


async def test_a_file_of_an_older_version_is_read_and_written(tmp_path):
    """It has no seals; what is written from now on has."""
    id = await filled(tmp_path)
    change(
        tmp_path,
        "ALTER TABLE topics DROP COLUMN seal; ALTER TABLE records DROP COLUMN seal; PRAGMA user_version = 1",
    )
    assert await read(tmp_path, id) == RECORDS
    topics = await SqliteTopics.open(tmp_path)
    await topics.append(id, 2, [b"three"], note=Note(), now=3.0)
    await topics.close()
    assert await read(tmp_path, id) == [*RECORDS, b"three"]
    change(tmp_path, "UPDATE records SET data = x'00' WHERE place = 3")
    with pytest.raises(StoreCorrupt):
        await read(tmp_path, id)
