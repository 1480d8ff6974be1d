"""Keys of the database on a server that runs: made, revoked, rotated without a restart; and with no database."""

from contextlib import asynccontextmanager

import pytest

from headrace.config import Key
from headrace.config.key_text import new_key
from headrace.errors import StoreUnavailable, Unauthorized
from headrace.faces.access.auth import LOCAL, Authenticator
from headrace.faces.access.key_ring import KeyRing
from headrace.faces.access.sessions import COOKIE, Sessions
from headrace.faces.access.tickets import Right, Tickets
from headrace.model.grants import Grants
from headrace.records.database import Database
from headrace.records.keys import Keys
from headrace.testing.clock import FakeClock

CONFIGURED = "hr_alice_alice_alice"


class Brittle(Keys):
    """The table, behind a connection that a test cuts; ``calls`` counts what is looked up."""

    def __init__(self, database, clock):
        super().__init__(database, clock)
        self.away = False
        self.calls = 0

    async def find(self, ids):
        self.calls += 1
        self._check()
        return await super().find(ids)

    async def are_there(self):
        self._check()
        return await super().are_there()

    def _check(self):
        if self.away:
            raise StoreUnavailable


class House:
    """A running server's authenticator over a database, in which a shell makes keys."""

    def __init__(self, database, *, configured, exposed):
        self.clock = FakeClock()
        self.keys = Brittle(database, self.clock)
        given = {"alice": Key.model_validate(configured)} if configured else {}
        self.ring = KeyRing(given, self.keys, self.clock, exposed=exposed)
        self.tickets = Tickets(b"s" * 32, self.clock, lifetime=3600)
        self.sessions = Sessions(b"s" * 32, self.clock)
        self.auth = Authenticator(self.ring, self.tickets, self.sessions)

    async def ask(self, secret="", *, query="", headers=(), path="/v1/streams/s1"):
        shown = [(b"x-api-key", secret.encode())] if secret else []
        found = {"headers": [*shown, *headers], "path": path, "method": "GET", "query_string": query.encode()}
        return await self.auth.authenticate(found)

    async def refused(self, *arguments, **options):
        with pytest.raises(Unauthorized):
            await self.ask(*arguments, **options)


@asynccontextmanager
async def house(folder, *, configured=CONFIGURED, exposed=False):
    database = Database(folder)
    made = House(database, configured=configured, exposed=exposed)
    yield made
    await made.ring.close()
    await database.close()


async def test_a_key_that_is_made_counts_within_five_seconds(tmp_path):
    """At once, if nobody has shown it before."""
    async with house(tmp_path) as at:
        made = await at.keys.create("bob", Grants(models=("m",)))
        who = await at.ask(made.secret)
        assert (who.owner, who.key, who.grants) == ("bob", made.stored.id, Grants(models=("m",)))
        assert (await at.ask(CONFIGURED)).owner == "alice"


async def test_a_key_that_is_revoked_is_refused_within_five_seconds(tmp_path):
    """However often it was shown meanwhile; so are its tickets and sessions."""
    async with house(tmp_path) as at:
        made = await at.keys.create("bob", Grants())
        who = await at.ask(made.secret)
        ticket = at.tickets.issue("bob", who.key, kind="stream", name="s1", right=Right.READ)
        query = f"ticket={ticket}"
        value = at.sessions._signed.dumps(["bob", who.key, int(at.clock.time()) + 99])
        cookie = [(b"cookie", f"{COOKIE}={value}".encode())]
        assert (await at.ask(query=query)).owner == (await at.ask(headers=cookie)).owner == "bob"
        await at.keys.revoke(made.stored.id)
        for _ in range(5):
            await at.clock.advance(0.999)
            await at.ask(made.secret)
        await at.clock.advance(0.006)
        await at.refused(made.secret)
        await at.refused(query=query)
        await at.refused(headers=cookie)
        assert at.keys.calls == 2


async def test_a_key_ends_when_it_expires_to_the_moment(tmp_path):
    """Nothing has to be looked up for that."""
    async with house(tmp_path) as at:
        made = await at.keys.create("bob", Grants(lifetime=2.0))
        await at.ask(made.secret)
        await at.clock.advance(1.999)
        await at.ask(made.secret)
        await at.clock.advance(0.001)
        await at.refused(made.secret)
        assert at.keys.calls == 1


async def test_a_configured_key_expires_too(tmp_path):
    """Also while the server runs."""
    configured = {"secret": CONFIGURED, "expires": "2027-01-15T08:00:10Z"}  # ten seconds from when the clock begins
    async with house(tmp_path, configured=configured) as at:
        assert (await at.ask(CONFIGURED)).owner == "alice"
        await at.clock.advance(10)
        await at.refused(CONFIGURED)


async def test_a_rotated_key_and_its_heir_are_both_good_for_the_overlap(tmp_path):
    """And the heir alone after it."""
    async with house(tmp_path) as at:
        old = await at.keys.create("bob", Grants())
        await at.ask(old.secret)
        new = await at.keys.rotate(old.stored.id, 30)
        assert (await at.ask(new.secret)).owner == "bob"
        await at.clock.advance(29)
        await at.ask(old.secret)
        await at.clock.advance(1)
        await at.refused(old.secret)
        assert (await at.ask(new.secret)).owner == "bob"


@pytest.mark.parametrize(
    "secret",
    ["hr_" + "a" * 46, "hr_", "x" * 5000, "' OR 1=1 --", "sk-ant-api03-x", "ключ", new_key()[:-1], new_key() + "a"],
    ids=range(8),
)
async def test_what_cannot_be_a_key_is_refused_without_a_look_up(tmp_path, secret):
    """A wrong checksum, SQL, other people's keys, a key that was cut."""
    async with house(tmp_path) as at:
        await at.refused(secret)
        assert at.keys.calls == 0
        await at.refused(new_key())
        assert at.keys.calls == 1


async def test_a_key_with_the_id_of_another_is_not_that_key(tmp_path):
    """All of the digest counts, not only what the id shows of it."""
    async with house(tmp_path) as at:
        made = await at.keys.create("bob", Grants())
        await at.ask(made.secret)
        remembered = at.ring._stored._known
        at_once = remembered[made.stored.id]
        remembered[made.stored.id] = at_once._replace(value=at_once.value._replace(digest=b"x" * 32))
        await at.refused(made.secret)


class Guarded(bytes):
    """Bytes that refuse whatever takes longer the more of them is right."""

    def _compared(self, *_):
        raise AssertionError("compared in a time that tells how much is right")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _compared
    __contains__ = startswith = endswith = find = index = _compared


@pytest.mark.parametrize("good", [True, False], ids=["the key", "another with its id"])
async def test_how_much_of_a_key_is_right_shows_in_no_time(good):
    """Its digest is compared as a whole, the last byte like the first, and the key itself with nothing."""
    key = Key.model_validate(CONFIGURED)
    digest = Guarded(key.digest if good else key.digest[:-1] + bytes([key.digest[-1] ^ 1]))
    ring = KeyRing({"alice": key.model_copy(update={"digest": digest})}, None, FakeClock(), exposed=False)

    found = await ring.by_secret(Guarded(CONFIGURED.encode()))

    assert (found is not None) == good


async def test_without_the_database_what_was_good_stays_so_for_a_minute(tmp_path):
    """Unknown keys get 503, not 401: nobody can tell. Configured ones need no database."""
    async with house(tmp_path) as at:
        made = await at.keys.create("bob", Grants())
        await at.ask(made.secret)
        at.keys.away = True
        await at.clock.advance(59.9)
        assert (await at.ask(made.secret)).owner == "bob"
        with pytest.raises(StoreUnavailable):
            await at.ask(new_key())
        await at.clock.advance(0.2)
        with pytest.raises(StoreUnavailable):
            await at.ask(made.secret)
        assert (await at.ask(CONFIGURED)).owner == "alice"


# -- how a server becomes protected ----------------------------------------------------------------------------------


async def test_the_first_key_protects_an_open_server_within_five_seconds(tmp_path):
    """And for good; what the local owner signed is good no more."""
    async with house(tmp_path, configured="") as at:
        assert (await at.ask()).owner == LOCAL
        query = f"ticket={at.tickets.issue(LOCAL, '', kind='stream', name='s1', right=Right.READ)}"
        assert (await at.ask("anything", query=query)).owner == LOCAL
        made = await at.keys.create("bob", Grants())
        await at.clock.advance(5.0)
        await at.refused()
        await at.refused("anything")
        await at.refused(query=query)
        assert (await at.ask(made.secret)).owner == "bob"
        await at.keys.revoke(made.stored.id)
        await at.clock.advance(5.0)
        await at.refused()


async def test_an_open_server_without_its_database_closes(tmp_path):
    """Within a minute, for somebody may make a key that nobody here sees; it opens again with the database."""
    async with house(tmp_path, configured="") as at:
        await at.ask()
        at.keys.away = True
        await at.clock.advance(59)
        assert (await at.ask()).owner == LOCAL
        await at.clock.advance(2)
        with pytest.raises(StoreUnavailable):
            await at.ask()
        at.keys.away = False
        assert (await at.ask()).owner == LOCAL


async def test_a_server_that_strangers_reach_is_never_open(tmp_path):
    """Whatever the database says, or does not say."""
    async with house(tmp_path, configured="", exposed=True) as at:
        await at.refused()
        at.keys.away = True
        await at.refused()
        await at.refused("anything")


async def test_the_local_owner_may_administer_and_a_key_only_if_it_says_so(tmp_path):
    """Whoever sits at an open server owns it."""
    async with house(tmp_path, configured="") as at:
        assert (await at.ask()).admin
        made = [await at.keys.create("bob", Grants(admin=admin)) for admin in (True, False)]
        await at.clock.advance(5)
        assert [(await at.ask(key.secret)).admin for key in made] == [True, False]
