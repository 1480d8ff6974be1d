"""Answers whose every word is known, so that what is lost, doubled or altered shows."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Step, Trickle, answer, head, sse

#: More words than are ever read before something breaks.
WORDS = [f"{number} " for number in range(4000)]
TEXT = "".join(WORDS)

#: Seconds for each word of an answer that takes its time.
PACE = 0.05

#: The frames of all of them; made once, because making them takes longer than sending them.
_BODY = sse(*WORDS)


def endless(_: Received) -> list[Step]:
    """Words at about 500 a second, in pieces that have nothing to do with frames; it never comes to its end."""
    return [head(body="close"), Trickle(_BODY, size=700, pause=0.008), Stall()]


def counted(request: Received) -> list[Step]:
    """As many words as the message says first, four of them every ``4 * PACE`` seconds, and a proper end."""
    count = int(request.body.partition(b'"content":')[2].strip(b' "').partition(b" ")[0])
    body = sse(*WORDS[:count], finish_reason="stop", done=True)
    return [head(body="close"), Trickle(body, size=4 * len(_BODY) // len(WORDS), pause=4 * PACE)]


def whole(count: int) -> Callable[[Received], list[Step]]:
    """So many words at once, and a proper end."""
    return lambda _: [answer(*WORDS[:count])]


def asked(request: Received) -> str:
    """The last message of a request: in these experiments it tells one answer from all others."""
    body = request.json()
    return str(body["messages"][-1]["content"]) if isinstance(body, dict) else ""


def second_calls(requests: Iterable[Received]) -> int:
    """How many of them ask for an answer that was asked for before; one that never came hides none of these."""
    calls = Counter(map(asked, requests))
    return calls.total() - len(calls)


def is_beginning(text: str) -> bool:
    """Whether a text is how the answer begins, without a gap and with nothing twice."""
    return TEXT.startswith(text)


def configuration(upstream: ScriptedUpstream, more: str = "") -> str:
    """Settings for a server that has this upstream, under the model's name ``m``."""
    key = "sk-of-the-gates-0123456789"
    lines = ("[upstreams.up]", f'base_url = "{upstream.url}/v1"', f'api_key = "{key}"', 'models = ["m"]')
    return "\n".join((*lines, more))


def chat(text: str = "x", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - a request's fields
    """A streaming chat request."""
    return {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}], **more}
