"""OpenAI Responses: over an upstream that speaks them and one that does not; start, poll, rejoin, stop, go on."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from openai.types.responses import Response, ResponseItemList
from tests.faces.front import ALICE, BOB, KEYS, Fake, bearer, chunk, finish, frames, front
from tests.faces.test_passthrough import Forwarder

from headrace.core.stream import Cursor
from headrace.errors import ErrorDetail, OffsetAhead, UpstreamRefused, UpstreamTruncated
from headrace.faces.responses.cursor import cursor_after
from headrace.faces.responses.object import current
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream
from headrace.testing.spoken import Said, Use, spoken, whole_body
from headrace.upstreams.prepare import prepared
from headrace.wire.sse import Decoder

PATH = "/v1/responses"
ASKED = {"model": "fake", "input": "Hello"}
STREAMED = {**ASKED, "stream": True}
SAID = Said(
    reasoning=("I ", "think"),
    texts=("Grüße ", "世界"),
    calls=(Use(id="c0", name="f", arguments=('{"a":', "1}")),),
    finish="tool_calls",
)
USED = Usage(input=11, output=7)


def said(dialect: str, what: Said = SAID, id: str = "") -> list[Record]:
    """A provider's answer as records; ``id`` instead of the one that it gives."""
    found = [Record(frame.event, frame.data) for frame in Decoder().feed(b"".join(spoken(dialect, what)))]
    records = [record for record in found if record.data != b"[DONE]"]
    return [Record(event, data.replace(b"resp_spoken", id.encode())) for event, data in records] if id else records


class Native(Fake):
    """An upstream that speaks Responses."""

    def __init__(self, steps=None, *, upstream_id="resp_spoken", format=RESPONSES, **options):
        steps = [*said(RESPONSES), End("stop", USED)] if steps is None else steps
        super().__init__(steps, upstream_id=upstream_id, format=format, **options)


class Foreign(Fake):
    """An upstream that speaks OpenAI chat alone."""

    spoken = CHAT

    def __init__(self, steps=None, **options):
        steps = [*said(self.spoken), End("stop", USED)] if steps is None else steps
        super().__init__(steps, format=self.spoken, **options)

    def prepare(self, call):
        return prepared(call, (self.spoken,))


class Stranger(Foreign):
    """One that speaks Anthropic Messages alone."""

    spoken = MESSAGES


BOTH = pytest.mark.parametrize("kind", [Native, Foreign])


def text(*words: str) -> Said:
    return Said(texts=words)


def begun(kind: type, *words: str) -> list[Record]:
    """The first records of an answer, without its end."""
    return said(RESPONSES, text(*words))[:-4] if kind is Native else [chunk(word) for word in words]


def numbers(body: bytes) -> list[int]:
    return [json.loads(frame.data)["sequence_number"] for frame in frames(body)]


def datas(body: bytes) -> list[bytes]:
    return [frame.data for frame in frames(body)]


def types(body: bytes) -> list[str]:
    return [json.loads(frame.data)["type"] for frame in frames(body)]


def output_text(value: dict) -> str:
    if value["status"] in ("in_progress", "completed"):  # else there are words of ours, which the SDKs let pass
        Response.model_validate(value)
    return "".join(part["text"] for item in value["output"] if item["type"] == "message" for part in item["content"])


# -- starting --------------------------------------------------------------------------------------------------------


async def test_events_pass_verbatim():
    async with front(upstream := Native()) as at:
        body = {**STREAMED, "brand_new": {"deep": [1, None]}, "stream_options": {"include_obfuscation": False}}
        reply = await at.ask("POST", PATH, body)
    assert datas(reply.body) == [record.data for record in said(RESPONSES)]
    assert [frame.event for frame in frames(reply.body)] == types(reply.body)
    assert upstream.calls[0].body == body
    assert b"[DONE]" not in reply.body
    assert reply.headers["location"] == f"{PATH}/{reply.headers['headrace-stream-id']}?stream=true"


async def test_an_answer_of_another_dialect_is_told_as_events():
    async with front(upstream := Foreign()) as at:
        reply = await at.ask("POST", PATH, STREAMED)
    assert numbers(reply.body) == list(range(len(numbers(reply.body))))
    assert types(reply.body)[0] == "response.created"
    last = json.loads(datas(reply.body)[-1])
    assert last["type"] == "response.completed"
    assert output_text(last["response"]) == SAID.text
    assert last["response"]["id"] == reply.headers["headrace-stream-id"].replace("st_", "resp_")
    assert upstream.calls[0].dialect == CHAT


@BOTH
async def test_nothing_but_blocks_with_data(kind):
    """No id-only and no retry-only block, no comment before a blank line: they break openai-python."""
    async with front(kind()) as at:
        body = (await at.ask("POST", PATH, STREAMED)).body.decode()
    for block in body.removesuffix("\n\n").split("\n\n"):
        assert "\ndata: " in block
        assert "\nid: st_" in block


async def test_a_whole_response_is_what_the_upstream_sent():
    body = whole_body(RESPONSES, SAID)
    async with front(Native([Record("", body), End()], format=f"{RESPONSES}.object")) as at:
        reply = await at.ask("POST", PATH, ASKED)
        assert reply.body == body
        assert await at.json("GET", f"{PATH}/resp_spoken") == json.loads(body)
        again = await at.ask("GET", f"{PATH}/resp_spoken?stream=true")
        assert types(again.body)[-1] == "response.completed"


async def test_a_whole_response_is_made_of_another_dialect():
    body = {**ASKED, "instructions": "Be brief.", "metadata": {"a": "b"}, "store": False}
    async with front(Foreign([*said(CHAT, text("Hi")), End("stop", USED)])) as at:
        value = await at.json("POST", PATH, body)
    assert output_text(value) == "Hi"
    assert (value["status"], value["instructions"], value["metadata"]) == ("completed", "Be brief.", {"a": "b"})
    assert value["usage"]["total_tokens"] == 18


@pytest.mark.parametrize("more", [{"stream": True}, {"stream": False}, {"background": True}])
async def test_an_early_error_keeps_its_status_and_the_providers_words(more):
    detail = ErrorDetail(message="Too long.", type="invalid_request_error", code="too_long", param="input")
    async with front(Native(head=[UpstreamRefused(status=400, accepted=False, detail=detail)])) as at:
        error = (await at.json("POST", PATH, {**ASKED, **more}, status=400))["error"]
    assert error == {"message": "Too long.", "type": "invalid_request_error", "param": "input", "code": "too_long"}


@BOTH
async def test_a_late_error_is_an_event_and_no_completed(kind):
    async with front(kind([*begun(kind, "a"), UpstreamTruncated()])) as at:
        reply = await at.ask("POST", PATH, STREAMED)
        polled = await at.json("GET", f"{PATH}/{reply.headers['headrace-stream-id']}")
    assert reply.status == 200
    assert types(reply.body)[-1] == "response.failed"
    assert (polled["status"], output_text(polled)) == ("failed", "a")


async def test_a_late_error_of_what_is_not_streamed_is_an_error():
    async with front(Native([*begun(Native, "a"), UpstreamTruncated()])) as at:
        assert (await at.json("POST", PATH, ASKED, status=502))["error"]["code"] == "upstream_truncated"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x"}, "model"),
        ({**ASKED, "stream": "yes"}, "stream"),
        ({**ASKED, "previous_response_id": 3}, "previous_response_id"),
        ({**ASKED, "conversation": "conv_1"}, "conversation"),
    ],
)
async def test_what_is_wrong_is_named(body, param):
    async with front(Native(), keys=KEYS) as at:
        reply = await at.json("POST", PATH, body, bearer(ALICE), status=400)
    assert reply["error"]["param"] == param


# -- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "headers", "policy"),
    [
        ({}, {}, "linger=5"),
        ({"store": False}, {}, "linger=5"),
        ({"store": True}, {}, "keep"),
        ({"background": True}, {}, "keep"),
        ({"background": True}, {"headrace-on-leave": "linger=9"}, "linger=9"),
    ],
)
async def test_who_is_to_be_kept_is_kept(more, headers, policy):
    async with front(Native()) as at:
        reply = await at.ask("POST", PATH, {**STREAMED, **more}, headers)
        head = await at.registry.find("local", reply.headers["headrace-stream-id"])
    assert head.meta.on_leave == policy
    assert head.meta.stored is (more.get("store") is not False)


@BOTH
async def test_a_background_stream_survives_leaving(kind):
    go = asyncio.Event()
    rest = [*said(RESPONSES, text("a"))[-4:], End()] if kind is Native else [chunk("b"), finish(), End()]
    async with front(kind([*begun(kind, "a"), go, *rest])) as at:
        async with at.open("POST", PATH, {**STREAMED, "background": True}) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
        await at.clock.advance(30)
        go.set()
        await settle()
        assert (await at.json("GET", f"{PATH}/{id}"))["status"] == "completed"


# -- in the background -----------------------------------------------------------------------------------------------


@BOTH
async def test_a_background_response_is_polled_while_it_grows(kind):
    go = asyncio.Event()
    rest = [*said(RESPONSES, text("a"))[-4:], End()] if kind is Native else [finish(), End()]
    async with front(upstream := kind([*begun(kind, "a"), go, *rest])) as at:
        value = await at.json("POST", PATH, {**ASKED, "background": True})
        assert (value["status"], value["background"]) == ("in_progress", True)
        polled = await at.json("GET", f"{PATH}/{value['id']}")
        assert (polled["id"], polled["status"], output_text(polled)) == (value["id"], "in_progress", "a")
        go.set()
        await settle()
        done = await at.json("GET", f"{PATH}/{value['id']}")
        assert (done["id"], done["status"], output_text(done)) == (value["id"], "completed", "a")
    assert upstream.calls[0].stream
    assert "background" not in upstream.calls[0].body


@BOTH
async def test_the_id_that_is_polled_is_the_id_that_is_shown(kind):
    """Before the first record there is only ours, which stays good."""
    go = asyncio.Event()
    async with front(kind([go, *begun(kind, "a"), UpstreamTruncated()])) as at:
        async with at.open("POST", PATH, {**ASKED, "background": True}) as exchange:
            await settle()
            await at.clock.advance(5)
            value = json.loads((await exchange.response()).body)
        assert value["status"] in ("queued", "in_progress")
        assert (await at.json("GET", f"{PATH}/{value['id']}"))["id"] == value["id"]
        go.set()
        await settle()
        assert (await at.json("GET", f"{PATH}/{value['id']}"))["id"] == value["id"]
        assert (await at.json("POST", f"{PATH}/{value['id']}/cancel"))["id"] == value["id"]


# -- rejoining -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Native, Foreign, Stranger])
@pytest.mark.parametrize("end", ["completed", "failed", "failed after all", "open"])
async def test_a_rejoin_goes_on_after_every_event(kind, end):
    dialect = RESPONSES if kind is Native else kind.spoken
    steps = {
        "completed": [*said(dialect), End("stop", USED)],
        "failed": [*said(dialect)[:-3], UpstreamTruncated()],
        "failed after all": [*said(dialect), UpstreamTruncated()],
        "open": [*said(dialect)[:-3], asyncio.Event()],
    }[end]
    async with front(kind(steps)) as at:
        async with at.open("POST", PATH, STREAMED) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            body = await _available(exchange) if end == "open" else await exchange.rest()
        whole = datas(body)
        for number in numbers(body):
            async with at.open("GET", f"{PATH}/{id}?stream=true&starting_after={number}") as again:
                head = await again.head()
                if end != "open" and number == len(whole) - 1:
                    assert head.status == 204
                elif number < len(whole) - 1:
                    rest = await _available(again) if end == "open" else await again.rest()
                    assert datas(rest) == whole[number + 1 :], number
        assert (await at.ask("GET", f"{PATH}/{id}?stream=true&starting_after={len(whole)}")).status == 410
        assert len(whole) > 8


@BOTH
async def test_a_rejoin_finds_an_end_without_a_beginning(kind, tmp_path):
    """All of its events are told at the end, in one step; from a file, too."""
    async with front(kind([UpstreamTruncated()]), folder=tmp_path) as at:
        id = (await at.ask("POST", PATH, STREAMED)).headers["headrace-stream-id"]
        whole = await at.ask("GET", f"{PATH}/{id}?stream=true")
        last = numbers(whole.body)[-1]
        assert numbers(whole.body) == list(range(last + 1))
        for number in range(last):
            rest = await at.ask("GET", f"{PATH}/{id}?stream=true&starting_after={number}")
            assert datas(rest.body) == datas(whole.body)[number + 1 :]
        assert (await at.ask("GET", f"{PATH}/{id}?stream=true&starting_after={last}")).status == 204


@BOTH
async def test_a_rejoin_goes_on_in_a_file(kind, tmp_path):
    async with front(kind(), folder=tmp_path) as at:
        whole = await at.ask("POST", PATH, STREAMED)
        id = whole.headers["headrace-stream-id"]
        for number in numbers(whole.body)[:-1]:
            rest = await at.ask("GET", f"{PATH}/{id}?stream=true&starting_after={number}")
            assert datas(rest.body) == datas(whole.body)[number + 1 :], number


async def _available(exchange) -> bytes:
    """What has come by now."""
    await settle()
    return await exchange.piece()


@BOTH
async def test_without_a_cursor_it_is_all_of_it(kind):
    """The SDKs' stream helpers ask so, and count by themselves."""
    async with front(kind()) as at:
        first = await at.ask("POST", PATH, STREAMED)
        id = first.headers["headrace-stream-id"]
        again = await at.ask("GET", f"{PATH}/{id}?stream=true&include_obfuscation=false")
        assert datas(again.body) == datas(first.body)
        shown = [frame.id for frame in frames(again.body)]
        back = await at.ask("GET", f"{PATH}/{id}?stream=true&starting_after=0", headers={"last-event-id": shown[5]})
        assert datas(back.body) == datas(first.body)[6:]


@pytest.mark.parametrize("wrong", ["-1", "x", "", "1.0", "1" * 16, "%00", "%D9%A3"])
async def test_what_is_no_sequence_number_is_refused(wrong):
    async with front(Native()) as at:
        id = (await at.ask("POST", PATH, STREAMED)).headers["headrace-stream-id"]
        reply = await at.json("GET", f"{PATH}/{id}?stream=true&starting_after={wrong}", status=400)
    assert reply["error"]["param"] == "starting_after"


@pytest.mark.parametrize(
    ("counted", "places"),
    [
        ([0, 1, 2, 3], {0: 1, 1: 2, 2: 3}),
        ([1, 2, 3, 4], {0: 0, 1: 1, 2: 2, 3: 3}),
        ([0, 2, 2, 7], {0: 1, 1: 1, 2: 3, 6: 3}),
        ([None, None, None, None], {0: 1, 1: 2, 2: 3}),
        (["a", {}, 1e300, -5], {0: 1, 1: 2}),
    ],
)
async def test_upstreams_count_as_they_like(counted, places):
    """The cursor is the place before the first event that was not seen; events without a number count for one."""
    datas = [{"type": "response.in_progress", "sequence_number": number} for number in counted]
    steps = [Record("response.in_progress", json.dumps(data).encode()) for data in datas]
    async with front(Native([*steps, asyncio.Event()])) as at:
        async with at.open("POST", PATH, STREAMED) as exchange:
            head = await at.registry.find("local", (await exchange.head()).headers["headrace-stream-id"])
            await settle()
            head = await at.registry.find("local", head.id)
            found = {number: (await cursor_after(at.registry.log, head, number)).step for number in places}
    assert found == places


async def test_what_came_after_the_look_at_the_stream_is_not_counted():
    """The end of a stream that was open then, say: its place is beyond what that look knows."""
    async with front(Foreign([*said(CHAT), End()])) as at:
        reply = await at.ask("POST", PATH, STREAMED)
        now = await at.registry.find("local", reply.headers["headrace-stream-id"])
        last = numbers(reply.body)[-1]
        assert await cursor_after(at.registry.log, now, last) == Cursor(now.tail + 1)
        with pytest.raises(OffsetAhead):
            await cursor_after(at.registry.log, now._replace(tail=3, outcome=None), last)
        assert (await cursor_after(at.registry.log, now._replace(tail=3, outcome=None), 0)).step < 3


@asynccontextmanager
async def counting_turns() -> AsyncIterator[list[int]]:
    """How often the loop comes round meanwhile."""
    turns = [0]

    async def others():
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    yield turns
    task.cancel()


async def test_long_folds_let_others_run():
    async with front(Foreign([[chunk("word ")] * 5000, End()])) as at:
        reply = await at.ask("POST", PATH, STREAMED)
        head = await at.registry.find("local", reply.headers["headrace-stream-id"])
        async with counting_turns() as turns:
            assert (await cursor_after(at.registry.log, head, 4990)).step > 4900
        assert turns[0] > 10
        async with counting_turns() as turns:
            _, value = await current(at.registry.log, head.id)
        assert turns[0] > 1
        assert output_text(value) == "word " * 5000


# -- stopping and deleting -------------------------------------------------------------------------------------------


@BOTH
async def test_cancel_shows_what_there_is_and_can_be_repeated(kind):
    async with front(upstream := kind([*begun(kind, "a"), asyncio.Event()])) as at:
        async with at.open("POST", PATH, STREAMED) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            one = await at.json("POST", f"{PATH}/{id}/cancel")
            assert (one["status"], output_text(one)) == ("cancelled", "a")
            assert await at.json("POST", f"{PATH}/{id}/cancel") == one == await at.json("GET", f"{PATH}/{id}")
            last = json.loads(datas(await exchange.rest())[-1])
        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")
        assert upstream.answers[0].closed


@BOTH
async def test_cancel_leaves_what_is_complete(kind):
    async with front(kind()) as at:
        id = (await at.ask("POST", PATH, STREAMED)).headers["headrace-stream-id"]
        whole = await at.json("GET", f"{PATH}/{id}")
        assert whole["status"] == "completed"
        assert await at.json("POST", f"{PATH}/{id}/cancel") == whole


async def test_delete_removes_the_input_too():
    async with front(Native()) as at:
        await at.ask("POST", PATH, STREAMED)
        head = await at.registry.find("local", "resp_spoken")
        assert await at.service.recorder.request("local", head.id)
        deleted = await at.json("DELETE", f"{PATH}/resp_spoken")
        assert deleted == {"id": "resp_spoken", "object": "response", "deleted": True}
        assert await at.service.recorder.request("local", head.id) is None
        assert (await at.ask("GET", f"{PATH}/{head.id}")).status == 410


# -- going on --------------------------------------------------------------------------------------------------------


def counting(kind: type) -> FakeUpstream:
    """An upstream whose n-th answer says n."""
    made: FakeUpstream

    def steps(_):
        number = len(made.calls)
        if kind is Native:
            made.upstream_id = f"resp_{number}"
            return [*said(RESPONSES, text(f"answer {number}"), made.upstream_id), End()]
        return [*said(CHAT, text(f"answer {number}")), End()]

    made = kind(steps)
    return made


def words(value: object) -> list[str]:
    """All texts of a body, in their order."""
    if isinstance(value, dict):
        return [word for name, each in value.items() if name in _TEXTS for word in words(each)]
    if isinstance(value, list):
        return [word for each in value for word in words(each)]
    return [value] if isinstance(value, str) else []


_TEXTS = frozenset({"input", "messages", "content", "text", "instructions"})


@BOTH
async def test_a_chain_of_responses_is_one_history(kind):
    """The upstream never hears of our ids; instructions are not carried over."""
    async with front(upstream := counting(kind)) as at:
        first = await at.json("POST", PATH, {**ASKED, "input": "one", "instructions": "Once."})
        second = await at.json("POST", PATH, {**ASKED, "input": "two", "previous_response_id": first["id"]})
        body = {**STREAMED, "input": "three", "previous_response_id": second["id"]}
        await at.ask("POST", PATH, body)
    assert words(upstream.calls[2].body) == ["one", "answer 1", "two", "answer 2", "three"]
    assert all("previous_response_id" not in call.body for call in upstream.calls)
    assert second["previous_response_id"] == first["id"]


@BOTH
async def test_a_stopped_answer_can_be_gone_on_from(kind):
    calls: list[Sequence] = [[*begun(kind, "half"), asyncio.Event()], []]
    async with front(upstream := kind(lambda _: calls[len(upstream.calls) - 1])) as at:
        value = await at.json("POST", PATH, {**ASKED, "background": True})
        id = value["id"]
        error = (await at.json("POST", PATH, {**ASKED, "previous_response_id": id}, status=400))["error"]
        assert error["param"] == "previous_response_id"
        await at.json("POST", f"{PATH}/{id}/cancel")
        await at.ask("POST", PATH, {**ASKED, "input": "more", "previous_response_id": id})
    assert words(upstream.calls[1].body) == ["Hello", "half", "more"]


@pytest.mark.parametrize("output", [{}, {"output": None}, {"output": [None, 1, {"type": 3}, {"id": 4, "status": []}]}])
@pytest.mark.parametrize("whole", [False, True])
async def test_an_upstreams_odd_answer_can_be_polled_and_gone_on_from(output, whole):
    odd = {"id": "resp_odd", "object": "response", "status": "completed", "model": "m", **output}
    record = Record("", json.dumps(odd).encode())
    if not whole:
        event = {"type": "response.completed", "sequence_number": {}, "response": odd}
        record = Record("response.completed", json.dumps(event).encode())
    async with front(
        upstream := Native(
            [record, End()], upstream_id="resp_odd", format=f"{RESPONSES}.object" if whole else RESPONSES
        )
    ) as at:
        await at.ask("POST", PATH, {**ASKED, "stream": not whole})
        assert (await at.json("GET", f"{PATH}/resp_odd"))["status"] == "completed"
        assert (await at.ask("GET", f"{PATH}/resp_odd?stream=true")).status == 200
        await at.ask("POST", PATH, {**ASKED, "input": "more", "previous_response_id": "resp_odd"})
        assert words(upstream.calls[1].body["input"])[-1] == "more"


async def test_items_that_are_named_are_put_in_their_places():
    """As the AI SDK does where answers are stored; only one's own, and an upstream's are left to it."""
    async with front(upstream := counting(Foreign), keys=KEYS) as at:
        first = await at.json("POST", PATH, ASKED, bearer(ALICE))
        reference = {"type": "item_reference", "id": first["output"][0]["id"]}
        body = {**ASKED, "input": [{"role": "user", "content": "one"}, reference, {"role": "user", "content": "two"}]}
        await at.ask("POST", PATH, body, bearer(ALICE))
        assert words(upstream.calls[1].body) == ["one", "answer 1", "two"]
        await at.json("POST", PATH, body, bearer(BOB), status=400)
    async with front(upstream := counting(Native)) as at:
        body = {**ASKED, "input": [{"type": "item_reference", "id": "msg_0"}]}
        await at.ask("POST", PATH, body)
        assert upstream.calls[0].body == body


async def test_a_previous_response_that_is_not_there_is_told():
    """Unknown, somebody else's, deleted, not stored, or of another API: all the same."""
    async with front(upstream := counting(Native), keys=KEYS) as at:

        async def missing(id):
            body = {**ASKED, "previous_response_id": id}
            error = (await at.json("POST", PATH, body, bearer(ALICE), status=400))["error"]
            assert error["code"] == "previous_response_not_found"
            assert (error["param"], error["type"]) == ("previous_response_id", "invalid_request_error")

        await missing("resp_nope")
        await missing("\x00")
        theirs = await at.json("POST", PATH, ASKED, bearer(BOB))
        await missing(theirs["id"])
        mine = await at.json("POST", PATH, ASKED, bearer(ALICE))
        await at.json("DELETE", f"{PATH}/{mine['id']}", headers=bearer(ALICE))
        await missing(mine["id"])
        unstored = await at.json("POST", PATH, {**ASKED, "store": False}, bearer(ALICE))
        await missing(unstored["id"])
        assert len(upstream.calls) == 3


async def test_a_response_is_its_owners_alone():
    async with front(Native(), keys=KEYS) as at:
        id = (await at.ask("POST", PATH, STREAMED, bearer(ALICE))).headers["headrace-stream-id"]
        for method, rest in (
            ("GET", ""),
            ("GET", "?stream=true"),
            ("POST", "/cancel"),
            ("DELETE", ""),
            ("GET", "/input_items"),
        ):
            for reference in (id, "resp_spoken", id.replace("st_", "resp_")):
                reply = await at.json(method, f"{PATH}/{reference}{rest}", headers=bearer(BOB), status=404)
                assert reply["error"]["code"] == "not_found"


# -- what was asked --------------------------------------------------------------------------------------------------


async def test_input_items_come_in_pages():
    items = [{"role": "user", "content": f"item {n}"} for n in range(5)]
    async with front(Native()) as at:
        await at.ask("POST", PATH, {**STREAMED, "input": items})

        async def page(query: str) -> dict:
            value = await at.json("GET", f"{PATH}/resp_spoken/input_items{query}")
            ResponseItemList.model_validate(value)
            assert not value["data"] or value["first_id"] == value["data"][0]["id"]
            return value

        everything = await page("?order=asc")
        ids = [item["id"] for item in everything["data"]]
        assert len(set(ids)) == 5
        assert [item["role"] for item in everything["data"]] == ["user"] * 5
        assert [item["id"] for item in (await page(""))["data"]] == ids[::-1]
        first = await page("?limit=2&order=asc")
        assert (first["last_id"], first["has_more"]) == (ids[1], True)
        last = await page(f"?limit=3&order=asc&after={ids[1]}")
        assert ([item["id"] for item in last["data"]], last["has_more"]) == (ids[2:], False)
        assert (await page(f"?after={ids[0]}"))["data"] == []


async def test_input_items_that_are_not_there():
    async with front(Native()) as at:
        await at.ask("POST", PATH, {**STREAMED, "store": False})
        for query, status in (("", 404), ("?limit=0", 400), ("?limit=101", 400), ("?order=up", 400)):
            await at.json("GET", f"{PATH}/resp_spoken/input_items{query}", status=status)
        await at.ask("POST", PATH, STREAMED)
        await at.json("GET", f"{PATH}/resp_spoken/input_items?after=msg_nope", status=404)
        chat = await at.ask("POST", "/v1/chat/completions", {"model": "demo", "messages": [{"role": "user"}]})
        await at.json("GET", f"{PATH}/{chat.headers['headrace-stream-id']}/input_items", status=404)


async def test_a_retry_attaches_and_sends_nothing_twice():
    async with front(upstream := Native()) as at:
        headers = {"idempotency-key": "k1"}
        one = await at.ask("POST", PATH, STREAMED, headers)
        two = await at.ask("POST", PATH, STREAMED, headers)
        assert one.body == two.body
        last = frames(one.body)[3].id
        rest = await at.ask("POST", PATH, STREAMED, {"last-event-id": last})
        assert datas(rest.body) == datas(one.body)[4:]
    assert len(upstream.calls) == 1


async def test_a_retry_finds_its_response_though_what_it_went_on_with_is_gone():
    """A second answer would cost again, and a refusal would hide the first."""
    async with front(upstream := Native()) as at:
        before = (await at.ask("POST", PATH, STREAMED)).headers["headrace-stream-id"]
        headers = {"idempotency-key": "k1"}
        asked = {**STREAMED, "previous_response_id": before}
        one = await at.ask("POST", PATH, asked, headers)
        await at.json("DELETE", f"{PATH}/{before}")
        two = await at.ask("POST", PATH, asked, headers)
        assert (two.status, two.body) == (one.status, one.body)
    assert len(upstream.calls) == 2


# -- what is not ours ------------------------------------------------------------------------------------------------


async def test_calls_that_make_no_stream_pass_through_where_there_is_one_owner():
    async with front(upstream := Forwarder()) as at:
        for call in ("compact", "input_tokens"):
            reply = await at.ask("POST", f"{PATH}/{call}", {"model": "fake"}, {"content-type": "application/json"})
            assert (reply.status, reply.body) == (201, b"onetwo")
        assert [path for _, path, *_ in upstream.forwarded] == ["/responses/compact", "/responses/input_tokens"]
        for method, path, status in (("POST", "/resp_1", 405), ("POST", "/resp_1/else", 404), ("PUT", "", 405)):
            assert (await at.ask(method, f"{PATH}{path}")).status == status
    async with front(upstream := Forwarder(), keys=KEYS) as at:
        for call in ("compact", "input_tokens"):
            assert (await at.ask("POST", f"{PATH}/{call}", {"model": "fake"}, bearer(ALICE))).status == 404
        assert not upstream.forwarded
