"""The server starts, answers and stops, whatever serves it."""

import json
import signal

import pytest
from tests.e2e.server import KINDS, UVICORN, HeadraceServer


@pytest.mark.parametrize("kind", [*KINDS, UVICORN])
@pytest.mark.slow
def test_a_server_starts_answers_and_stops(tmp_path, kind: str) -> None:
    """One streamed answer, whole, and exit status 0."""
    server = HeadraceServer(tmp_path, kind=kind)
    with server:
        body = {
            "model": "demo/counter",
            "stream": True,
            "max_tokens": 3,
            "messages": [{"role": "user", "content": "x"}],
        }
        status, headers, reply = server.request("POST", "/v1/chat/completions", body)
        assert status == 200
        assert headers["headrace-stream-id"].startswith("st_")
        assert reply.count(b"data: ") == 6
        assert b"data: [DONE]\n" in reply
        listed = server.json("GET", "/v1/streams")["data"]
        assert [stream["state"] for stream in listed] == ["completed"]
        assert json.loads(server.request("GET", "/v1/streams/none")[2])["error"]["code"] == "not_found"
        # uvicorn dies of the signal after it has put everything in order; ours exits with 0.
        assert server.stop() == (-signal.SIGTERM if kind == UVICORN else 0)
