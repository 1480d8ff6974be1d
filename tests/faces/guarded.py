"""What the tests of the guard share: settings, an app behind it, and a way to ask."""

import asyncio

from headrace.config import Cors, Settings
from headrace.faces.guard import Guard

HOME = "http://localhost:8003"
EVIL = "https://evil.example"
FRIEND = "https://app.example.com"

LOCAL = Settings()
NAMED = Settings(cors=Cors(origins=(FRIEND, "http://localhost:3000")))
ANY = Settings(cors=Cors(origins=("*",)))


def render(scope, error):
    """An error as the test sees it: where, and which."""
    return error.status, {"content-type": "text/plain"}, f"{scope['path']} {error.code}".encode()


class Response:
    """What was sent."""

    def __init__(self, sent):
        start = sent[0]
        assert start["type"] == "http.response.start"
        assert [message["type"] for message in sent[1:]] == ["http.response.body"] * (len(sent) - 1)
        self.status = start["status"]
        self.raw = start["headers"]
        self.body = b"".join(message.get("body", b"") for message in sent[1:])

    def all(self, name):
        """All values of a header."""
        return [value.decode() for key, value in self.raw if key == name.encode()]

    def __getitem__(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} twice"
        return values[0] if values else None


async def echo(scope, receive, send):
    """An app that reads the whole body and answers with its length."""
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"%d" % length})


def messages_of(body):
    """A body's pieces, as a server hands them over."""
    return [
        {"type": "http.request", "body": piece, "more_body": number < len(body)} for number, piece in enumerate(body, 1)
    ]


#: In the place of a message: the client neither speaks nor leaves.
SILENCE = None


async def ask(
    settings, method="POST", path="/chat", app=echo, body=(b"{}",), host="localhost:8003", messages=None, query=b"",
    receive=None, **headers
):  # fmt: skip
    """One request through the guard; header names with underscores, lists for repeated ones."""
    pairs = [(b"host", host.encode("latin-1"))] if host is not None else []
    for name, value in headers.items():
        values = value if isinstance(value, list) else [value]
        pairs += [(name.replace("_", "-").encode(), one.encode("latin-1")) for one in values if one is not None]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": pairs,
        "http_version": "1.1",
        "query_string": query,
    }
    sent = []
    incoming = iter(messages_of(body) if messages is None else messages)

    async def given():
        message = next(incoming, {"type": "http.disconnect"})
        if message is SILENCE:
            await asyncio.get_running_loop().create_future()
        return message

    async def send(message):
        sent.append(message)

    await Guard(app, settings, render)(scope, receive or given, send)
    return Response(sent)
