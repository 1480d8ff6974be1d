"""Records of real servers on a real PostgreSQL: streams never wait for it, and a stop loses nothing."""

import json
import time

import pytest
from tests.e2e.server import HeadraceServer
from tests.services.postgresql import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.postgresql, pytest.mark.timeout(60)]

#: A key of the configuration, for which nobody asks the database.
KEY = "records-key-0123456789"
SHOWN = {"authorization": f"Bearer {KEY}"}

#: The demo's own names for its models have prices; it counts a few tokens for each answer.
PRICES = """
[prices."demo/echo"]
input = 1_000
output = 2_000
"""


def ask(server, text):
    """One answer; the seconds it took."""
    begun = time.monotonic()
    body = {"model": "demo/echo", "stream": True, "messages": [{"role": "user", "content": text}]}
    status, _, reply = server.request("POST", "/v1/chat/completions", body, SHOWN, timeout=5)
    assert status == 200
    assert b"data: [DONE]" in reply
    return time.monotonic() - begun


def exported(server):
    """The answers that a server tells of; none while it cannot."""
    status, _, reply = server.request("GET", "/v1/exports/generations", headers=SHOWN, timeout=15)
    assert status in (200, 503), reply
    if status == 503:
        return []
    return [json.loads(line) for line in reply.splitlines()]


def recorded(server, count):
    """The same, once there are so many; none comes later."""
    deadline = time.monotonic() + 15
    while len(found := exported(server)) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(found) == count
    return found


@pytest.fixture
def servers(postgresql_url, tmp_path):
    """Two machines' servers, each with a data folder, on one database."""
    toml = f'[records]\nurl = "{postgresql_url}"\n[keys]\nalice = "{KEY}"\n{PRICES}'
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made.append(HeadraceServer(tmp_path / name, toml))
    yield made
    for server in made:
        server.stop()


def test_answers_do_not_wait_and_are_recorded_once(postgresql, servers):
    """While the database stands still, and while it is dead; afterwards both servers tell all, with what it cost."""
    first, second = servers
    first.start()
    second.start()
    usual = max(ask(server, "Hello") for server in servers)
    with postgresql.paused():
        slowest = max(ask(servers[n % 2], f"paused {n}") for n in range(20))
    postgresql.kill()
    slowest = max(slowest, *(ask(servers[n % 2], f"killed {n}") for n in range(20)))
    assert first.request("GET", "/ready")[0] == 200
    postgresql.start()
    found = recorded(first, 42)
    assert recorded(second, 42) == found
    assert len({row["id"] for row in found}) == 42
    for row in found:
        assert row["cost"] == pytest.approx((row["input_tokens"] * 1_000 + row["output_tokens"] * 2_000) / 1e6)
    print(f"\nan answer took {usual:.3f} s at most, {slowest:.3f} s without its database")  # noqa: T201
    assert slowest < usual + 1.0
    assert not any(PASSWORD in server.log.read_text() for server in servers)
    assert not any(PASSWORD.encode() in server.request("GET", "/metrics")[2] for server in servers)


def test_a_clean_stop_loses_nothing(postgresql, postgresql_url, servers):
    """What has just ended is recorded when the process has ended; where that cannot be, it is at the next start."""
    first, second = servers
    first.start()
    ask(first, "Hello")
    assert first.stop() == 0
    second.start()
    assert len(exported(second)) == 1
    postgresql.kill()
    ask(second, "Nobody takes this down now.")
    assert second.stop() == 0
    postgresql.start()
    second.start()
    recorded(second, 2)
    assert PASSWORD not in second.log.read_text()
