"""A server that is slow, frozen, killed, restarted or refuses: nobody waits for it for long, and nothing is lost."""

import asyncio
import logging
import sys
import time

import pytest
from sqlalchemy import text
from tests.records.test_recorder import Closed, closed
from tests.services.postgresql import PASSWORD

from headrace.core.clock import SystemClock
from headrace.errors import ConfigError, StoreUnavailable
from headrace.records.database import Database
from headrace.records.recorder import Recorder

pytestmark = pytest.mark.postgresql

SLEEP = text("SELECT pg_sleep(5)")
ONE = text("SELECT 1")


def one(connection):
    return connection.execute(ONE).scalar()


@pytest.fixture
async def database(postgresql_url):
    """A fresh database, for which nobody waits for long."""
    database = Database(None, url=postgresql_url, patience=0.3)
    yield database
    await database.close()


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(database):
    """And the connection is as good as before."""
    pid = await database.run(lambda connection: connection.execute(text("SELECT pg_backend_pid()")).scalar())
    begun = time.monotonic()
    for ask in (database.run, database.read):
        with pytest.raises(StoreUnavailable):
            await ask(lambda connection: connection.execute(SLEEP))
    assert time.monotonic() - begun < 3
    assert await database.run(lambda connection: connection.execute(text("SELECT pg_backend_pid()")).scalar()) == pid


@pytest.mark.slow
async def test_a_server_that_stands_still_is_given_up_and_found_again(postgresql, database):
    """Its connections live and nothing comes: that is waited for as long as for a statement, and so it is at a stop."""
    assert await database.run(one) == 1
    with postgresql.paused():
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await database.run(one)
        first = time.monotonic() - begun
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                await database.run(one)
        rest = time.monotonic() - begun - first
    assert first < 8
    assert rest < 4  # not fifty times as long
    assert await found_again(database) == 1


async def found_again(database):
    """What one asks of a server that goes on; it was left alone for a moment."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await database.run(one)
            except StoreUnavailable:
                await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_stop_does_not_wait_for_a_server_that_stands_still(postgresql, postgresql_url):
    """What ended stays in the log, which tells it again at the next start."""
    database = Database(None, url=postgresql_url, patience=0.3)
    log = Closed(closed("s1"))
    await database.run(one)
    with postgresql.paused():
        begun = time.monotonic()
        await Recorder(log, database, SystemClock()).close()
        assert time.monotonic() - begun < 10
    assert log.recorded == []


class Load:
    """A log in which streams end all the time, a recorder, and a loop that is looked at."""

    def __init__(self, url):
        self.log = Closed()
        self.database = Database(None, url=url)
        self.recorder = Recorder(self.log, self.database, SystemClock())
        self.longest = 0.0

    async def end_streams(self, seconds):
        """One every ten milliseconds; the longest pause of the loop is kept."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            number = len(self.log.heads)
            self.log.heads.append(closed(f"s{number:05}"))
            self.recorder.keep(f"r{number:05}", "alice", {"n": number})
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - now)

    async def record(self):
        """As the upkeep does, more often."""
        while True:
            await self.recorder.fill()
            await asyncio.sleep(0.05)

    async def finish(self):
        """Record the rest; returns how many streams and requests there are, and their rows, two counts each."""
        deadline = time.monotonic() + 10
        while len(set(self.log.recorded)) < len(self.log.heads) and time.monotonic() < deadline:
            await self.recorder.fill()
            await asyncio.sleep(0.1)
        await self.recorder.fill()
        counted = text("SELECT (SELECT count(*) FROM generations), (SELECT count(*) FROM requests)")
        found = await self.database.read(lambda connection: tuple(connection.execute(counted).one()))
        await self.recorder.close()
        return found


async def paused(server):
    """Three seconds of standing still, in which nothing is answered and nothing refused."""
    with server.paused():
        await asyncio.sleep(3.0)


async def killed(server):
    """Killed with all its connections, and away for a moment."""
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.start)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("harm", "seconds"), [(paused, 4.0), (killed, 2.0)])
async def test_nothing_waits_and_all_is_recorded_once(postgresql, postgresql_url, harm, seconds, caplog):
    """Whatever happens to the server while streams end."""
    load = Load(postgresql_url)
    recording = asyncio.create_task(load.record())
    ending = asyncio.create_task(load.end_streams(seconds))
    await asyncio.sleep(0.5)
    with caplog.at_level(logging.DEBUG):
        await harm(postgresql)
        await ending
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        rows = await load.finish()
    count = len(load.log.heads)
    assert count > 25 * seconds
    assert rows == (count, count)
    assert load.longest < 0.5
    assert PASSWORD not in caplog.text


async def test_a_connection_that_the_server_has_ended_is_replaced(postgresql, database):
    """As after a restart: the next use finds that out by itself."""
    assert await database.run(one) == 1
    ours = "FROM pg_stat_activity WHERE application_name = 'headrace'"
    with postgresql.connect() as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) {ours}")
        async with asyncio.timeout(5):
            # They were only told to end, and tell nobody when they have.
            while connection.execute(f"SELECT count(*) {ours}").fetchone() != (0,):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert await database.run(one) == 1


async def test_connections_are_few(postgresql, postgresql_url):
    """However much is asked at once."""
    database = Database(None, url=postgresql_url)
    slowly = text("SELECT pg_sleep(0.05)")
    work = [ask(lambda connection: connection.execute(slowly)) for ask in (database.run, database.read) * 6]
    await asyncio.gather(*work)
    with postgresql.connect() as connection:
        # Those of other tests' databases may not have ended yet.
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headrace' AND datname = %s"
        (found,) = connection.execute(ours, [postgresql_url.rpartition("/")[2]]).fetchone()
    await database.close()
    assert 1 < found <= 3, "one that writes, and at most two that read: the second where the first is at work"


async def test_reading_cannot_write(database):
    """Not by mistake either."""
    with pytest.raises(StoreUnavailable):
        await database.read(lambda connection: connection.execute(text("DELETE FROM generations")))
    assert await database.read(one) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace(PASSWORD, PASSWORD + "-wrong"),
        lambda url: url.rpartition("/")[0] + "/not-there",
        lambda url: url + "?sslmode=require",
        lambda url: url.replace("127.0.0.1", "127.0.0.2"),
    ],
)
async def test_a_server_that_lets_nobody_in_is_told_without_the_password(postgresql_url, change, caplog):
    """TLS is as the URL wants it: this server has none. No message shows who tried with what."""
    database = Database(None, url=change(postgresql_url), patience=0.3)
    recorder = Recorder(Closed(closed("s1")), database, SystemClock())
    with caplog.at_level(logging.DEBUG):
        assert await recorder.fill() == 0
        with pytest.raises(StoreUnavailable) as caught:
            await recorder.generation("alice", "s1")
    await recorder.close()
    assert "records: The records database cannot be used now." in caplog.text
    assert PASSWORD not in f"{caplog.text} {caught.value!r} {caught.value.__cause__!r}"


async def test_what_the_server_logs_holds_no_password(postgresql, database):
    """It logs each statement here."""
    await database.run(one)
    log = postgresql.log.read_text()
    assert "SELECT 1" in log
    assert PASSWORD not in log


def test_a_parameter_that_nobody_knows_is_told_at_once(postgresql_url):
    """Instead of at each connection."""
    with pytest.raises(ConfigError, match="parameters") as caught:
        Database(None, url=f"{postgresql_url}?sslmod=require")
    assert PASSWORD not in f"{caught.value!r}"


async def test_a_database_that_cannot_hold_every_text_is_refused(postgresql):
    """What is in another encoding would take some answers and not others."""
    with postgresql.connect() as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database = Database(None, url=postgresql.url("latin"))
    with pytest.raises(StoreUnavailable, match="UTF-8"):
        await database.run(one)
    await database.close()
    postgresql.drop_database("latin")


async def test_a_client_may_name_what_no_text_of_postgresql_can_be(database):
    """It is not there, as it is not there in SQLite."""
    recorder = Recorder(Closed(closed("s1")), database, SystemClock())
    await recorder.fill()
    for id in ("s1\0", "\0", "\ud800", "s1\udc00", "😀\0é"):
        assert await recorder.generation("alice", id) is None
        assert await recorder.generations("alice", before=id, conversation=id) == []
        assert await recorder.forget("alice", id) is False
    assert (
        await database.run(lambda connection: connection.execute(text("SELECT :x"), {"x": "é\0😀"}).scalar())
        == "é\ufffd😀"
    )


@pytest.mark.parametrize("where", ["127.0.0.1:1,127.0.0.1:2", "127.0.0.1:port"])
def test_a_url_that_cannot_be_read_is_told_without_the_password(where):
    """Several hosts, each with its port, stand in the query."""
    with pytest.raises(ConfigError, match=r"records\.url") as caught:
        Database(None, url=f"postgresql://headrace:{PASSWORD}@{where}/records")
    assert PASSWORD not in f"{caught.value!r}"


async def test_several_hosts_stand_in_the_query(postgresql_url):
    """The first that answers is taken."""
    user, _, place = postgresql_url.partition("@")
    address, _, name = place.partition("/")
    database = Database(None, url=f"{user}@/{name}?host=127.0.0.2:1&host={address}")
    assert await database.run(one) == 1
    await database.close()


def test_a_missing_driver_names_the_extra(postgresql_url, monkeypatch):
    """As it is where nobody asked for it."""
    monkeypatch.delitem(sys.modules, "headrace.records.postgresql", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"headrace\[postgresql\]"):
        Database(None, url=postgresql_url)
