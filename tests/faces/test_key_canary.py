"""No key leaves this process: planted ones are looked for in everything that it says, logs, counts and keeps."""

import logging

import pytest
from tests.faces.front import MESSAGES, Fake, bearer, front, script
from tests.faces.surface import asks_who_comes, routes

from headrace.config import Key
from headrace.config.key_text import new_key
from headrace.errors import UpstreamRefused
from headrace.faces.access.reach import ASKED
from headrace.model.grants import Grants
from headrace.records.keys import Keys

CONFIGURED = "hr_CANARY_configured_0123456789"

#: Requests of a good key that go wrong in various ways, and one that does not.
GOOD = [
    ("POST", "/v1/chat/completions", {"model": "fake", "messages": MESSAGES}),
    ("POST", "/v1/chat/completions", {"model": "none", "messages": MESSAGES}),
    ("POST", "/v1/chat/completions", b"{"),
    ("POST", "/v1/messages", {"model": "fake", "max_tokens": 1, "messages": MESSAGES}),
    ("POST", "/v1/responses", {"model": "fake", "input": "x", "store": True}),
    ("POST", "/api/chat", {}),
    ("POST", "/chat", {"message": ""}),
    ("POST", "/v1/embeddings", {"model": "fake", "input": "x"}),
    ("GET", "/v1/streams/none", b""),
    ("GET", "/v1/streams?limit=x", b""),
    ("POST", "/v1/streams/none/tickets", b""),
    ("PUT", "/v1/topics/t", b""),
    ("POST", "/api/session", b"{}"),
    ("GET", "/nowhere", b""),
    ("PATCH", "/v1/streams", b""),
]


def shown(key):
    """Every place in which somebody may put a key: the right ones, and those that snippets know."""
    yield "", {"authorization": f"Bearer {key}"}
    yield "", {"x-api-key": key}
    yield "", {"api-key": key}
    yield "", {"authorization": f"Bearer {key}", "x-api-key": f"{key}x"}
    yield "", {"authorization": f"Basic {key}"}
    yield "", {"authorization": key}
    yield "", {"cookie": f"headrace_session={key}"}
    yield f"?ticket={key}", {}
    yield f"?api_key={key}&key={key}", {}


@pytest.mark.timeout(60)
async def test_no_key_is_said_logged_counted_or_kept(tmp_path, caplog):
    """Good ones, expired, revoked, for other routes, unknown, damaged; on every route that asks who comes."""
    caplog.set_level(logging.DEBUG)
    said = []
    failing = Fake(lambda n: script("a") if n else UpstreamRefused())
    keys = {"alice": Key.model_validate(CONFIGURED)}
    async with front(failing, folder=tmp_path, keys=keys) as at:

        async def ask(method, target, body=b"", headers=()):
            reply = await at.ask(method, target, body, headers)
            said.append(repr((reply.status, reply.headers, reply.body)))
            return reply.status

        table = Keys(at.service.records, at.clock)
        good = await table.create("bob", Grants())
        narrow = await table.create("bob", Grants(routes=()))
        expired = await table.create("bob", Grants(lifetime=0.0))
        revoked = await table.create("bob", Grants())
        await table.revoke(revoked.stored.id)
        for method, target, body in GOOD:
            for key in (good.secret, CONFIGURED):
                await ask(method, target, body, bearer(key))
        refused = [narrow.secret, expired.secret, revoked.secret, new_key(), good.secret[:-1] + "!"]
        statuses = set()
        for route in (route for route in routes() if asks_who_comes(route)):
            for method in route.methods - {"HEAD"}:
                anybody = not any(ASKED[tag] for tag in route.tags)  # such a route may well be followed for ever
                for key in refused[1:] if anybody else refused:
                    statuses.add(await ask(method, route.path.replace("{", "").replace("}", ""), b"", bearer(key)))
        assert {401, 403} <= statuses <= {200, 401, 403, 404, 415}
        for query, headers in shown(revoked.secret):
            assert await ask("GET", f"/v1/streams{query}", headers=headers) == 401
        for key in refused:
            await ask("POST", "/api/session", {"key": key})
        await ask("GET", "/metrics")
        upstream = repr(failing.calls)
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    planted = [CONFIGURED, good.secret, *refused]
    assert len(said) > 200
    assert "/v1/streams" in caplog.text
    assert good.stored.digest in kept
    for key in planted:
        part = key[3:19]
        assert [text for text in said if part in text] == []
        assert part not in caplog.text
        assert part not in upstream
        assert part.encode() not in kept
