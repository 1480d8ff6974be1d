"""The page about the library: what it shows works as it says."""

import re
from pathlib import Path
from typing import Any

import pytest

from headrace.testing.asgi import AppDriver

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


@pytest.fixture
def shown(tmp_path, monkeypatch) -> dict[str, Any]:
    """What its Python blocks make, run one after the other in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(block, space)
    return space


async def test_shown_app_streams_and_lets_rejoin(shown, tmp_path):
    """The report, and the rest of it; the clock, which nobody can rejoin."""
    async with AppDriver(shown["app"]) as driver:
        reply = await driver.ask("POST", "/report", b'{"steps": 2}', {"content-type": "application/json"})
        rest = await driver.ask("GET", reply.headers["location"] + "?after=1")
        clock = await driver.ask("GET", "/clock")

    assert reply.body.count(b'"of":2') == 2
    assert rest.body.count(b'"of":2') == 1
    assert rest.body.endswith(b"event: close\ndata: {}\nid: 3\n\n")
    assert clock.body.endswith(b"event: close\ndata: {}\n\n")
    assert "location" not in clock.headers
    assert (tmp_path / "streams.db").is_dir()


def test_shown_pieces_come_out(shown):
    """JSON values, blocks and progress."""
    assert list(shown["values"]) == [{"a": 1}, {"b": 2}, 3]
    assert shown["lines"].malformed == 1
    assert list(shown["blocks"]) == [b"anypieces"]
    assert [event.event for event in shown["events"]] == ["complete"]
    assert shown["OutOfCredit"]().status == 402
