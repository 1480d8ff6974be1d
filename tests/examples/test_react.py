"""The React component in a browser: the growing message, Stop, the time-out, and a connection that breaks."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.e2e.node_process import node
from tests.e2e.page_server import CuttingProxy, PageServer
from tests.e2e.server import HeadraceServer
from tests.examples.example_server import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.browser, pytest.mark.timeout(60)]

REACT = ROOT / "examples/react"
SCRIPT = '<script type="module" src="dist/chat.js"></script>'

#: Asks, notes how the growing message grew, runs ``during`` with it, and sends home what the page shows at the end.
DRIVE = """
<script type="module">
const the = (selector) => document.querySelector(selector);
const button = (name) => [...document.querySelectorAll("button")].find(({ textContent }) => textContent === name);
const grown = [];
await new Promise((resolve) => setTimeout(resolve, 200));
the("input").value = "Hello";
the("form").requestSubmit();
const looking = setInterval(() => {
  const growing = the("[aria-busy]");
  if (growing) {
    if (growing.textContent !== grown.at(-1)) grown.push(growing.textContent);
    %s
  } else if (grown.length) {
    clearInterval(looking);
    const messages = [...document.querySelectorAll(".message")].map(({ textContent }) => textContent);
    const told = { grown, messages, state: the("#state").textContent, idle: button("Stop").disabled };
    fetch("/result", { method: "POST", body: JSON.stringify(told) });
  }
}, 10);
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, with the component built into it as its ``package.json`` says."""
    node()
    assert (REACT / "node_modules/react").is_dir(), "these tests need React: type scripts/install-node"
    bundle = tmp_path_factory.mktemp("react") / "chat.js"
    run("build", f"--outfile={bundle}")
    code = bundle.read_text(encoding="utf-8").replace("</script", r"<\/script")
    html = (REACT / "index.html").read_text(encoding="utf-8")
    assert SCRIPT in html
    return html.replace(SCRIPT, f'<script type="module">{code}</script>')


def run(script: str, *arguments: str) -> None:
    """Run one of the package's scripts, as npm would."""
    command = json.loads((REACT / "package.json").read_text(encoding="utf-8"))["scripts"][script]
    path = os.pathsep.join([str(REACT / "node_modules/.bin"), str(Path(node()).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-c", f'{command} "$@"', "sh", *arguments],
        cwd=REACT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages() -> Iterator[PageServer]:
    """Where the page comes from."""
    with PageServer() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pages: PageServer) -> Iterator[HeadraceServer]:
    """A server that allows that page."""
    with HeadraceServer(tmp_path_factory.mktemp("server"), f'[cors]\norigins = ["{pages.origin}"]\n') as started:
        yield started


def show(page: str, pages: PageServer, url: str, folder: Path, *, during: str = "", **asked: object) -> dict:
    """What the page has shown when its answer is over."""
    pages.pages["/"] = page + DRIVE % during
    query = "&".join(f"{name}={value}" for name, value in {"server": url, **asked}.items())
    return json.loads(pages.shown_in_browser(f"/?{query}", folder, timeout=30))


def test_types_are_right(page: str) -> None:
    """TypeScript has no objection."""
    run("check")


def test_a_message_grows(page: str, pages: PageServer, server: HeadraceServer, tmp_path: Path) -> None:
    """Behind its cursor, each time a little; at the end it is a message like the others."""
    told = show(page, pages, server.url, tmp_path)
    whole = server.json("POST", "/chat", {"message": "Hello", "stream": False})["content"]
    assert told["messages"] == ["Hello", whole]
    assert told["state"] == "stop"
    assert told["idle"] is True
    grown = [text.removesuffix("▍") for text in told["grown"]]
    assert all(text.endswith("▍") for text in told["grown"])
    assert len(grown) > 20
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))


def test_stop_stops_the_model(page: str, pages: PageServer, server: HeadraceServer, tmp_path: Path) -> None:
    """Not just the page: the stream has ended as cancelled."""
    told = show(
        page,
        pages,
        server.url,
        tmp_path,
        model="demo/counter",
        during='if (grown.length === 20) button("Stop").click();',
    )
    assert told["state"] == "stopped"
    assert 10 < len(told["messages"][1].split()) < 200
    assert server.json("GET", "/v1/streams")["data"][0]["state"] == "cancelled"


def test_silence_ends_it(page: str, pages: PageServer, server: HeadraceServer, tmp_path: Path) -> None:
    """An answer that takes longer than the time-out, but never falls silent, is whole; one that does is given up."""
    told = show(page, pages, server.url, tmp_path, model="demo/counter", silence=2000)
    assert told["messages"][1] == " ".join(map(str, range(1, 301)))
    told = show(page, pages, server.url, tmp_path, model="demo/stall", silence=2000)
    assert told["state"] == "Nothing has come for 2 seconds."
    assert len(told["messages"]) == 2
    deadline = time.monotonic() + 5
    while server.json("GET", "/v1/streams")["data"][0]["state"] != "cancelled":  # the page has asked for that
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_lost_connection_shows_nothing_twice(
    page: str, pages: PageServer, server: HeadraceServer, tmp_path: Path
) -> None:
    """The answer goes on over another connection, and is one answer."""
    before = len(server.json("GET", "/v1/streams")["data"])
    with CuttingProxy(server.port, b'" 100"') as cutting:
        told = show(page, pages, cutting.url, tmp_path, model="demo/counter")
        assert cutting._left == 0
    assert told["messages"][1] == " ".join(map(str, range(1, 301)))
    assert len(server.json("GET", "/v1/streams")["data"]) == before + 1
