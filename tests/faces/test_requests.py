"""Bad input gets a clear 4xx in the words of the path's clients, and starts nothing."""

import json

import pytest
from tests.faces.front import ALICE, BOB, KEYS, MESSAGES, Fake, bearer, front, script

from headrace.config import Limits

SIMPLE = {"model": "fake", "message": "Hello"}
CHAT = {"model": "fake", "stream": True, "messages": MESSAGES}
EVIL = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}

JSON = {"content-type": "application/json"}

#: Every route that starts an answer by POST, with a good body.
STARTING = {
    "/v1/chat/completions": CHAT,
    "/chat/completions": CHAT,
    "/chat": SIMPLE,
    "/chat/stream": SIMPLE,
    "/v1/chat/stream": SIMPLE,
    "/infer": SIMPLE,
}
STARTING_GET = ("/chat/stream?message=Hello&model=fake", "/chat/completions?message=Hello&model=fake")

#: What is wrong with a body of any of them: the body, the status, the code, and the field that is named.
BODIES = {
    "empty": (b"", 400, "invalid_request", None),
    "not JSON": (b"{nope", 400, "invalid_request", None),
    "cut": (b'{"message": "x', 400, "invalid_request", None),
    "a list": (b"[]", 400, "invalid_request", None),
    "a text": (b'"hello"', 400, "invalid_request", None),
    "null": (b"null", 400, "invalid_request", None),
    "not UTF-8": (b'{"message": "\xff", "messages": "\xff"}', 400, "invalid_request", None),
    "NaN": (b'{"message": "x", "temperature": NaN}', 400, "invalid_request", None),
    "half a surrogate pair": (b'{"message": "\\ud800"}', 400, "invalid_request", None),
    "too deep": (b'{"message": ' + b"[" * 100_000, 400, "invalid_request", None),
    "form": (b"message=hello", 400, "invalid_request", None),
    "nothing in it": (b"{}", 400, "invalid_request", "message"),
    "messages is a text": ({"messages": "x", "model": "fake"}, 400, "invalid_request", "messages"),
    "no messages": ({"messages": [], "model": "fake"}, 400, "invalid_request", "messages"),
    "a message is a text": ({"messages": ["x"], "model": "fake"}, 400, "invalid_request", "messages[0]"),
    "no role": ({"messages": [{"content": "x"}], "model": "fake"}, 400, "invalid_request", "messages[0].role"),
    "content is a number": (
        {"messages": [{"role": "user", "content": 5}], "model": "fake"},
        400,
        "invalid_request",
        "messages[0].content",
    ),
    "model is a number": ({"messages": MESSAGES, "model": 5}, 400, "invalid_request", "model"),
    "stream is a text": ({"messages": MESSAGES, "model": "fake", "stream": "yes"}, 400, "invalid_request", "stream"),
    "max_tokens is a text": (
        {"messages": MESSAGES, "model": "fake", "max_tokens": "5"},
        400,
        "invalid_request",
        "max_tokens",
    ),
    "max_tokens is zero": (
        {"messages": MESSAGES, "model": "fake", "max_tokens": 0},
        400,
        "invalid_request",
        "max_tokens",
    ),
    "max_tokens is huge": (
        b'{"messages": [{"role": "user", "content": "x"}], "model": "fake", "max_tokens": 1%s}' % (b"0" * 400),
        400,
        "invalid_request",
        "max_tokens",
    ),
    "temperature is true": (
        {"messages": MESSAGES, "model": "fake", "temperature": True},
        400,
        "invalid_request",
        "temperature",
    ),
    "stop is a number": ({"messages": MESSAGES, "model": "fake", "stop": 5}, 400, "invalid_request", "stop"),
    "unknown model": ({"messages": MESSAGES, "model": "demo/nope"}, 404, "model_not_found", None),
    "model with control characters": ({"messages": MESSAGES, "model": "demo/\r\n\0"}, 404, "model_not_found", None),
    "too large": (b" " * 200_000, 413, "request_too_large", None),
}

#: The same for headers.
HEADERS = {
    "cross-site": (EVIL, 403, "forbidden"),
    "another origin": ({"origin": "https://evil.example"}, 403, "forbidden"),
    "no origin's origin": ({"origin": "null"}, 403, "forbidden"),
    "foreign host": ({"host": "evil.example"}, 421, "host_refused"),
    "no host at all": ({"host": "a/b@c"}, 421, "host_refused"),
    "compressed": ({"content-encoding": "gzip"}, 415, "unsupported_media_type"),
    "huge length": ({"content-length": "99999999999999999999"}, 413, "request_too_large"),
    "negative length": ({"content-length": "-1"}, 400, "invalid_request"),
    "policy that is none": ({"headrace-on-leave": "explode"}, 400, "invalid_request"),
    "policy of a year": ({"headrace-on-leave": "linger=99999999"}, 400, "invalid_request"),
    "negative policy": ({"headrace-on-leave": "linger=-1"}, 400, "invalid_request"),
    "empty idempotency key": ({"idempotency-key": ""}, 400, "invalid_request"),
    "long idempotency key": ({"idempotency-key": "k" * 256}, 400, "invalid_request"),
    "idempotency key with a tab": ({"idempotency-key": "a\tb"}, 400, "invalid_request"),
    "idempotency key of bytes": ({"idempotency-key": "\xe9\xff"}, 400, "invalid_request"),
    "cursor without a stream": ({"last-event-id": "5"}, 400, "invalid_request"),
    "negative cursor": ({"last-event-id": "st_x:-5"}, 400, "invalid_request"),
    "cursor of 60 KB": ({"last-event-id": "st_x:" + "9" * 60_000}, 400, "invalid_request"),
    "cursor of 1 MB": ({"last-event-id": "st_x:" + "9" * 1_000_000}, 431, "headers_too_large"),
    "cursor with NUL": ({"last-event-id": "st_x:\0"}, 400, "invalid_request"),
    "cursor of words": ({"last-event-id": "' OR 1=1 --"}, 400, "invalid_request"),
    "unknown stream": ({"last-event-id": "st_x:5"}, 404, "not_found"),
}

CURSORS = {
    "negative": ("-1", 400, "invalid_request"),
    "huge": ("9" * 40, 400, "invalid_request"),
    "64 bits": (str(1 << 63), 400, "invalid_request"),
    "ahead": ("999999999999999", 410, "offset_ahead"),
    "one ahead": ("4", 410, "offset_ahead"),
    "a part past the end": ("4.1", 410, "offset_ahead"),
    "NUL": ("%00", 400, "invalid_request"),
    "a number and NUL": ("1%00", 400, "invalid_request"),
    "empty": ("", 400, "invalid_request"),
    "space": ("%201", 400, "invalid_request"),
    "plus": ("%2B1", 400, "invalid_request"),
    "other digits": ("%D9%A3", 400, "invalid_request"),
    "hexadecimal": ("0x1", 400, "invalid_request"),
    "part zero": ("1.0", 400, "invalid_request"),
    "two parts": ("1.1.1", 400, "invalid_request"),
    "SQL": ("1;DROP%20TABLE", 400, "invalid_request"),
    "another stream's": ("st_00000000000000000000000000:1", 400, "invalid_request"),
    "no stream's": (":1", 400, "invalid_request"),
}


def check(reply, path, status, code):
    """The error's status, and its code in the path's own shape."""
    assert reply.status == status, (path, reply.body)
    assert reply.complete
    assert reply.headers["content-type"] == "application/json"
    error = json.loads(reply.body)["error"]
    assert error["code"] == code
    assert error["message"]
    assert set(error) == (
        {"code", "message", "retry", "param"} if is_simple(path) else {"message", "type", "param", "code"}
    )
    return error


def is_simple(path):
    return path.partition("?")[0] in ("/chat", "/chat/stream", "/v1/chat/stream", "/infer")


async def nothing_started(at, upstream):
    assert upstream.calls == []
    assert (await at.json("GET", "/v1/streams"))["data"] == []


@pytest.mark.parametrize("path", STARTING)
async def test_a_bad_body_is_refused(path):
    """The field is named where it is one; unknown models are answered with those that there are."""
    async with front(upstream := Fake(script("a")), limits=Limits(body_bytes=150_000)) as at:
        for name, (body, status, code, param) in BODIES.items():
            reply = await at.ask("POST", path, body, {"content-type": "application/json"})
            error = check(reply, path, status, code)
            if param is not None:
                named = "messages" if param == "message" and "completions" in path else param
                assert error["param"] == named, name
                assert named.partition("[")[0] in error["message"], name
            if code == "model_not_found":
                assert "fake" in error["message"], name
                assert error["message"].isprintable(), name
        await nothing_started(at, upstream)


@pytest.mark.parametrize("path", STARTING)
async def test_a_bad_header_is_refused(path):
    async with front(upstream := Fake(script("a"))) as at:
        for headers, status, code in HEADERS.values():
            check(await at.ask("POST", path, STARTING[path], headers), path, status, code)
        await nothing_started(at, upstream)


@pytest.mark.parametrize("path", STARTING_GET)
async def test_a_bad_header_is_refused_where_a_get_starts_an_answer(path):
    async with front(upstream := Fake(script("a"))) as at:
        for headers, status, code in HEADERS.values():
            if "content-length" not in headers:
                check(await at.ask("GET", path, b"", headers), path, status, code)
        await nothing_started(at, upstream)


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("", 400, "message"),
        ("?message=", 400, "message"),
        ("?message=%20", 400, "message"),
        ("?model=fake", 400, "message"),
        ("?message=x&max_tokens=-1", 400, "max_tokens"),
        ("?message=x&max_tokens=9999999999999999", 400, "max_tokens"),
        ("?message=x&temperature=nan", 400, "temperature"),
        ("?message=x&stream=maybe", 400, "stream"),
        ("?messages=nope", 400, "messages"),
        ("?message=x&model=demo/nope", 404, "demo"),
    ],
)
async def test_a_bad_query_of_event_source_is_refused(query, status, named):
    """The parameter is named, because an ``EventSource`` page shows nothing but its console."""
    upstream = Fake(script("a"))
    async with front(upstream) as at:
        reply = await at.ask("GET", f"/chat/stream{query}")
        assert (
            named
            in check(reply, "/chat/stream", status, "model_not_found" if status == 404 else "invalid_request")[
                "message"
            ]
        )
        await nothing_started(at, upstream)


@pytest.mark.parametrize("name", CURSORS)
async def test_an_absurd_cursor_is_refused(name):
    """In the query and in the header alike; on the stream's own URL and on the dialect's."""
    cursor, status, code = CURSORS[name]
    async with front(Fake(script("a"))) as at:
        id = (await at.ask("POST", "/v1/chat/completions", CHAT)).headers["headrace-stream-id"]
        for target in (
            f"/v1/streams/{id}?after={cursor}",
            f"/v1/chat/completions/{id}?stream=true&starting_after={cursor}",
        ):
            check(await at.ask("GET", target), target, status, code)
        if name not in ("empty", "another stream's", "no stream's") and "%" not in cursor:
            for target in (f"/v1/streams/{id}", f"/v1/chat/completions/{id}?stream=true"):
                check(await at.ask("GET", target, headers={"last-event-id": cursor}), target, status, code)
            for path, body in STARTING.items():
                reply = await at.ask("POST", path, body, {"last-event-id": f"{id}:{cursor}"})
                check(reply, path, status, code)
        assert len((await at.json("GET", "/v1/streams"))["data"]) == 1


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/streams?limit=0", 400),
        ("GET", "/v1/streams?limit=1001", 400),
        ("GET", "/v1/streams?limit=many", 400),
        ("GET", f"/v1/streams?before={'x' * 200}", 400),
        ("GET", "/v1/streams/none", 404),
        ("GET", "/v1/streams/%00", 404),
        ("GET", "/v1/streams/%ff%fe", 404),
        ("GET", f"/v1/streams/{'x' * 5000}", 404),
        ("GET", "/v1/streams/none?as=nope", 404),
        ("GET", "/v1/streams/none?participate=maybe", 400),
        ("GET", "/v1/chat/completions/none?stream=maybe", 400),
        ("GET", "/v1/models/none", 404),
        ("GET", "/v1/models/%0d%0a", 404),
        ("GET", "/nope", 404),
        ("GET", "/v1/nope", 404),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/streams", 405),
        ("POST", "/v1/streams/none", 405),
        ("PUT", "/v1/streams/none", 405),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/chat/completions", 405),
        ("GET", "/v1/chat/stream", 405),
        ("GET", "/v1/chat/nope", 404),
        ("GET", "/chat", 405),
        ("GET", "/infer", 405),
        ("DELETE", "/infer", 405),
        ("PATCH", "/v1/chat/completions", 405),
        ("POST", "/health", 405),
        ("POST", "/v1/streams/none/tickets", 404),
    ],
)
async def test_a_wrong_route_method_or_parameter_is_refused(method, target, status):
    """In the path's own shape, even where the framework has found it."""
    upstream = Fake(script("a"))
    async with front(upstream) as at:
        reply = await at.ask(method, target)
        assert reply.status == status
        error = json.loads(reply.body)["error"]
        assert error["message"]
        assert ("retry" in error) == is_simple(target)
        if status == 405:
            assert reply.headers["allow"]
        await nothing_started(at, upstream)


async def test_an_unknown_dialect_is_refused_with_those_that_there_are():
    async with front(Fake(script("a"))) as at:
        id = (await at.ask("POST", "/v1/chat/completions", CHAT)).headers["headrace-stream-id"]
        error = check(await at.ask("GET", f"/v1/streams/{id}?as=morse"), "/v1", 400, "invalid_request")
        assert "named" in error["message"]


@pytest.mark.parametrize("path", STARTING)
async def test_another_body_under_the_same_idempotency_key_is_refused(path):
    """422, and one upstream call; the same body attaches, wherever it has got to."""
    upstream = Fake(lambda _: script("a"))
    async with front(upstream) as at:
        body = STARTING[path]
        headers = {"idempotency-key": "k1"}
        first = await at.ask("POST", path, body, headers)
        check(await at.ask("POST", path, {**body, "temperature": 1}, headers), path, 422, "idempotency_mismatch")
        again = await at.ask("POST", path, body, headers)
        assert again.headers["headrace-stream-id"] == first.headers["headrace-stream-id"]
        assert len(upstream.calls) == 1


async def test_one_idempotency_key_is_one_stream_over_all_faces():
    """The same bytes mean another request on a face of another dialect."""
    upstream = Fake(lambda _: script("a"))
    async with front(upstream) as at:
        headers = {"idempotency-key": "k1"}
        await at.ask("POST", "/chat", SIMPLE, headers)
        check(await at.ask("POST", "/infer", SIMPLE, headers), "/infer", 422, "idempotency_mismatch")
        assert len(upstream.calls) == 1


async def test_an_idempotency_key_is_its_owners():
    """Two owners, one key: two streams."""
    upstream = Fake(lambda _: script("a"))
    async with front(upstream, keys=KEYS) as at:
        ids = set()
        for key in (ALICE, BOB, ALICE):
            reply = await at.ask("POST", "/chat", SIMPLE, {**bearer(key), "idempotency-key": "k1"})
            ids.add(reply.headers["headrace-stream-id"])
        assert len(ids) == len(upstream.calls) == 2


@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong-key-0123456789"), {"x-api-key": "nope"}, {"authorization": "Bearer "}]
)
async def test_without_a_valid_key_nothing_is_told(headers):
    """401 on every route but health, in its own shape, and nothing starts."""
    upstream = Fake(script("a"))
    async with front(upstream, keys=KEYS) as at:
        for path, body in STARTING.items():
            reply = await at.ask("POST", path, body, headers)
            check(reply, path, 401, "invalid_api_key")
            assert reply.headers["www-authenticate"].startswith("Bearer")
        for path in (*STARTING_GET, "/v1/streams", "/v1/streams/x", "/v1/models", "/v1/embeddings"):
            assert (await at.ask("GET", path, b"", headers)).status == 401
        for path in ("/health", "/ready"):
            assert (await at.ask("GET", path, b"", headers)).status == 200
        assert upstream.calls == []


async def test_a_stream_does_not_exist_for_another_key():
    """404 on every verb, with the same body as one that never was."""
    async with front(Fake(script("a")), keys=KEYS) as at:
        reply = await at.ask("POST", "/v1/chat/completions", CHAT, {**bearer(ALICE), "idempotency-key": "mine"})
        id = reply.headers["headrace-stream-id"]
        never = "st_" + "0" * 26
        verbs = [
            ("GET", "/v1/streams/{}"),
            ("GET", "/v1/streams/{}?after=1&as=plain"),
            ("HEAD", "/v1/streams/{}"),
            ("DELETE", "/v1/streams/{}"),
            ("POST", "/v1/streams/{}/cancel"),
            ("POST", "/v1/streams/{}/tickets"),
            ("GET", "/v1/chat/completions/{}"),
            ("GET", "/v1/chat/completions/{}?stream=true"),
            ("POST", "/v1/chat/completions/{}/cancel"),
        ]
        for method, path in verbs:
            body = b"{}" if path.endswith("tickets") else b""
            for name in (id, "chatcmpl-fake", "mine"):
                foreign = await at.ask(method, path.format(name), body, {**bearer(BOB), **JSON})
                unknown = await at.ask(method, path.format(never), body, {**bearer(BOB), **JSON})
                assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
                assert foreign.status == 404
            assert (await at.ask(method, path.format(id), body)).status == 401
        for path in ("/v1/chat/completions", "/chat", "/infer", "/v1/chat/stream"):
            body = CHAT if "completions" in path else SIMPLE
            reply = await at.ask("POST", path, body, {**bearer(BOB), "last-event-id": f"{id}:1"})
            assert reply.status == 404
        assert (await at.json("GET", "/v1/streams", headers=bearer(BOB)))["data"] == []
        assert (await at.ask("GET", f"/v1/streams/{id}", headers=bearer(ALICE))).complete
