"""Who asks: every way to show a key is alike, and whatever is not a key of ours is 401."""

import pytest

from headrace.config import Key
from headrace.errors import Unauthorized
from headrace.faces.access.auth import LOCAL, Authenticator
from headrace.faces.access.key_ring import KeyRing
from headrace.faces.access.sessions import Sessions
from headrace.faces.access.tickets import Right, Tickets
from headrace.model.leave import KEEP
from headrace.testing.clock import FakeClock

ALICE, BOB = "hr_alice_alice_alice", "hr_bob_bob_bob_bob_bob"
KEYS = {"alice": Key.model_validate(ALICE), "bob": Key.model_validate({"secret": BOB, "on_leave": "keep"})}

SESSIONS = Sessions(b"s" * 32, FakeClock())

#: Every way to show a key.
WAYS = [
    lambda key: (b"authorization", b"Bearer " + key),
    lambda key: (b"authorization", b"bearer  " + key + b" "),
    lambda key: (b"x-api-key", key),
    lambda key: (b"api-key", b" " + key),
]


def scope(*headers, path="/v1/streams/s1", method="GET", query="", **more):
    """An ASGI scope, as far as authentication looks at it."""
    return {"headers": headers, "path": path, "method": method, "query_string": query.encode(), **more}


def authenticator(keys, tickets, clock=None):
    """An authenticator over configured keys alone."""
    return Authenticator(KeyRing(keys, None, clock or FakeClock(), exposed=False), tickets, SESSIONS)


@pytest.fixture
def tickets():
    """A signer that stands still."""
    return Tickets(b"s" * 32, FakeClock())


@pytest.fixture
def guarded(tickets):
    """A server with two keys."""
    return authenticator(KEYS, tickets)


@pytest.fixture
def open_to_all(tickets):
    """A server without keys."""
    return authenticator({}, tickets)


@pytest.mark.parametrize("way", WAYS)
async def test_every_header_shows_the_same_owner_with_the_same_rights(guarded, way):
    """CVE-2026-45339 was a header that was treated otherwise."""
    expected = await guarded.authenticate(scope(WAYS[0](BOB.encode())))
    assert (expected.owner, expected.on_leave, expected.stream) == ("bob", KEEP, None)
    assert await guarded.authenticate(scope(way(BOB.encode()))) == expected


WRONG = [
    b"",
    b" ",
    b"hr_alice_alice_alic",
    b"hr_alice_alice_alice1",
    b"HR_ALICE_ALICE_ALICE",
    b"alice",
    b"' OR 1=1 --",
    b"\xff\x00",
    b"x" * 100_000,
    KEYS["alice"].digest.hex().encode(),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", WRONG, ids=range(len(WRONG)))
async def test_whatever_is_not_a_key_is_refused_in_the_same_words(guarded, way, key):
    """Nothing tells how near it was."""
    with pytest.raises(Unauthorized) as caught:
        await guarded.authenticate(scope(way(key)))
    assert (caught.value.status, caught.value.message) == (401, "The API key is not valid.")


async def test_nothing_shown_is_told_what_is_needed(guarded):
    """401, not 403."""
    with pytest.raises(Unauthorized, match="An API key is needed"):
        await guarded.authenticate(scope())


async def test_the_same_key_twice_is_one_key(guarded):
    """Some clients send both of their headers."""
    shown = (way(ALICE.encode()) for way in WAYS)
    assert (await guarded.authenticate(scope(*shown))).owner == "alice"


@pytest.mark.parametrize("other", [BOB.encode(), b"none"])
async def test_different_keys_are_refused(guarded, other):
    """Nobody should guess who is meant."""
    with pytest.raises(Unauthorized, match="different"):
        await guarded.authenticate(scope(WAYS[0](ALICE.encode()), WAYS[2](other)))


async def test_a_proxys_own_authorization_is_not_ours(guarded):
    """Basic authentication in front, our key beside it."""
    basic = (b"authorization", b"Basic dXNlcjpwYXNz")
    assert (await guarded.authenticate(scope(basic, WAYS[2](ALICE.encode())))).owner == "alice"
    with pytest.raises(Unauthorized):
        await guarded.authenticate(scope(basic))


@pytest.mark.parametrize("way", WAYS)
async def test_without_keys_there_is_one_owner_whatever_is_shown(open_to_all, way):
    """Found snippets carry any key."""
    assert (await open_to_all.authenticate(scope(way(b"sk-whatever")))).owner == LOCAL
    assert (await open_to_all.authenticate(scope())).owner == LOCAL


def test_a_key_ring_holds_no_key():
    """Only digests: a core dump or a log of it shows none."""
    ring = KeyRing(KEYS, None, FakeClock(), exposed=False)
    assert ALICE not in repr(vars(ring)) + repr(KEYS)
    assert KEYS["alice"].digest.hex() not in repr(KEYS)


# -- tickets ---------------------------------------------------------------------------------------------------------


async def ticket_of(guarded, tickets, key=ALICE, name="s1", right=Right.READ, kind="stream"):
    """A ticket as its owner would get it."""
    who = await guarded.authenticate(scope(WAYS[0](key.encode())))
    return tickets.issue(who.owner, who.key, kind=kind, name=name, right=right)


async def test_a_ticket_is_as_good_as_its_key_for_its_one_stream(guarded, tickets):
    """The owner is who made it."""
    found = await guarded.authenticate(scope(query=f"after=3&ticket={await ticket_of(guarded, tickets, BOB)}"))
    assert (found.owner, found.stream, found.on_leave) == ("bob", "s1", KEEP)


async def test_a_ticket_counts_behind_the_prefix_under_which_the_app_is_mounted(guarded, tickets):
    """The path is the app's own."""
    query = f"ticket={await ticket_of(guarded, tickets)}"
    found = await guarded.authenticate(scope(path="/llm/v1/streams/s1", root_path="/llm", query=query))
    assert found.owner == "alice"


@pytest.mark.parametrize(
    "request_of",
    [
        {"path": "/v1/streams/s2"},
        {"path": "/v1/streams/s1", "method": "DELETE"},
        {"path": "/v1/streams/s1/cancel", "method": "POST"},
        {"path": "/v1/chat/completions", "method": "POST"},
        {"path": "/v1/streams/s1/tickets", "method": "POST"},
        {"path": "/v1/streams"},
        {"path": "/chat/stream"},
    ],
)
async def test_a_ticket_grants_nothing_else(guarded, tickets, request_of):
    """A for B, wrong right, another route: 401."""
    with pytest.raises(Unauthorized, match="not valid"):
        await guarded.authenticate(scope(query=f"ticket={await ticket_of(guarded, tickets)}", **request_of))


async def test_expired_forged_and_repeated_tickets_are_refused():
    """All 401."""
    clock = FakeClock()
    tickets = Tickets(b"s" * 32, clock, lifetime=60)
    guarded = authenticator(KEYS, tickets, clock)
    good = await ticket_of(guarded, tickets)
    forged = await ticket_of(guarded, Tickets(b"t" * 32, clock))
    assert (await guarded.authenticate(scope(query=f"ticket={good}"))).owner == "alice"
    for query in (f"ticket={forged}", "ticket=", f"ticket={good}x", f"ticket={good}&ticket={good}", f"Ticket={good}"):
        with pytest.raises(Unauthorized):
            await guarded.authenticate(scope(query=query))
    await clock.advance(61)
    with pytest.raises(Unauthorized, match="expired"):
        await guarded.authenticate(scope(query=f"ticket={good}"))


async def test_a_ticket_ends_with_the_key_that_made_it(guarded, tickets):
    """Revoked, or replaced under the same name."""
    good = scope(query=f"ticket={await ticket_of(guarded, tickets)}")
    renewed = {**KEYS, "alice": Key.model_validate("hr_another_another_1")}
    for keys in ({"bob": KEYS["bob"]}, renewed, {}):
        with pytest.raises(Unauthorized):
            await authenticator(keys, tickets).authenticate(good)


async def test_a_wrong_key_is_not_mended_by_a_ticket(guarded, tickets):
    """What the headers say decides."""
    with pytest.raises(Unauthorized):
        await guarded.authenticate(scope(WAYS[0](b"wrong"), query=f"ticket={await ticket_of(guarded, tickets)}"))


async def test_without_keys_a_ticket_is_still_checked(open_to_all, tickets):
    """So that a page that works on the desk works behind a key too."""
    good = tickets.issue(LOCAL, "", kind="stream", name="s1", right=Right.READ)
    assert (await open_to_all.authenticate(scope(query=f"ticket={good}"))).stream == "s1"
    with pytest.raises(Unauthorized):
        await open_to_all.authenticate(scope(query=f"ticket={good}", path="/v1/streams/s2"))
