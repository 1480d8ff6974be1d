"""Other calls of an upstream pass through: to the right one, in pieces, and cut where they are cut."""

import asyncio

import pytest
from tests.faces.front import ALICE, KEYS, Fake, bearer, front

from headrace.config import Deadlines
from headrace.errors import UpstreamTruncated
from headrace.model.dialect import CHAT, MESSAGES
from headrace.upstreams.prepare import prepared

#: A piece that never comes.
SILENCE = object()


class Answer:
    """A response in pieces; an error among them is raised."""

    def __init__(self, status, headers, pieces, let_go):
        self.status = status
        self.headers = headers
        self.released = False
        self._let_go = let_go
        self._pieces = list(pieces)

    async def read_some(self):
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if piece is SILENCE:
            await asyncio.Event().wait()
        return piece

    def release(self):
        self.released = True
        self._let_go.set()


class Forwarder(Fake):
    """An upstream that takes other calls."""

    def __init__(self, pieces=(b"one", b"two"), **options):
        super().__init__(**options)
        self.forwarded = []
        self.last = None
        self.let_go = asyncio.Event()
        self._pieces = pieces

    async def forward(self, method, path, query, headers, body=None):
        if body is not None and not isinstance(body, bytes):
            body = b"".join([piece async for piece in body])
        self.forwarded.append((method, path, query, dict(headers), body))
        type = {"content-type": "audio/mpeg", "set-cookie": "a=b", "content-length": "6", "server": "x"}
        self.last = Answer(201, type, self._pieces, self.let_go)
        return self.last


async def test_a_call_passes_with_its_body_and_comes_back_in_pieces():
    """Of the response's headers only those of a list: no cookies, no length."""
    async with front(upstream := Forwarder()) as at:
        body = b'{"model":"fake","input":"x"}'
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        async with at.open("POST", "/v1/audio/speech?x=1", body, headers) as exchange:
            head = await exchange.head()
            assert (await exchange.piece(), await exchange.piece(), await exchange.piece()) == (b"one", b"two", b"")
            assert exchange.complete
    assert (head.status, head.headers["content-type"]) == (201, "audio/mpeg")
    assert "set-cookie" not in head.headers
    assert "content-length" not in head.headers
    method, path, query, _, sent = upstream.forwarded[0]
    assert (method, path, query, sent) == ("POST", "/audio/speech", "x=1", body)
    assert upstream.last.released


async def test_an_answer_that_is_cut_is_cut():
    async with front(upstream := Forwarder([b"one", UpstreamTruncated()])) as at:
        reply = await at.ask("GET", "/v1/files/1/content")
    assert (reply.body, reply.complete) == (b"one", False)
    assert upstream.last.released


@pytest.mark.parametrize(
    ("deadlines", "pieces", "told"),
    [
        (Deadlines(first=20.0, idle=0.05), [b"one", SILENCE], b"one"),
        (Deadlines(first=0.05, idle=20.0), [SILENCE], b""),
    ],
)
@pytest.mark.timeout(15)
async def test_an_answer_that_stalls_is_cut_and_its_upstream_let_go(deadlines, pieces, told):
    """Its first piece has as long as any answer's first word, each later one as long as any answer's next."""
    async with front(upstream := Forwarder(pieces), deadlines=deadlines) as at:
        reply = await at.ask("GET", "/v1/files/1/content")
    assert (reply.status, reply.body, reply.complete) == (201, told, False)
    assert upstream.last.released


@pytest.mark.timeout(15)
async def test_a_client_that_takes_nothing_lets_the_upstream_go():
    """It is there, but its connection is full."""
    async with front(upstream := Forwarder([b"x"] * 1000), deadlines=Deadlines(send=0.05)) as at:
        async with at.open("GET", "/v1/files/1/content") as exchange:
            exchange.hold()
            await upstream.let_go.wait()


async def test_a_client_that_leaves_lets_the_upstream_go():
    async with front(upstream := Forwarder([b"x"] * 1000)) as at:
        async with at.open("GET", "/v1/files/1/content") as exchange:
            exchange.hold()
        assert upstream.last is None or upstream.last.released


async def test_the_model_or_the_header_says_which_upstream():
    second = Forwarder(name="second")
    second.configured = ("other",)
    async with front(first := Forwarder(name="first"), second, models={"alias": ("second/real",)}) as at:
        for body, header, expected in (
            (b'{"model":"other"}', None, second),
            (b'{"model":"alias"}', None, second),
            (b'{"model":"fake"}', None, first),
            (b"{}", "second", second),
            (b"{}", None, first),
        ):
            before = len(expected.forwarded)
            headers = {"content-type": "application/json", "content-length": str(len(body))}
            await at.ask("POST", "/v1/embeddings", body, headers | ({"headrace-upstream": header} if header else {}))
            assert len(expected.forwarded) == before + 1
        assert second.forwarded[1][4] == b'{"model":"real"}'
        assert (await at.ask("GET", "/v1/files", headers={"headrace-upstream": "nope"})).status == 404


async def test_a_body_without_json_is_streamed_on():
    async with front(upstream := Forwarder()) as at:
        await at.ask("POST", "/v1/files", (b"part one, ", b"part two"), {"content-type": "multipart/form-data"})
    assert upstream.forwarded[0][4] == b"part one, part two"


@pytest.mark.parametrize(
    "path", ["/v1/streams/x/y", "/v1/chat/completions/x/y", "/v1/chat/stream", "/v1/messages/x/y", "/v1/responses/x/y"]
)
async def test_what_is_ours_is_never_passed_on(path):
    """Not even with a method or a path that we do not have."""
    async with front(upstream := Forwarder()) as at:
        for method in ("GET", "DELETE"):
            assert (await at.ask(method, path)).status in (404, 405)
    assert upstream.forwarded == []


async def test_a_key_is_needed_where_there_are_keys():
    async with front(upstream := Forwarder(), keys=KEYS) as at:
        assert (await at.ask("POST", "/v1/embeddings", b"{}")).status == 401
        assert upstream.forwarded == []
        assert (await at.ask("POST", "/v1/embeddings", b"{}", bearer(KEYS["bob"]))).status == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/files"),
        ("GET", "/v1/files/1/content"),
        ("DELETE", "/v1/files/1"),
        ("DELETE", "/v1/models/fine-tuned"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches"),
        ("GET", "/v1/messages/batches/batch_1/results"),
    ],
)
async def test_what_an_upstream_keeps_is_not_everybodys(method, path):
    """All owners share the upstream's key: with keys of ours, what is kept there is reached through nobody's."""
    async with front(upstream := Forwarder(), keys=KEYS) as at:
        reply = await at.ask(method, path, b"", bearer(ALICE))
        assert (reply.status, upstream.forwarded) == (404, [])
        assert (await at.ask("POST", "/v1/embeddings", b"{}", bearer(ALICE))).status == 201


async def test_a_call_that_keeps_something_passes_for_the_only_owner():
    """Without keys there is nobody to keep apart."""
    async with front(upstream := Forwarder()) as at:
        assert (await at.ask("GET", "/v1/files")).status == 201
    assert len(upstream.forwarded) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/messages/batches"),
        ("GET", "/messages/batches"),
        ("GET", "/messages/batches/batch_1"),
        ("GET", "/messages/batches/batch_1/results"),
        ("POST", "/messages/batches/batch_1/cancel"),
        ("DELETE", "/messages/batches/batch_1"),
        ("POST", "/messages/batches/cancel"),
    ],
)
async def test_batches_are_the_upstreams_and_no_messages_of_ours(method, path):
    async with front(upstream := Forwarder()) as at:
        reply = await at.ask(method, f"/v1{path}?beta=true", b"", {"anthropic-version": "2023-06-01"})
    assert (reply.status, reply.body) == (201, b"onetwo")
    method_seen, path_seen, query, headers, _ = upstream.forwarded[0]
    assert (method_seen, path_seen, query) == (method, path, "beta=true")
    assert headers["anthropic-version"] == "2023-06-01"


class Speaker(Forwarder):
    """An upstream that takes other calls and is known by what it speaks."""

    def __init__(self, name, spoken):
        super().__init__(name=name)
        self._spoken = spoken

    def prepare(self, call):
        return prepared(call, (self._spoken,))


async def test_anthropics_clients_are_led_to_who_speaks_their_api():
    """Where nobody is named; and where nobody speaks it, to the first."""
    version = {"anthropic-version": "2023-06-01"}
    chat, messages = Speaker("chat", CHAT), Speaker("messages", MESSAGES)
    async with front(chat, messages) as at:
        await at.ask("GET", "/v1/messages/batches")
        await at.ask("GET", "/v1/files", headers=version)
        await at.ask("GET", "/v1/skills", headers=version | {"headrace-upstream": "chat"})
        await at.ask("GET", "/v1/files")
    assert [call[1] for call in messages.forwarded] == ["/messages/batches", "/files"]
    assert [call[1] for call in chat.forwarded] == ["/skills", "/files"]
    async with front(alone := Speaker("chat", CHAT)) as at:
        await at.ask("GET", "/v1/files", headers=version)
    assert len(alone.forwarded) == 1
