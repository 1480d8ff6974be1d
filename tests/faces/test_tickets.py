"""Tickets: one stream or chat, one right, some minutes, and nothing else."""

import asyncio
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConfigError, Unauthorized
from headrace.faces.access.tickets import FILE, LONGEST, Right, Tickets, secret_in
from headrace.testing.clock import FakeClock

SECRET = b"s" * 32


def issued(right=Right.READ, kind="stream", name="s1", **more):
    """A ticket of Alice's, checked."""
    tickets = Tickets(SECRET, FakeClock())
    return tickets.check(tickets.issue("alice", "k1", kind=kind, name=name, right=right, **more))


def test_a_ticket_says_what_it_was_made_for():
    """Owner, key, stream, right and time."""
    ticket = issued()
    assert ticket == ("alice", "k1", "stream", "s1", "read", 1_800_000_300)


REQUESTS = [
    ("GET", "/v1/streams/s1"),
    ("HEAD", "/v1/streams/s1"),
    ("GET", "/v1/chat/completions/s1"),
    ("GET", "/v1/responses/s1"),
    ("GET", "/v1/messages/s1"),
    ("POST", "/v1/streams/s1/cancel"),
    ("POST", "/v1/chat/completions/s1/cancel"),
    ("GET", "/api/chat/s1/stream"),
    ("POST", "/api/chat/s1/stop"),
    # what no ticket ever allows
    ("GET", "/v1/streams"),
    ("GET", "/v1/streams/"),
    ("GET", "/v1/streams/s2"),
    ("GET", "/v1/streams/s1/"),
    ("GET", "/v1/streams/s1/other"),
    ("GET", "/v1/streams/s1/cancel"),
    ("GET", "/v1/streams/S1"),
    ("GET", "/v1/streams/../streams/s1"),
    ("GET", "//v1/streams/s1"),
    ("GET", "/v1/streams/s1\n"),
    ("DELETE", "/v1/streams/s1"),
    ("POST", "/v1/streams/s1"),
    ("POST", "/v1/streams/s1/tickets"),
    ("POST", "/v1/streams/s2/cancel"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat"),
    ("GET", "/chat/stream"),
    ("GET", "/v1/models"),
]


@pytest.mark.parametrize(
    ("right", "kind", "allowed"),
    [
        (Right.READ, "stream", REQUESTS[:5]),
        (Right.CANCEL, "stream", REQUESTS[5:7]),
        (Right.READ, "chat", REQUESTS[7:8]),
        (Right.CANCEL, "chat", REQUESTS[8:9]),
    ],
)
def test_a_ticket_allows_its_own_requests_and_no_other(right, kind, allowed):
    """Right × kind × request."""
    ticket = issued(right, kind)
    assert [request for request in REQUESTS if ticket.allows(*request)] == allowed


async def test_a_ticket_expires():
    """To the second, and not before."""
    clock = FakeClock()
    tickets = Tickets(SECRET, clock, lifetime=60.0)
    text = tickets.issue("alice", "k1", kind="stream", name="s1", right=Right.READ)
    await clock.advance(59.0)
    assert tickets.check(text).name == "s1"
    await clock.advance(1.0)
    with pytest.raises(Unauthorized, match="expired"):
        tickets.check(text)


def test_nobody_gets_a_ticket_for_longer_than_configured():
    """Shorter is fine."""
    assert issued(lifetime=10.0).expires == 1_800_000_010
    assert issued(lifetime=1e9).expires == 1_800_000_300


@pytest.mark.parametrize("text", ["", "x", ".", "a.b", "W10.x", "é", "\0", "a" * (LONGEST + 1), "." * 100])
def test_what_is_no_ticket_is_refused(text):
    """Whatever it is."""
    with pytest.raises(Unauthorized, match="not valid"):
        Tickets(SECRET, FakeClock()).check(text)


@given(st.data())
def test_a_changed_ticket_is_refused(data):
    """Any character, anywhere."""
    tickets = Tickets(SECRET, FakeClock())
    text = tickets.issue("alice", "k1", kind="stream", name="s1", right=Right.READ)
    place = data.draw(st.integers(0, len(text) - 2))  # the last character of base64 may hold unused bits
    other = data.draw(st.sampled_from("ABCabc012-_.").filter(lambda character: character != text[place]))
    with pytest.raises(Unauthorized):
        tickets.check(text[:place] + other + text[place + 1 :])


def test_a_ticket_of_another_server_is_refused():
    """Another secret signs another ticket."""
    text = Tickets(b"t" * 32, FakeClock()).issue("alice", "k1", kind="stream", name="s1", right=Right.READ)
    with pytest.raises(Unauthorized):
        Tickets(SECRET, FakeClock()).check(text)


# -- the secret ------------------------------------------------------------------------------------------------------


def test_the_secret_is_made_once_and_is_its_owners_only(tmp_path):
    """All workers, and the next start, find the same."""
    first = secret_in(tmp_path / "data")
    file = tmp_path / "data" / FILE
    assert (len(first), stat.S_IMODE(file.stat().st_mode)) == (32, 0o600)
    assert secret_in(tmp_path / "data") == first
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE]


async def test_workers_that_start_at_once_agree(tmp_path):
    """Whoever is first wins."""
    found = await asyncio.gather(*(asyncio.to_thread(secret_in, tmp_path) for _ in range(16)))
    assert len(set(found)) == 1


def test_a_secret_that_others_could_read_is_closed_to_them(tmp_path):
    """Somebody may have copied the folder carelessly."""
    secret_in(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    secret_in(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_damaged_secret_is_told(tmp_path):
    """An empty one would sign anybody's tickets."""
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(ConfigError, match="damaged"):
        secret_in(tmp_path)


def test_a_folder_that_keeps_nothing_is_told(tmp_path):
    """Here it is a file."""
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept"):
        secret_in(tmp_path / "data")


def test_without_a_folder_the_secret_is_the_processs_own():
    """For servers that keep nothing."""
    assert secret_in(None) != secret_in(None)
