"""The server and the scripted upstream that the tests of both SDKs talk to."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.e2e.fault_cases import TOOLS
from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Next, Received, Script, Stall, Trickle, head, sse, whole

#: What the upstream's answers say; the first chunk has the role and no text.
TOKENS = [f"w{number} " for number in range(20)]
TEXT = "".join(TOKENS)

#: What both SDKs make of tool calls whose arguments came in pieces, cut between the halves of a character.
CALLS = [("call_0", "f", r'{"a": "\ud83d\udc4b"}'), ("call_1", "g", "{}")]


class House(NamedTuple):
    """Where the SDKs' requests go to."""

    server: HeadraceServer
    upstream: UpstreamThread


@contextmanager
def sdk_house(folder: Path) -> Iterator[House]:
    """Both, running."""
    with UpstreamThread(_play()) as upstream:
        toml = upstream_toml(f"{upstream.url}/v1") + "[deadlines]\nfirst = 5\nidle = 5\n"
        with HeadraceServer(folder, toml) as server:
            yield House(server, upstream)


def _play() -> Callable[[Received, object], Script]:
    asked: Counter[str] = Counter()

    def script(request: Received, _: object) -> Script:
        model = model_of(request)
        asked[model] += 1
        body = request.json()
        assert isinstance(body, dict)
        if model.startswith("stalls"):
            return [head(), _stream("one"), Stall()]
        if model == "tools":
            return TOOLS.script or ()
        if model == "halves":  # of one character, each escaped in a chunk of its own
            halves = (sse("high", "low", finish_reason="stop", done=True)).replace(b"high", rb"\ud83d")
            return [head(), halves.replace(b"low", rb"\udc4b")]
        if model == "locked":
            return [head(401, type="application/json", body="2"), b"{}", Next()]
        if model.startswith("busy") and asked[model] < 3:
            return [head(429, "Retry-After: 0", type="application/json", body="2"), b"{}", Next()]
        if not body.get("stream"):
            return [whole(TEXT, usage=(3, 4)), Next()]
        good = _stream(*TOKENS) + sse(finish_reason="stop", usage=(3, 4), done=True)
        return [head(), Trickle(good, size=400, pause=0.01)]

    return script


def _stream(*texts: str) -> bytes:
    """Chunks with a role in the first and a field that nobody here knows in each."""
    first = sse("", *texts).replace(b'"delta":{', b'"delta":{"role":"assistant",', 1)
    return first.replace(b'"created":1', b'"created":1,"x_vendor":{"deep":[1]}')
