"""One server over three upstreams that each speak one dialect, and what is asked of them.

Every scenario is the name of a model. What an upstream answers is written by :mod:`headrace.testing.spoken`; what it
was asked is looked at in its own words.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.scripted_upstream import Fin, Next, Received, Script, Stall, Trickle, head
from headrace.testing.spoken import Said, Use, dialect_at, fault, refusal_body, spoken, whole_body

#: The upstreams by name, and what each speaks.
SPEAKS = {"chat": CHAT, "resp": RESPONSES, "msgs": MESSAGES}

#: A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

#: Characters of several bytes, among them ones outside of the basic plane, and what JSON escapes.
WORDS = ["Grüße, ", "世界 ", "👋🏽 ", "\u2028\u0085 ", '"\\', "\n", "ende."]
USES = (
    Use(id="call_0", name="weather", arguments=('{"a": "Zü', "rich 世", '界 \\"👋\\""}')),
    Use(id="call_1", name="time", arguments=("{}",)),
)
TEXT = Said(texts=tuple(WORDS))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a model says, or how it fails. ``asks`` names what the request has beside its text.

    ``error`` is the code by which the simple faces would call the failure; ``status`` is there where it comes early.
    """

    said: Said = TEXT
    asks: str = ""
    error: str = ""
    status: int = 0


SCENARIOS: Mapping[str, Scenario] = {
    "text": Scenario(),
    "tools": Scenario(said=Said(texts=("Let me see.",), calls=USES, finish="tool_calls"), asks="tools"),
    "reasoning": Scenario(said=Said(reasoning=("I think, ", "so."), seal="c2VhbA==", texts=("Yes.",)), asks="thinking"),
    "image": Scenario(said=Said(texts=("A pixel.",)), asks="image"),
    "structured": Scenario(said=Said(texts=('{"a":', ' "b"}')), asks="schema"),
    "refusal": Scenario(said=Said(refusal=("I can", "not."), finish="refusal")),
    "length": Scenario(said=Said(texts=("Too ", "long"), finish="length")),
    "refused": Scenario(error="bad_thing", status=400),
    "busy": Scenario(error="rate_limit", status=429),
    "fault": Scenario(said=Said(texts=("One ", "two")), error="overloaded"),
    "cut": Scenario(said=Said(texts=("One ", "two")), error="upstream_truncated"),
}


class House(NamedTuple):
    """Where the clients' requests go to, and where they are passed on."""

    server: HeadraceServer
    upstream: UpstreamThread

    def asked(self, model: str) -> list[Received]:
        """What an upstream was asked for a model, named as clients name it (``upstream/name``)."""
        upstream, _, name = model.partition("/")
        asked = [request for request in self.upstream.requests if request.body and model_of(request) == name]
        return [request for request in asked if dialect_at(request.target) == SPEAKS[upstream]]


@contextmanager
def dialect_house(folder: Path) -> Iterator[House]:
    """The server and its upstreams, running."""
    with UpstreamThread(_play) as upstream:
        with HeadraceServer(folder, f"[deadlines]\nfirst = 5\nidle = 5\n{upstreams_toml(upstream.url)}") as server:
            yield House(server, upstream)


def upstreams_toml(url: str) -> str:
    """Configuration for the three upstreams, all at one origin."""
    return f"""
[upstreams.chat]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-secret-0123456789"
models = ["c"]
apis = ["chat"]

[upstreams.resp]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-secret-0123456789"
models = ["r"]
apis = ["responses"]

[upstreams.msgs]
kind = "anthropic"
base_url = "{url}"
api_key = "sk-upstream-secret-0123456789"
models = ["a"]
"""


def _play(request: Received, event: Callable[[str], Any]) -> Script:
    """The scenario is the model's name up to a dash; what follows tells one test from another."""
    dialect = dialect_at(request.target)
    body: Any = request.json()
    model, _, token = model_of(request).partition("-")
    if model == "locked":
        return [head(401, type="application/json", body="2"), b"{}", Next()]
    if model == "busy":
        return _json(429, refusal_body(dialect, "Slow down", "rate_limit_exceeded"), "Retry-After: 2")
    if model == "refused":
        return _json(400, refusal_body(dialect, "That is not how it is done.", "bad_thing"))
    if model == "stalls":
        return [head(), *spoken(dialect, Said(texts=("One ", "two")))[: _BEFORE_END[dialect]], Stall()]
    scenario = SCENARIOS.get(model, SCENARIOS["text"])
    if not body.get("stream"):
        return _json(200, whole_body(dialect, scenario.said))
    frames = spoken(dialect, scenario.said)
    if scenario.error:
        begun = frames[: _BEFORE_END[dialect]]
        return [head(), *begun, *([fault(dialect)] if model == "fault" else []), Fin()]
    if model == "paced":  # as slowly as the test says
        return [head(), frames[0], *[step for frame in frames[1:] for step in (event(token), frame)]]
    if model == "bytes":
        return [head(), Trickle(b"".join(frames), size=1)]
    return [head(), Trickle(b"".join(frames), size=400, pause=0.005), Fin()]


#: How many frames of two pieces of text come before the answer's end begins.
_BEFORE_END = {CHAT: 3, RESPONSES: 6, MESSAGES: 5}


def _json(status: int, body: bytes, *fields: str) -> Script:
    return [head(status, *fields, type="application/json", body=str(len(body))), body, Next()]
