"""Every provider's dialect shown in every client's: the frames after a cursor are the frames of a resumption at it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.log import Batch, Head
from headrace.core.rendering import Renderer
from headrace.core.replay import all_records
from headrace.core.stream import NOTHING_SEEN, Cursor, parse_event_id
from headrace.errors import ErrorDetail
from headrace.faces.dialects import DIALECTS, all_seen, view
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES, whole
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.sqlite.log import SqliteLog
from headrace.testing.spoken import UPSTREAMS, Said, Use, spoken, whole_body
from headrace.wire.chat.intake import Intake as ChatIntake
from headrace.wire.messages.intake import Intake as MessagesIntake
from headrace.wire.responses.intake import Intake as ResponsesIntake
from headrace.wire.sse import Decoder

ID = "st_" + "a2" * 13
META = Meta(
    owner="local",
    dialect=CHAT,
    created=1.0,
    model="m",
    echo={"model": "m", "prompt_tokens": 3, "include_usage": True, "responses": {"instructions": "x"}},
)
EVERYTHING = Said(
    reasoning=("I ", "think"),
    seal="U0VBTA==",
    texts=("Grüße ", "世界 👋🏽", "\u2028"),
    calls=(Use(id="c0", name="f", arguments=('{"a": "\\', '" 世"}')), Use(id="c1", name="g", arguments=())),
    finish="tool_calls",
)
COMPLETED = Outcome(state=State.COMPLETED, reason="stop", ended_at=2.0, usage=Usage(input=3, output=4))
ENDS = {
    "completed": COMPLETED,
    "failed": Outcome(
        state=State.FAILED,
        reason="upstream_truncated",
        ended_at=2.0,
        status=502,
        detail=ErrorDetail(message="m", code="c"),
    ),
    "cancelled": Outcome(state=State.CANCELLED, reason="cancelled", ended_at=2.0),
    "interrupted": Outcome(state=State.INTERRUPTED, reason="interrupted", ended_at=2.0, status=502),
}
#: Dialects with an id on each frame.
WITH_IDS = [name for name, dialect in DIALECTS.items() if dialect.media_type.startswith("text/event-stream")]


def records_of(dialect: str, said: Said) -> list[Record]:
    """What a provider's answer leaves in the log."""
    intake = {CHAT: lambda: ChatIntake(True), RESPONSES: ResponsesIntake, MESSAGES: MessagesIntake}[dialect]()
    records = intake.take(Decoder().feed(b"".join(spoken(dialect, said))))
    intake.finish()
    return records


def render(shown: str, format: str, records: Sequence[Record], outcome: Outcome, seen: Cursor = NOTHING_SEEN) -> bytes:
    """What a client at ``seen`` is sent."""
    head = Head(ID, META, format, len(records), outcome)
    renderer = Renderer(view(shown), head, seen.step + 1, seen)
    start = renderer.start() if renderer.next == 0 else b""
    after = renderer.after
    batch = Batch(after + 1, records[after:], len(records), outcome)
    return start + b"".join(renderer.render(batch))


def cursors_of(body: bytes) -> list[tuple[Cursor, int]]:
    """Each frame's cursor, and where the frame ends."""
    ids = re.finditer(rb"(?:^|\n)id: (\S+)\n(?:retry.*\n)?\n", body)
    return [(parse_event_id(match[1].decode())[1], match.end()) for match in ids]


def check(shown: str, format: str, records: Sequence[Record], outcome: Outcome) -> None:
    """At every frame, what follows is what a resumption there is sent."""
    body = render(shown, format, records, outcome)
    cursors = cursors_of(body)
    assert len(cursors) == body.count(b"\n\n"), "every frame has an id"
    assert [cursor for cursor, _ in cursors] == sorted({cursor for cursor, _ in cursors}), "ids grow"
    head = Head(ID, META, format, len(records), outcome)
    for cursor, end in cursors:
        if all_seen(head, cursor, shown):
            assert end == len(body), "nothing is left after the end"
        else:
            assert render(shown, format, records, outcome, cursor) == body[end:], cursor


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("shown", WITH_IDS)
def test_a_resumption_goes_on_at_every_frame(shown: str, dialect: str, end: str) -> None:
    """Whatever the provider speaks, whatever the client, however it ended, and wherever it stopped before that."""
    records = records_of(dialect, EVERYTHING)
    check(shown, dialect, records if end == "completed" else records[:-2], ENDS[end])
    if end != "completed":
        check(shown, dialect, [], ENDS[end])


@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("shown", WITH_IDS)
def test_a_whole_body_can_be_watched(shown: str, dialect: str) -> None:
    records = [Record("", whole_body(dialect, EVERYTHING))]
    check(shown, whole(dialect), records, COMPLETED)
    assert "世界" in render(shown, whole(dialect), records, COMPLETED).decode()


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_a_resumption_goes_on_at_every_frame_after_a_restart(dialect: str, tmp_path: Path) -> None:
    """What another process reads of the store gives every client the same frames."""
    records = records_of(dialect, EVERYTHING)
    before = await SqliteLog(tmp_path).open()
    await before.create(ID, META)
    await before.append(ID, 0, records[:3], format=dialect)
    await before.append(ID, 3, records[3:], COMPLETED)
    await before.close()
    after = await SqliteLog(tmp_path).open()
    head, kept = await after.head(ID), await all_records(after, ID)
    await after.close()
    assert head is not None
    assert (head.format, head.outcome, head.meta, list(kept)) == (dialect, COMPLETED, META, records)
    for shown in WITH_IDS:
        assert render(shown, head.format, kept, COMPLETED) == render(shown, dialect, records, COMPLETED)
        check(shown, head.format, kept, COMPLETED)


TEXTS = st.lists(st.text(min_size=1, max_size=9), max_size=4).map(tuple)


@st.composite
def uses(draw: st.DrawFn) -> tuple[Use, ...]:
    """Some calls, the JSON of their arguments cut anywhere."""
    found = []
    for number in range(draw(st.integers(0, 3))):
        arguments = json.dumps(
            draw(st.dictionaries(st.text(max_size=3), st.text(max_size=6), max_size=2)),
            ensure_ascii=draw(st.booleans()),
        )
        cuts = sorted(draw(st.sets(st.integers(0, len(arguments)), max_size=5)))
        pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        found.append(Use(id=f"call_{number}", name=f"f{number}", arguments=tuple(piece for piece in pieces if piece)))
    return tuple(found)


@st.composite
def answers(draw: st.DrawFn) -> Said:
    """Any answer."""
    calls = draw(uses())
    return Said(
        reasoning=draw(TEXTS),
        texts=draw(TEXTS),
        calls=calls,
        finish="tool_calls" if calls else draw(st.sampled_from(["stop", "length"])),
    )


@given(answers(), st.sampled_from(UPSTREAMS), st.sampled_from(WITH_IDS), st.sampled_from(sorted(ENDS)), st.data())
def test_a_resumption_goes_on_in_any_answer(
    said: Said, dialect: str, shown: str, end: str, data: st.DataObject
) -> None:
    records = records_of(dialect, said)
    if end != "completed":
        records = records[: data.draw(st.integers(0, len(records) - 1))]
    check(shown, dialect, records, ENDS[end])
