"""An answer as the server tells it, from any cursor on and cut anywhere."""

import json

from tests.client.scripted import stream

from headrace.client import Finished, Outcome, Reasoning, Started, State, Text, ToolCall, Usage, Used

ID = "st_1"
PLACE = f"/v1/streams/{ID}?as=chat"


def chunk(delta=None, reason=None, **fields):
    """A chunk of the chat API, as short as can be."""
    choices = [] if delta is None else [{"delta": delta, "finish_reason": reason}]
    return json.dumps({"choices": choices, **fields}, ensure_ascii=False, separators=(",", ":")).encode()


def call(**function):
    return {"tool_calls": [{"index": 0, "function": function}]}


CHUNKS = [
    chunk({"role": "assistant", "reasoning_content": "hm"}, id="c1", model="m", created=7),
    chunk({"content": "é\n\n日"}),
    chunk({"content": "x"}),
    chunk(call(name="f", arguments="{")),
    chunk(call(arguments="}")),
    chunk({}, "tool_calls"),
    chunk(usage={"prompt_tokens": 1, "completion_tokens": 2}),
]
USAGE = Usage(input=1, output=2)
#: What a reader sees of it.
EVENTS = [
    Started(id="c1", model="m", created=7),
    Reasoning(text="hm"),
    Text(text="é\n\n日"),
    Text(text="x"),
    ToolCall(call=0, name="f", arguments="{"),
    ToolCall(call=0, arguments="}"),
    Finished(reason="tool_calls"),
    Used(usage=USAGE),
]
WHOLE = Outcome(state=State.COMPLETED, reason="tool_calls", usage=USAGE)
DONE = b"[DONE]"


def failed(code, message="It broke."):
    """What is told in place of an end."""
    return json.dumps({"error": {"message": message, "type": "server_error", "code": code}}).encode()


def blocks(*, end=DONE, prefix=""):
    """All of it, an event a block; the keep-alive is a line before the next event."""
    return [
        b"%bdata: %b\nid: %b%d\n\n" % (b": ping\n" if number == 3 else b"", data, prefix.encode(), number)
        for number, data in enumerate([*CHUNKS, end], 1)
    ]


class Told:
    """The server's side: each connection goes on after the cursor that was asked for, and is cut where it says.

    ``cuts`` are how many bytes each connection carries; after the last of them, all.
    """

    def __init__(self, *cuts, end=DONE):
        self._cuts = list(cuts)
        self._end = end
        #: The cursors that were asked for.
        self.after = []

    def __call__(self, head):
        after = int(head.lower().partition("last-event-id: ")[2].partition("\r\n")[0] or 0)
        self.after.append(after)
        body = b"".join(blocks(end=self._end)[after:])
        cut = self._cuts.pop(0) if self._cuts else len(body)
        pieces = [body[:cut]] if cut else []
        return stream(*pieces, end=cut >= len(body), location=PLACE)
