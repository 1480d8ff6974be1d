"""Keys in the database: what is kept of them, and what becomes of them."""

import pytest
from sqlalchemy import update

from headrace.config.key_text import digest_of, id_of, is_new_key
from headrace.errors import NotFound, RequestError
from headrace.model.grants import Grants, Quota
from headrace.records.database import Database
from headrace.records.keys import NOTHING, Keys
from headrace.records.sqlite import FILE
from headrace.records.tables import keys as table
from headrace.testing.clock import FakeClock

SOME = Grants(models=("m-*",), routes=("chat",), lifetime=3600.0, quota=Quota(requests_per_minute=9))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def keys(database, clock):
    return Keys(database, clock)


async def test_a_new_key_is_found_by_its_id_with_what_it_may_do(keys, clock):
    """Its id follows from its text, of which the row has the digest."""
    made = await keys.create("alice", SOME)
    digest = digest_of(made.secret.encode())
    assert is_new_key(made.secret.encode())
    assert (made.stored.id, made.stored.digest) == (id_of(digest), digest)
    assert (made.stored.owner, made.stored.grants) == ("alice", SOME)
    assert (made.stored.created, made.stored.expires) == (clock.time(), clock.time() + 3600)
    assert await keys.find([made.stored.id, "nope"]) == {made.stored.id: made.stored}
    assert await keys.all() == [made.stored]


async def test_the_file_does_not_hold_the_key(clock, tmp_path):
    """Nor any part of it that would be of use."""
    database = Database(tmp_path)
    keys = Keys(database, clock)
    made = await keys.create("alice", Grants())
    await keys.rotate(made.stored.id, 60)
    await database.close()
    held = (tmp_path / FILE).read_bytes()
    assert made.stored.digest in held
    assert made.secret[3:15].encode() not in held


async def test_a_key_without_a_lifetime_is_good_for_ever(keys, clock):
    """Until it is revoked."""
    made = await keys.create("alice", Grants())
    assert made.stored.is_good(clock.time() + 10**10)


async def test_a_key_is_good_until_its_time_and_no_longer(keys):
    """At that moment it is not."""
    key = (await keys.create("alice", SOME)).stored
    assert key.is_good(key.expires - 0.001)
    assert not key.is_good(key.expires)


async def test_revoking_is_for_good_and_may_be_repeated(keys, clock):
    """The first time counts; the row stays."""
    id = (await keys.create("alice", Grants())).stored.id
    first = await keys.revoke(id)
    await clock.advance(10)
    assert await keys.revoke(id) == first
    assert not first.is_good(clock.time())
    assert (await keys.find([id]))[id].revoked == first.revoked == clock.time() - 10


async def test_a_rotated_key_has_an_heir_for_as_long_as_itself(keys, clock):
    """The same owner and grants; the old one goes when the overlap is over."""
    old = (await keys.create("alice", SOME)).stored
    await clock.advance(1000)
    made = await keys.rotate(old.id, 60)
    assert (made.stored.owner, made.stored.grants) == ("alice", SOME)
    assert made.stored.expires == clock.time() + 3600
    assert (await keys.find([old.id]))[old.id].expires == clock.time() + 60


async def test_rotating_gives_the_old_key_no_more_time_than_it_had(keys, clock):
    """Nor does rotating it twice shorten its heirs' lives."""
    old = (await keys.create("alice", SOME)).stored
    await clock.advance(3590)
    await keys.rotate(old.id, 60)
    assert (await keys.find([old.id]))[old.id].expires == old.expires
    again = await keys.rotate(old.id, 60)
    assert again.stored.expires == clock.time() + 3600


async def test_what_is_not_good_any_more_is_not_rotated(keys, clock):
    """Nothing is made of it."""
    revoked = (await keys.create("alice", Grants())).stored
    expired = (await keys.create("alice", SOME)).stored
    await keys.revoke(revoked.id)
    await clock.advance(3600)
    for key in (revoked, expired):
        with pytest.raises(RequestError, match="create another"):
            await keys.rotate(key.id, 60)
    assert len(await keys.all()) == 2


async def test_an_unknown_id_is_told_and_changes_nothing(keys):
    """Statements have parameters."""
    made = await keys.create("alice", Grants())
    for id in ("", "nope", "' OR 1=1 --", "x" * 10_000):
        for work in (keys.revoke(id), keys.rotate(id, 60)):
            with pytest.raises(NotFound):
                await work
        assert await keys.find([id]) == {}
    assert await keys.all() == [made.stored]


async def test_that_there_was_a_key_is_not_forgotten(keys):
    """A revoked one counts: a server that had keys does not become open."""
    assert not await keys.are_there()
    made = await keys.create("alice", Grants())
    await keys.revoke(made.stored.id)
    assert await keys.are_there()


async def test_grants_that_nobody_here_can_read_are_none(keys, database):
    """A newer server's restriction is not a permission."""
    id = (await keys.create("alice", Grants())).stored.id
    for grants in ({"tenant": "x"}, {"quota": {"new": 1}}, {"models": 5}, [], "x", None):
        change = update(table).values(grants=grants)
        await database.run(lambda connection, change=change: connection.execute(change))
        assert (await keys.find([id]))[id].grants == NOTHING
