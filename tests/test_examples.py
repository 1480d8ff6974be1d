"""The examples: each does what it says, also when the connection breaks for real."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.node_process import FOLDER, node
from tests.e2e.page_server import CuttingProxy, PageServer
from tests.e2e.server import HeadraceServer

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"
COUNT = " ".join(map(str, range(1, 301)))


@pytest.fixture(scope="module")
def pages() -> Iterator[PageServer]:
    """Where the pages come from."""
    with PageServer() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pages: PageServer) -> Iterator[HeadraceServer]:
    """A server that allows those pages."""
    toml = f'[cors]\norigins = ["{pages.origin}"]\n'
    with HeadraceServer(tmp_path_factory.mktemp("examples"), toml) as started:
        yield started


def run(name: str, url: str, *arguments: str) -> str:
    """What an example prints."""
    command = [sys.executable] if name.endswith(".py") else ["sh"]
    return _printed([*command, str(EXAMPLES / name), *arguments], url)


def _printed(command: list[str], url: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HEADRACE_URL": url},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(60)
def test_rejoin_openai(server: HeadraceServer) -> None:
    """It leaves once by itself, and twice it is cut: nothing is lost, nothing comes twice, and one answer was made."""
    before = len(server.json("GET", "/v1/streams")["data"])
    with CuttingProxy(server.port, b'" 50"', cuts=1) as first, CuttingProxy(first.port, b'" 200"', cuts=1) as second:
        assert run("rejoin_openai.py", second.url).strip() == COUNT
        assert (first._left, second._left) == (0, 0)
    streams = server.json("GET", "/v1/streams")["data"]
    assert len(streams) == before + 1
    assert streams[0]["state"] == "completed"


@pytest.mark.timeout(60)
def test_rejoin_responses(server: HeadraceServer) -> None:
    """The same with the calls that the SDK has for it."""
    before = len(server.json("GET", "/v1/streams")["data"])
    with CuttingProxy(server.port, b'" 50"', cuts=1) as first, CuttingProxy(first.port, b'" 200"', cuts=1) as second:
        assert run("rejoin_responses.py", second.url).strip() == COUNT
        assert (first._left, second._left) == (0, 0)
    streams = server.json("GET", "/v1/streams")["data"]
    assert len(streams) == before + 1
    assert (streams[0]["dialect"], streams[0]["state"]) == ("openai.responses", "completed")


def test_anthropic_over_openai(server: HeadraceServer) -> None:
    """It runs the tool that the model calls, and the model goes on with what that says."""
    printed = run("anthropic_over_openai.py", server.url)
    assert "[weather: {'city': 'Oslo'}]" in printed
    assert "It is sunny in Oslo." in printed
    assert "(end_turn, " in printed
    assert {one["dialect"] for one in server.json("GET", "/v1/streams")["data"][:2]} == {"anthropic.messages"}


@pytest.mark.node
@pytest.mark.timeout(60)
def test_usechat(server: HeadraceServer) -> None:
    """Left, resumed as the same message, stopped. Its code is run where the packages are."""
    code = (EXAMPLES / "usechat.mjs").read_text(encoding="utf-8")
    left, resumed, same, stopping, end = _printed(
        [node(), "--input-type=module", "-e", code], server.url, FOLDER
    ).splitlines()
    assert left == f"left after: {_count(20)}"
    assert resumed == f"resumed to: {_count(40)}"
    assert same == "the same message: true"
    assert stopping == 'stopping: {"cancelled":true,"state":"cancelled"}'
    assert end == "the end: abort"


def _count(most: int) -> str:
    return " ".join(map(str, range(1, most + 1)))


def test_stop_answer(server: HeadraceServer) -> None:
    """It stops the answer, and is told that it was."""
    printed = run("stop_answer.py", server.url)
    assert "'cancelled': True" in printed
    assert printed.rstrip().endswith("cancelled")
    assert server.json("GET", "/v1/streams")["data"][0]["state"] == "cancelled"


def test_infer_requests(server: HeadraceServer) -> None:
    """It prints what the model echoes."""
    assert run("infer_requests.py", server.url, "hello", "there") == "hello there\n(stop)\n"


@pytest.mark.curl
@pytest.mark.timeout(60)
def test_rejoin_with_curl(server: HeadraceServer) -> None:
    """Left, rejoined, replayed, stopped."""
    printed = run("rejoin.sh", server.url)
    assert 5 < int(re.search(r"seen: (\d+) events", printed)[1]) < 80
    assert "data: [DONE]" in printed
    assert " ".join(map(str, range(1, 81))) in printed
    assert '{"cancelled":true,"state":"cancelled"}' in printed
    assert '"code":"cancelled"' in printed


# -- pages -----------------------------------------------------------------------------------------------------------

#: Presses the button, waits for a state, and sends home what the page shows.
DRIVE = """
document.getElementById("ask").requestSubmit();
const looking = setInterval(() => {
  const state = document.getElementById("state").textContent;
  if (!state.startsWith("%s")) return;
  clearInterval(looking);
  const shown = document.querySelector("pre").textContent;
  fetch("/result", {method: "POST", body: JSON.stringify({state, shown})});
}, 50);
"""


def show(name: str, pages: PageServer, url: str, folder: Path, *, state: str, more: str = "") -> dict[str, str]:
    """What a page shows in Chromium when it has come to a state."""
    html = (EXAMPLES / name).read_text(encoding="utf-8")
    path = f"/{name}"
    pages.pages[path] = html.replace("</script>", f"{DRIVE % state}{more}</script>")
    return json.loads(pages.shown_in_browser(f"{path}?server={url}", folder))


@pytest.mark.browser
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["eventsource.html", "fetch.html"])
def test_a_page_reads_on_when_it_is_cut(name: str, server: HeadraceServer, pages: PageServer, tmp_path: Path) -> None:
    """The whole answer is shown once, over two connections."""
    whole = server.json("POST", "/chat", {"message": "Hello", "stream": False})["content"]
    with CuttingProxy(server.port, b"window") as cutting:
        told = show(name, pages, cutting.url, tmp_path, state="stop")
        assert cutting._left == 0
    assert told["shown"].replace("\n> Hello\n", "").strip() == whole.strip()


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_a_page_stops_its_answer(server: HeadraceServer, pages: PageServer, tmp_path: Path) -> None:
    """The button ends the answer in the middle."""
    press = 'setTimeout(() => document.getElementById("stop").click(), 1000);'
    told = show("fetch.html", pages, server.url, tmp_path, state="cancelled", more=press)
    assert "You said" in told["shown"]
    assert "appear beside this one" not in told["shown"]
