"""The clients over real sockets: cut at every record and every byte, each event comes once and the outcome last."""

import itertools

import pytest
from tests.client.scripted import CUT, Naps, Scripted, answer, stream
from tests.client.told import EVENTS, ID, PLACE, WHOLE, Told, blocks, failed

from headrace.client import AsyncClient, Client, Gone, Outcome, State, Unfinished, Unreachable

pytestmark = pytest.mark.anyio

LENGTH = len(b"".join(blocks()))
#: Where each record ends.
ENDS = [len(b"".join(blocks()[:number])) for number in range(len(blocks()))]
BOTH = pytest.mark.parametrize("both", ["sync", "async"])


async def read(scripted, how, both, naps=None):
    """All that an answer yields, by the sync or the asynchronous client. ``how`` makes the answer of a client."""
    if both == "sync":
        return list(how(scripted.answers(naps)))
    async with scripted.answers_async(naps) as client:
        return [item async for item in how(client)]


def follow(client):
    return client.follow(ID)


def ask(client):
    return client.chat("m", "hello", temperature=0)


@BOTH
async def test_cut_at_every_record(both):
    """One connection for each of them, then the end."""
    steps = [end - begin for begin, end in itertools.pairwise(ENDS)]
    told = Told(0, *steps)
    with Scripted(*[told] * (len(steps) + 2)) as scripted:
        assert await read(scripted, follow, both) == [*EVENTS, WHOLE]
    assert told.after == [0, *range(len(steps) + 1)]


@pytest.mark.slow
@BOTH
@pytest.mark.timeout(60)
async def test_cut_at_every_byte(both):
    """Each time once; and what was cut by half is asked for whole."""
    for cut in range(LENGTH):
        told = Told(cut)
        with Scripted(told, told) as scripted:
            assert await read(scripted, follow, both) == [*EVENTS, WHOLE], cut
        # The last byte is a blank line's: without it the end was not told.
        assert told.after == [0, sum(end <= cut for end in ENDS) - 1], cut


@BOTH
async def test_a_repeated_start_is_the_same_request(both):
    """A connection that breaks before there is a stream: the key tells, and no second answer is ever started."""
    told = Told(ENDS[2])
    with Scripted(CUT, answer(503, x_should_retry="true"), told, CUT, told) as scripted:
        assert await read(scripted, ask, both) == [*EVENTS, WHOLE]
        starts = [(head.lower(), body) for head, body in scripted.asked[:3]]
    assert len({body for _, body in starts}) == 1
    keys = {head.partition("idempotency-key: ")[2].partition("\r\n")[0] for head, _ in starts}
    assert len(keys) == 1
    assert len(keys.pop()) > 20
    assert all("headrace-on-leave: linger=60" in head for head, _ in starts)
    assert all("authorization: Bearer k-123".lower() in head for head, _ in starts)
    assert scripted.lines[2:] == ["POST /v1/chat/completions", *[f"GET {PLACE}&participate=1"] * 2]


@BOTH
async def test_the_body_is_the_chat_apis(both):
    """With what was asked for, and usage."""
    with Scripted(Told()) as scripted:
        await read(scripted, lambda client: client.chat("m", "hello", system="Be.", temperature=0), both)
    assert scripted.asked[0][1] == (
        b'{"stream_options":{"include_usage":true},"temperature":0,"model":"m",'
        b'"messages":[{"role":"system","content":"Be."},{"role":"user","content":"hello"}],"stream":true}'
    )


@BOTH
async def test_an_interrupted_answer_ends_as_that(both):
    """What there is of it comes first."""
    told = Told(ENDS[3], end=failed("interrupted"))
    with Scripted(told, CUT, told) as scripted:
        *events, outcome = await read(scripted, follow, both)
    assert events == EVENTS
    assert (outcome.state, outcome.message) == (State.INTERRUPTED, "It broke.")


@BOTH
async def test_who_has_seen_everything_gets_the_outcome_alone(both):
    with Scripted(answer(204), Told()) as scripted:
        assert await read(scripted, lambda client: client.follow(ID, after=8), both) == [WHOLE]


@BOTH
async def test_a_stream_that_is_gone_has_an_error_of_its_own(both):
    """In the middle too: its server has lost what it kept in memory."""
    with Scripted(Told(ENDS[2]), answer(404, failed("not_found", "There is no such stream."))) as scripted:
        with pytest.raises(Gone, match="no such stream"):
            await read(scripted, follow, both)


@BOTH
async def test_a_server_that_stays_away_is_given_up(both):
    naps = Naps()
    with Scripted() as scripted:
        pass
    with pytest.raises(Unreachable):
        await read(scripted, follow, both, naps)
    assert naps.now == pytest.approx(160.0)


@BOTH
async def test_a_text_is_whole_or_an_error(both):
    """What there is of it is in the error."""
    with Scripted(Told(ENDS[2]), Told(), Told(end=failed("cancelled"))) as scripted:
        if both == "sync":
            client = scripted.answers()
            assert client.follow(ID).text() == "é\n\n日x"
            with pytest.raises(Unfinished) as caught:
                client.follow(ID).text()
        else:
            async with scripted.answers_async() as client:
                assert await client.follow(ID).text() == "é\n\n日x"
                with pytest.raises(Unfinished) as caught:
                    await client.follow(ID).text()
    assert (caught.value.text, caught.value.code) == ("é\n\n日x", "cancelled")


@BOTH
@pytest.mark.parametrize(("tells", "code"), [((CUT,), "left"), ((Told(end=failed("cancelled")),), "cancelled")])
async def test_nothing_is_not_a_whole_text(both, tells, code):
    """Who asks for it again after an error gets another, and no empty text as if it were all of it."""
    with Scripted(*tells) as scripted:
        if both == "sync":
            reply = Client(scripted.url, patience=0).follow(ID)
            with pytest.raises((Unreachable, Unfinished)):
                reply.text()
            with pytest.raises(Unfinished) as caught:
                reply.text()
        else:
            async with AsyncClient(scripted.url, patience=0) as client:
                reply = client.follow(ID)
                with pytest.raises((Unreachable, Unfinished)):
                    await reply.text()
                with pytest.raises(Unfinished) as caught:
                    await reply.text()
    assert (caught.value.code, caught.value.text) == (code, "")


@BOTH
async def test_an_answer_can_be_stopped_and_left(both):
    """Stopped by its id; left by the end of its block, which closes the connection."""
    stopped = answer(body=b'{"cancelled":true,"state":"cancelled"}', content_type="application/json")
    with Scripted(stream(blocks()[0], end=False, location=PLACE), stopped) as scripted:
        if both == "sync":
            with scripted.answers().chat("m", "x") as reply:
                next(reply)
                assert reply.cancel().cancelled
            assert list(reply) == []
        else:
            async with scripted.answers_async() as client, client.chat("m", "x") as reply:
                await anext(reply)
                assert (await reply.cancel()).cancelled
        assert (reply.id, reply.outcome) == (ID, None)
    assert scripted.lines[1] == f"POST /v1/streams/{ID}/cancel"


@BOTH
async def test_streams_are_listed_over_pages(both):
    """As many as are wanted."""
    row = (
        b'{"id":"st_%d","object":"stream","model":"m","dialect":"openai.chat","created":1.5,"state":"open",'
        b'"records":3,"bytes":9}'
    )
    pages = [
        answer(body=b'{"data":[%b,%b],"has_more":true}' % (row % 3, row % 2)),
        answer(body=b'{"data":[%b],"has_more":true}' % (row % 1)),
    ]
    with Scripted(*pages) as scripted:
        found = await read(scripted, lambda client: client.streams(3), both)
    assert [each.id for each in found] == ["st_3", "st_2", "st_1"]
    assert found[0].state is State.OPEN
    assert scripted.lines == ["GET /v1/streams?limit=3", "GET /v1/streams?limit=1&before=st_2"]


def test_an_outcome_is_matched_like_an_event():
    """As the documentation shows it."""
    match WHOLE:
        case Outcome(state=State.COMPLETED, reason=reason):
            assert reason == "tool_calls"
        case _:
            pytest.fail("it does not match")
