"""The server as its client sees it: asked until it answers, and no longer than it is awaited."""

import asyncio
import socket
import time

import pytest
from tests.client.scripted import CUT, Naps, Scripted, answer, stream
from tests.client.told import blocks

from headrace.client import AsyncClient, Client
from headrace.client.errors import Gone, Refused, Unreachable
from headrace.client.exchange import Address, Asked
from headrace.client.patience import AT_ONCE, PAUSES, SILENCE, Patience
from headrace.client.server import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def naps():
    return Naps()


def test_a_question_is_asked_until_it_is_answered(naps):
    """Broken connections, half answers and an overloaded server are no answers."""
    half = answer(body=b"good")[:-2]
    with Scripted(CUT, answer(503, retry_after=7), half, answer(429), answer(502), answer(body=b"good")) as scripted:
        server = scripted.client(naps=naps)
        reply = server.ask(Asked("POST", "/x", b"body", {"producer-seq": "3"}))
    assert (reply.status, reply.body) == (200, b"good")
    assert len(naps.taken) == 5
    assert naps.taken[1] == 7.0
    assert {(head.partition("\r\n")[0], body) for head, body in scripted.asked} == {("POST /x HTTP/1.1", b"body")}
    assert all("producer-seq: 3" in head for head, _ in scripted.asked)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 410, 413, 422, 501])
def test_a_refusal_is_an_answer(naps, status):
    """It is not asked again, and says why in one line."""
    body = b'{"error":{"message":"No:\\n\\u001b[31mnot so."}}'
    with Scripted(answer(status, body)) as scripted:
        server = scripted.client(naps=naps)
        with pytest.raises(Refused, match=r"No: \[31mnot so\.") as caught:
            server.ask(Asked("GET", "/x"))
    assert (caught.value.status, naps.taken) == (status, [])


def test_the_server_says_whether_to_try_again(naps):
    """A full topic stays full; a storage that is away comes back."""
    with Scripted(answer(500, x_should_retry="true"), answer(507, x_should_retry="false")) as scripted:
        server = scripted.client(naps=naps)
        with pytest.raises(Refused, match="status 507"):
            server.ask(Asked("GET", "/x"))
    assert len(naps.taken) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"detail":"x"}', b"\xff", b'{"error":{"message":[]}}'])
def test_a_refusal_of_somebody_else_is_told_by_its_status(naps, body):
    """A proxy's page is not shown."""
    with Scripted(answer(404, body)) as scripted:
        server = scripted.client(naps=naps)
        with pytest.raises(Refused, match=r"The server answers with status 404\."):
            server.ask(Asked("GET", "/x"))


def test_a_server_that_stays_away_is_given_up(naps):
    """After so many seconds without an answer, with pauses that grow to a bound and differ."""
    with Scripted() as scripted:
        url = scripted.url
    server = Server(Address(url), patience=Patience(30.0, now=naps.time), sleep=naps.sleep)
    with pytest.raises(Unreachable):
        server.ask(Asked("GET", "/x"))
    assert naps.now == pytest.approx(130.0)
    assert naps.taken[0] <= PAUSES[0]
    assert max(naps.taken) <= PAUSES[1]
    assert len(set(naps.taken)) == len(naps.taken)


def test_what_is_left_of_patience_bounds_the_wait_for_an_answer(naps):
    """From the first question on, and never below what a server may need for one."""
    patience = Patience(60.0, now=naps.time)
    assert patience.asked() == SILENCE
    naps.sleep(40.0)
    assert patience.asked() == 20.0
    naps.sleep(19.0)
    assert patience.asked() == AT_ONCE
    assert patience.pause() <= 1.0
    patience.succeeded()
    assert patience.asked() == SILENCE


@pytest.fixture
def hung(monkeypatch):
    """The URL of a server that takes a question and says nothing, as one that is stopped or behind a dead network does.

    Little is left of the patience for it.
    """
    monkeypatch.setattr("headrace.client.patience.AT_ONCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("both", ["sync", "async"])
async def test_a_server_that_hangs_is_given_up_when_patience_is_over(both, hung):
    if both == "sync":
        with pytest.raises(Unreachable):
            Client(hung, patience=0).cancel("st_1")
    else:
        async with AsyncClient(hung, patience=0) as client:
            with pytest.raises(Unreachable):
                await client.cancel("st_1")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("both", ["sync", "async"])
async def test_an_answer_of_a_server_that_hangs_is_given_up_when_patience_is_over(both, hung):
    """Whether it is to be started or followed."""
    if both == "sync":
        for reply in (Client(hung, patience=0).chat("m", "Hi"), Client(hung, patience=0).follow("st_1")):
            with pytest.raises(Unreachable):
                reply.text()
    else:
        async with AsyncClient(hung, patience=0) as client:
            for awaited in (client.chat("m", "Hi"), client.follow("st_1")):
                with pytest.raises(Unreachable):
                    await awaited.text()


@pytest.mark.slow
@pytest.mark.parametrize("both", ["sync", "async"])
async def test_an_answer_may_be_silent_whatever_the_patience(both, monkeypatch):
    """Once it has begun, keep-alives are what is waited for."""
    monkeypatch.setattr("headrace.client.patience.AT_ONCE", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        url = f"http://127.0.0.1:{slow.getsockname()[1]}"
        playing = asyncio.create_task(asyncio.to_thread(_play_slowly, slow))
        if both == "sync":
            assert await asyncio.to_thread(Client(url, patience=0).follow("st_1").text) == "é\n\n日x"
        else:
            async with AsyncClient(url, patience=0) as client:
                assert await client.follow("st_1").text() == "é\n\n日x"
        await playing


def _play_slowly(server):
    """An answer whose first word comes long after its head."""
    head, _, body = stream(*blocks()).partition(b"\r\n\r\n")
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(head + b"\r\n\r\n")
        time.sleep(4.5)
        connection.sendall(body)


def test_a_poll_may_be_silent_whatever_the_patience(monkeypatch):
    """The server has nothing to say, which is no absence."""
    monkeypatch.setattr("headrace.client.patience.AT_ONCE", 0.01)

    def later(_):
        time.sleep(0.3)
        return answer(body=b"one")

    with Scripted(later) as scripted:
        server = Server(Address(scripted.url), patience=Patience(0.0))
        assert server.ask(Asked("GET", "/x", waits=True)).body == b"one"


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", "1e99"])
def test_an_odd_retry_after_does_no_harm(naps, value):
    """It neither ends the waiting nor makes it longer than the patience."""
    with Scripted(answer(503, retry_after=value), answer()) as scripted:
        server = scripted.client(naps=naps)
        assert server.ask(Asked("GET", "/x")).status == 200
    assert 0 < naps.taken[0] <= 60.0


def test_an_answer_makes_patience_new(naps):
    """What counts is the time since the last one; hearing of it is less: the pauses go on growing."""
    patience = Patience(10.0, now=naps.time)
    for renewed in (patience.succeeded, patience.heard) * 3:
        naps.sleep(patience.pause(9.0))
        renewed()
    assert patience.pause() > PAUSES[0]
    patience.succeeded()
    assert patience.pause() <= PAUSES[0]
    naps.sleep(10.0)
    with pytest.raises(Unreachable):
        patience.pause()


def test_what_the_server_says_is_told_when_patience_is_over(naps):
    """Rather than that it does not answer: it does."""
    full = answer(429, b'{"error":{"message":"Too many.","code":"rate_limit"}}', retry_after=40, x_should_retry="true")
    with Scripted(full, full, full) as scripted, pytest.raises(Refused, match=r"Too many\.") as caught:
        scripted.client(naps=naps).ask(Asked("GET", "/x"))
    assert (caught.value.code, caught.value.status, naps.taken) == ("rate_limit", 429, [40.0, 20.0])


@pytest.mark.parametrize("code", ["not_found", "gone", "offset_ahead"])
def test_what_is_not_there_has_a_name(code):
    with Scripted(answer(410, b'{"error":{"message":"No.","code":"%s"}}' % code.encode())) as scripted:
        with pytest.raises(Gone) as caught:
            scripted.client().ask(Asked("GET", "/x"))
    assert (caught.value.code, caught.value.status) == (code, 410)


def test_the_key_goes_with_every_question_and_nowhere_else():
    with Scripted(answer(), answer(401)) as scripted:
        server = scripted.client("/base/", "k-123")
        server.ask(Asked("GET", "/x"))
        with pytest.raises(Refused) as caught:
            server.ask(Asked("GET", "/y"))
        shown = f"{caught.value!r} {Address(scripted.url, 'k-123')!r} {scripted.answers()!r}"
    assert scripted.lines == ["GET /base/x", "GET /base/y"]
    assert all("authorization: Bearer k-123" in head for head, _ in scripted.asked)
    assert "k-123" not in shown


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("nope", ""),
        ("ftp://host", ""),
        ("http://", ""),
        ("http://host:99999", ""),
        ("http://host/?a=b", ""),
        ("http://me:secret@host", ""),
        ("http://me:secret", ""),
        ("http://me:secret\u2100@host", ""),
        ("http://host", "a b"),
        ("http://host", "a\r\nb: c"),
        ("http://host", "schlüssel"),
    ],
)
def test_what_is_no_server_is_refused(url, key):
    """And not repeated: it may hold a secret."""
    with pytest.raises(ValueError) as caught:
        Address(url, key)
    assert "secret" not in str(caught.value)
