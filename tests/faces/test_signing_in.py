"""Signing in: a key once, then a cookie; and what the cookie is good for."""

import pytest
from tests.faces.front import ALICE, BOB, KEYS, bearer, front

from headrace.faces.access.sessions import COOKIE, LIFETIME
from headrace.faces.access.tickets import Right


async def cookie_of(at, key=ALICE, **headers):
    """The session that a key gets: the header that a browser would send, and what was said of it."""
    reply = await at.ask("POST", "/api/session", {"key": key}, headers)
    assert reply.status == 204, reply.body
    said = reply.headers["set-cookie"]
    return {"cookie": said.partition(";")[0]}, said


async def test_without_keys_everybody_is_the_local_owner():
    async with front() as at:
        state = {"protected": False, "signed_in": True, "owner": "local", "admin": True}
        assert await at.json("GET", "/api/session") == state
        reply = await at.ask("POST", "/api/session", {"key": "whatever"})
        assert reply.status == 204
        assert "set-cookie" not in reply.headers


async def test_a_key_becomes_a_session_that_scripts_cannot_read():
    async with front(keys=KEYS) as at:
        nobody = {"protected": True, "signed_in": False, "owner": None, "admin": False}
        assert await at.json("GET", "/api/session") == nobody
        cookie, said = await cookie_of(at)
        assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LIFETIME}"} <= set(said.split("; "))
        assert "Secure" not in said
        assert ALICE not in said
        shown = await at.json("GET", "/api/session", headers=cookie)
        assert (shown["signed_in"], shown["owner"]) == (True, "alice")
        assert (await at.ask("GET", "/v1/streams", headers=cookie)).status == 200
        assert (await at.ask("GET", "/v1/streams")).status == 401


async def test_over_https_the_cookie_stays_there():
    """Also where a proxy in front speaks it."""
    async with front(keys=KEYS) as at:
        _, said = await cookie_of(at, **{"x-forwarded-proto": "https"})
        assert "Secure" in said


@pytest.mark.parametrize("body", [{"key": "wrong-key-0123456789"}, {"key": ALICE + " "}])
async def test_a_wrong_key_opens_nothing(body):
    async with front(keys=KEYS) as at:
        reply = await at.ask("POST", "/api/session", body, bearer(ALICE) | {"cookie": "a=b"})
        if body["key"].strip() != ALICE:
            assert reply.status == 401
            assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": 1}, b"{", b""])
async def test_what_is_no_key_is_refused_by_name(body):
    async with front(keys=KEYS) as at:
        assert (await at.ask("POST", "/api/session", body)).status == 400


async def test_a_session_ends_by_itself():
    async with front(keys=KEYS) as at:
        cookie, _ = await cookie_of(at)
        at.clock.step_wall(LIFETIME - 1)
        assert (await at.ask("GET", "/v1/streams", headers=cookie)).status == 200
        at.clock.step_wall(1)
        assert (await at.ask("GET", "/v1/streams", headers=cookie)).status == 401


async def test_signing_out_takes_the_cookie_away():
    async with front(keys=KEYS) as at:
        cookie, _ = await cookie_of(at)
        said = (await at.ask("DELETE", "/api/session", headers=cookie)).headers["set-cookie"]
        assert said.startswith(f'{COOKIE}="";')
        assert "Max-Age=0" in said


async def test_a_session_is_of_one_owner_and_a_key_counts_more():
    async with front(keys=KEYS) as at:
        cookie, _ = await cookie_of(at)
        assert (await at.json("GET", "/api/session", headers=cookie | bearer(BOB)))["owner"] == "bob"


async def test_what_was_not_signed_here_is_no_session():
    """A changed one, a ticket, two of them, an endless one."""
    async with front(keys=KEYS) as at:
        cookie, _ = await cookie_of(at)
        value = cookie["cookie"]
        ticket = at.service.tickets.issue("alice", "", kind="stream", name="s", right=Right.READ)
        for bad in (value[:-1], value + "x", f"{COOKIE}={ticket}", f"{value}; {value}", f"{COOKIE}=" + "x" * 5000):
            assert (await at.ask("GET", "/v1/streams", headers={"cookie": bad})).status == 401, bad
        assert (await at.ask("GET", "/v1/streams", headers={"cookie": f"a=b; {value}; c=d"})).status == 200


async def test_a_session_ends_with_its_key():
    """Whose key was changed signs in again."""
    async with front(keys=KEYS) as at:
        cookie, _ = await cookie_of(at)
        sessions = at.service.sessions
    async with front(keys={"alice": "another-key-0123456789"}) as at:
        at.service.authenticate.__self__._sessions = sessions
        assert (await at.ask("GET", "/v1/streams", headers=cookie)).status == 401


async def test_a_page_from_elsewhere_cannot_use_it():
    """The guard looks at where a request comes from, whatever cookie came along."""
    async with front(keys=KEYS) as at:
        cookie, _ = await cookie_of(at)
        elsewhere = cookie | {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}
        reply = await at.ask("POST", "/v1/streams/none/cancel", headers=elsewhere)
        assert reply.status == 403
