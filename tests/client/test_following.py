"""Following, without a network: what is asked next, what a frame means, when it has ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.scripted import Naps
from tests.client.told import CHUNKS, EVENTS, USAGE, WHOLE, blocks, chunk, failed

from headrace.client import Gone, Refused, State, Text, Unreachable
from headrace.client.exchange import Asked, Head
from headrace.client.following import Following
from headrace.client.patience import Patience
from headrace.wire.bounds import MAX_EVENT_SIZE

STREAM = Head(200, {"content-type": "text/event-stream", "location": "/v1/streams/st_1?as=chat"})
START = Asked("POST", "/v1/chat/completions", b"{}", {"idempotency-key": "k"})
BODY = b"".join(blocks())


def following(id="st_1", naps=None, **options):
    return Following(id, patience=Patience(now=(naps or Naps()).time), **options)


def rest(asked):
    """What the server says to a question."""
    after = int(asked.headers.get("last-event-id", 0))
    return b"".join(blocks()[after:])


def connect(core, cut=None, piece=1 << 16):
    """One connection that breaks after ``cut`` bytes, which come in pieces; returns what the reader gets of it."""
    asked = core.asked()
    core.replied(STREAM)
    body = rest(asked)[:cut]
    return [event for at in range(0, len(body), piece) for event in core.received(body[at : at + piece])]


@given(st.lists(st.tuples(st.integers(0, len(BODY)), st.integers(1, 200)), max_size=12))
def test_however_it_is_cut_each_event_comes_once(cuts):
    """Any number of connections, cut anywhere, in pieces of any size."""
    core = following()
    seen = []
    for cut, piece in cuts:
        if core.goes_on():
            seen += connect(core, cut, piece)
            core.pause() if core.goes_on() else None
    if core.goes_on():
        seen += connect(core)
    assert seen == EVENTS
    assert core.outcome == WHOLE
    assert core.cursor == str(len(CHUNKS) + 1)


def test_the_cursor_is_what_has_been_taken():
    """Of a record that makes several events, the last one moves it; a reader may stop between two."""
    core = following()
    core.asked()
    core.replied(STREAM)
    taken = core.received(BODY)
    cursors = [(type(event).__name__, core.cursor) for event in taken][:3]
    assert cursors == [("Started", ""), ("Reasoning", "1"), ("Text", "2")]


def test_it_is_started_until_there_is_a_stream_and_then_rejoined():
    """The question that starts it is the same each time; once the server says where it is, it is not asked again."""
    core = following("k", start=START)
    assert core.asked() == START
    core.pause()
    assert core.asked() == START
    core.replied(STREAM)
    assert core.id == "st_1"
    core.pause()
    assert core.asked() == Asked("GET", "/v1/streams/st_1?as=chat&participate=1", headers={})
    core.replied(STREAM)
    list(core.received(b'data: {"choices":[{"delta":{"content":"a"}}]}\nid: st_1:4\n\n'))
    core.pause()
    assert core.asked().headers == {"last-event-id": "4"}


def test_an_observer_does_not_take_part():
    assert following("a/b c", participate=False).asked().path == "/v1/streams/a%2Fb%20c?as=chat"


def test_who_joins_later_is_not_told_again_who_answers():
    core = following(after="1")
    assert connect(core) == EVENTS[2:]


def test_who_has_seen_everything_is_told_the_end():
    """204: it is read again for its end, of which nothing else is shown."""
    core = following(after="8")
    assert core.asked().headers == {"last-event-id": "8"}
    core.replied(Head(204, {}))
    assert core.pause() == 0.0
    assert connect(core, 300) == []
    assert core.cursor == "8"
    assert core.pause() > 0.0
    assert connect(core) == []
    assert (core.outcome, core.cursor) == (WHOLE, "8")


def test_nothing_is_no_answer_to_a_question():
    """A 204 to what starts it, or to who asks for all of it: no Headrace says that, and it would be asked at once."""
    with pytest.raises(Refused):
        over(following("k", start=START), Head(204, {}))
    core = following(after="8")
    assert over(core, Head(204, {})) == 0.0
    with pytest.raises(Refused) as caught:
        over(core, Head(204, {}))
    assert caught.value.code == "not_headrace"


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("cancelled", State.CANCELLED),
        ("interrupted", State.INTERRUPTED),
        ("upstream_truncated", State.FAILED),
        ("", State.FAILED),
    ],
)
def test_an_error_is_the_end(code, state):
    """It is told as the outcome and not as an event, with the usage that is known by then."""
    core = following()
    core.asked()
    core.replied(STREAM)
    seen = list(core.received(b"".join(blocks(end=failed(code)))))
    assert seen == EVENTS
    assert core.outcome is not None
    assert (core.outcome.state, core.outcome.reason, core.outcome.usage) == (state, code or "internal", USAGE)
    assert core.outcome.message == "It broke."
    assert not core.outcome.completed


def test_nothing_comes_after_the_end():
    core = following()
    core.asked()
    core.replied(STREAM)
    assert list(core.received(BODY + b'data: {"choices":[{"delta":{"content":"more"}}]}\n\n')) == EVENTS


def test_an_answer_that_fails_before_its_first_word_has_an_outcome():
    """The status is the model's provider's; the stream is there, and so it is asked no more."""
    core = following("k", start=START)
    core.asked()
    core.replied(Head(429, {"location": "/v1/chat/completions/st_2?stream=true", "x-should-retry": "true"}))
    assert list(core.received(failed("rate_limit_exceeded"))) == []
    assert core.pause() == 0.0
    assert core.outcome is not None
    assert (core.id, core.outcome.state, core.outcome.reason) == ("st_2", State.FAILED, "rate_limit_exceeded")


def test_a_busy_server_is_asked_again():
    """Draining, full, or a proxy whose server is away."""
    core = following("k", start=START)
    for head in (Head(503, {"x-should-retry": "true", "retry-after": "3"}), Head(502, {}), Head(429, {})):
        core.asked()
        core.replied(head)
        assert core.pause() >= (3.0 if head.headers else 0.01)
    assert core.asked() == START


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(404, "not_found", Gone), (410, "offset_ahead", Gone), (404, "model_not_found", Refused), (401, "x", Refused)],
)
def test_a_refusal_is_raised(status, code, kind):
    core = following()
    core.asked()
    core.replied(Head(status, {}))
    list(core.received(failed(code)))
    with pytest.raises(Refused) as caught:
        core.pause()
    assert (type(caught.value), caught.value.code, caught.value.status) == (kind, code, status)
    assert str(caught.value) == "It broke."


def over(core, head, *pieces):
    """A connection from its head to what comes after it."""
    core.asked()
    core.replied(head)
    for piece in pieces:
        list(core.received(piece))
    return core.pause()


@pytest.mark.parametrize(
    "head", [Head(200, {"content-type": "text/html"}), Head(302, {"location": "/x"}), Head(202, {})]
)
def test_what_is_no_headrace_is_refused(head):
    """And is not asked for ever."""
    with pytest.raises(Refused):
        over(following(), head)


def test_memory_is_bounded():
    """By events as large as the server's own bound, and refusals of a few lines."""
    with pytest.raises(Refused):
        over(following(), STREAM, b"data: ", b"x" * MAX_EVENT_SIZE, b"x")
    core = following()
    with pytest.raises(Refused):
        over(core, Head(400, {}), *[b"x" * 65536] * 10)
    assert len(core._body) == 65536


def wait_for_ever(core, naps):
    """A server that is not there."""
    while True:
        core.asked()
        naps.sleep(core.pause())


def test_patience_ends_where_nothing_is_heard():
    """Keep-alives are a sign of life; pauses grow until there is progress."""
    naps = Naps()
    core = following(naps=naps)
    for _ in range(40):
        core.asked()
        core.replied(STREAM)
        assert list(core.received(b": ping\n")) == []
        naps.sleep(core.pause())
    assert naps.now > 200.0
    assert max(naps.taken) > 2.0
    with pytest.raises(Unreachable):
        wait_for_ever(core, naps)


def test_alternatives_are_told_apart():
    core = following()
    core.asked()
    core.replied(STREAM)
    data = chunk({"content": "a"}).replace(b'"delta"', b'"index":1,"delta"')
    assert list(core.received(b"data: %b\nid: 1\n\n" % data))[-1] == Text(text="a", choice=1)
