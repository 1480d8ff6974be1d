"""The server as its client sees it: asked until it answers, and no longer than it is awaited."""

import pytest
from tests.client.scripted import CUT, Scripted, answer, chunked

from headrace.client.server import PAUSES, Patience, Refused, Server, Unreachable


class Naps:
    """A clock that is moved by sleeping."""

    def __init__(self):
        self.now = 100.0
        self.taken = []

    def sleep(self, seconds):
        self.taken.append(seconds)
        self.now += seconds

    def patience(self, seconds=60.0):
        return Patience(seconds, sleep=self.sleep, now=lambda: self.now)


@pytest.fixture
def naps():
    return Naps()


def test_a_question_is_asked_until_it_is_answered(naps):
    """Broken connections, half answers and an overloaded server are no answers."""
    half = answer(body=b"good")[:-2]
    with Scripted(CUT, answer(503, retry_after=7), half, answer(429), answer(502), answer(body=b"good")) as scripted:
        server = scripted.client(patience=naps.patience())
        reply = server.ask("POST", "/x", b"body", {"producer-seq": "3"})
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
        server = scripted.client(patience=naps.patience())
        with pytest.raises(Refused, match=r"No:  \[31mnot so\.") as caught:
            server.ask("GET", "/x")
    assert (caught.value.status, naps.taken) == (status, [])


def test_the_server_says_whether_to_try_again(naps):
    """A full topic stays full; a storage that is away comes back."""
    with Scripted(answer(500, x_should_retry="true"), answer(507, x_should_retry="false")) as scripted:
        server = scripted.client(patience=naps.patience())
        with pytest.raises(Refused, match="status 507"):
            server.ask("GET", "/x")
    assert len(naps.taken) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"x"}', b"\xff", b'{"error":{"message":1}}'])
def test_a_refusal_of_somebody_else_is_told_by_its_status(naps, body):
    """A proxy's page is not shown."""
    with Scripted(answer(404, body)) as scripted:
        server = scripted.client(patience=naps.patience())
        with pytest.raises(Refused, match=r"The server answers with status 404\."):
            server.ask("GET", "/x")


def test_a_server_that_stays_away_is_given_up(naps):
    """After so many seconds without an answer, with pauses that grow to a bound and differ."""
    with Scripted() as scripted:
        url = scripted.url
    server = Server(url, patience=naps.patience(30.0))
    with pytest.raises(Unreachable):
        server.ask("GET", "/x")
    assert naps.now == pytest.approx(130.0)
    assert naps.taken[0] <= PAUSES[0]
    assert max(naps.taken) <= PAUSES[1]
    assert len(set(naps.taken)) == len(naps.taken)


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", "1e99"])
def test_an_odd_retry_after_does_no_harm(naps, value):
    """It neither ends the waiting nor makes it longer than the patience."""
    with Scripted(answer(503, retry_after=value), answer()) as scripted:
        server = scripted.client(patience=naps.patience())
        assert server.ask("GET", "/x").status == 200
    assert 0 < naps.taken[0] <= 60.0


def test_an_answer_makes_patience_new(naps):
    """What counts is the time since the last one."""
    patience = naps.patience(10.0)
    for _ in range(3):
        patience.pause(9.0)
        patience.succeeded()
    patience.pause(99.0)
    with pytest.raises(Unreachable):
        patience.pause()


def test_listening_ends_where_the_connection_does(naps):
    """Clean or cut, what has come is there."""
    with Scripted(chunked(b"one", b"two"), answer(503), chunked(b"three", end=False), answer(204)) as scripted:
        server = scripted.client(patience=naps.patience())
        assert b"".join(server.listen("/x", {})) == b"onetwo"
        assert b"".join(server.listen("/x", {"last-event-id": "2"})) == b"three"
        assert server.listen("/x", {}) is None
    assert "last-event-id: 2" in scripted.asked[2][0]


def test_the_key_goes_with_every_question():
    with Scripted(answer(), chunked()) as scripted:
        server = scripted.client("/base/", "k-123")
        server.ask("GET", "/x")
        list(server.listen("/y", {}))
    assert scripted.lines == ["GET /base/x", "GET /base/y"]
    assert all("authorization: Bearer k-123" in head for head, _ in scripted.asked)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("nope", ""),
        ("ftp://host", ""),
        ("http://", ""),
        ("http://host:99999", ""),
        ("http://host/?a=b", ""),
        ("http://me:secret@host", ""),
        ("http://host", "a b"),
        ("http://host", "a\r\nb: c"),
        ("http://host", "schlüssel"),
    ],
)
def test_what_is_no_server_is_refused(url, key):
    """And not repeated: it may hold a secret."""
    with pytest.raises(ValueError) as caught:
        Server(url, key)
    assert "secret" not in str(caught.value)
