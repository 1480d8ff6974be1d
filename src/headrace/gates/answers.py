"""Answers drawn by chance, as providers of each dialect say them, and as the log keeps them."""

import json
import random
from collections.abc import Callable, Mapping, Sequence

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.testing.spoken import Said, Use, spoken
from headrace.wire.chat.intake import Intake as ChatIntake
from headrace.wire.intake import Intake
from headrace.wire.messages.intake import Intake as MessagesIntake
from headrace.wire.responses.intake import Intake as ResponsesIntake
from headrace.wire.sse import Decoder

INTAKES: Mapping[str, Callable[[], Intake]] = {
    CHAT: lambda: ChatIntake(True),
    RESPONSES: ResponsesIntake,
    MESSAGES: MessagesIntake,
}

#: Everything that an encoder may have to say again.
META = Meta(
    owner="local",
    dialect=CHAT,
    created=1.0,
    model="m",
    echo={"model": "m", "prompt_tokens": 3, "include_usage": True, "responses": {"instructions": "x"}},
)

#: Letters that framings and encodings stumble over, among others.
_LETTERS = 'abc xyz,."\\{}[]<>&:0123\n\r\t\x00\x0b\x1f\x7f\x85\xa0éß世界한\u200d\u2028\u2029\ufeff👋🏽\U0001f468'


def text(chance: random.Random, most: int = 9) -> str:
    """A piece of text, never empty."""
    return "".join(chance.choice(_LETTERS) for _ in range(chance.randint(1, most)))


def said(chance: random.Random) -> Said:
    """Any answer."""
    calls = tuple(_use(chance, number) for number in range(chance.choice((0, 0, 0, 1, 2, 3))))
    thoughts = _texts(chance) if chance.random() < 0.4 else ()
    return Said(
        reasoning=thoughts,
        seal="U0VBTA==" if chance.random() < 0.2 else "",
        texts=_texts(chance),
        refusal=_texts(chance) if not calls and chance.random() < 0.1 else (),
        calls=calls,
        finish="tool_calls" if calls else chance.choice(("stop", "stop", "length")),
    )


def _texts(chance: random.Random) -> tuple[str, ...]:
    """Some pieces; now and then so large ones that a rendering does not remember all of them."""
    times = 10_000 if chance.random() < 0.005 else 1
    return tuple(text(chance) * times for _ in range(chance.randint(0, 6)))


def _use(chance: random.Random, number: int) -> Use:
    """A call, the JSON of its arguments cut anywhere."""
    value = {text(chance, 3): text(chance) for _ in range(chance.randint(0, 2))}
    arguments = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    cuts = sorted(chance.randint(0, len(arguments)) for _ in range(chance.randint(0, 4)))
    pieces = (arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True))
    return Use(id=f"call_{number}", name=f"f{number}", arguments=tuple(piece for piece in pieces if piece))


def records_of(dialect: str, answer: Said) -> Sequence[Record]:
    """What a provider's answer leaves in the log."""
    intake = INTAKES[dialect]()
    records = intake.take(Decoder().feed(b"".join(spoken(dialect, answer))))
    intake.finish()
    return records


def outcome(chance: random.Random, state: State) -> Outcome:
    """An end of this kind."""
    if state is State.COMPLETED:
        return Outcome(state=state, reason="stop", ended_at=2.0, usage=Usage(input=3, output=4))
    reason = {
        State.FAILED: chance.choice(("upstream_truncated", "upstream_stalled", "limit", "upstream_protocol")),
        State.CANCELLED: chance.choice(("cancelled", "abandoned")),
        State.INTERRUPTED: chance.choice(("interrupted", "shutdown")),
    }[state]
    return Outcome(state=state, reason=reason, ended_at=2.0, status=0 if state is State.CANCELLED else 502)
