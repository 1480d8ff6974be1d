"""The documentation: what it should name it names, what it shows is so, and what it tells people to type works."""

import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
import typer.main
from tests.e2e.node_process import FOLDER, node
from tests.e2e.server import HeadraceServer

from headrace import cli
from headrace.app import create_app
from headrace.config import Settings, load
from headrace.upstreams.demo import MODELS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SOURCE = ROOT / "src/headrace"
README = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
PAGES = [
    README,
    CHINESE,
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
]


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _text(page: Path | str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def _blocks(page: Path, *languages: str) -> list[str]:
    """A page's code blocks, of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", _text(page), re.MULTILINE | re.DOTALL)
    return [code for language, code in found if not languages or language in languages]


def _tables() -> ModuleType:
    """The script that writes the tables."""
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "scripts/docs_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- nothing is left out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "page"),
    [
        ("settings", "configuration.md"),
        ("errors", "errors.md"),
        ("reasons", "errors.md"),
        ("routes", "http-api.md"),
        ("carried", "conversion.md"),
        ("lacking", "conversion.md"),
        ("gates", "promises.md"),
    ],
)
def test_tables_follow_the_code(table: str, page: str) -> None:
    """Settings, errors, endings and routes stand in the docs as the code has them."""
    text = _text(page)
    assert f"<!-- table:{table} -->" in text
    assert _tables().filled(text) == text, "type: .venv/bin/python scripts/docs_tables.py"


def test_the_tables_are_whole() -> None:
    """The script finds what is known to be there: it does not agree with the docs by finding nothing."""
    tables = _tables()
    assert {"server.port", "keys.NAME.on_leave", "upstreams.NAME.base_url", "default_model"} <= {
        path for path, *_ in tables.settings()
    }
    assert {"idempotency_mismatch", "upstream_stalled", "timeout"} <= {code for code, *_ in tables.errors()}
    assert {"abandoned", "shutdown", "overloaded"} <= {reason for _, reason, *_ in tables.reasons()}
    assert {("HEAD", "/v1/streams/{id}"), ("POST", "/infer")} <= {(m, path) for _, m, path, _ in tables.routes()}
    assert {("chat", "n"), ("Messages", "mcp_servers"), ("Responses", "prompt")} <= {
        row[:2] for row in tables.carried()
    }
    assert {("chat", "top_k"), ("Messages", "seed")} <= {row[:2] for row in tables.lacking()}


def test_every_setting_is_in_the_example() -> None:
    """Whoever looks into the example file misses nothing that the table of settings has."""
    example = (ROOT / "headrace.example.toml").read_text(encoding="utf-8")
    names = {path.rpartition(".")[2] for path, *_ in _tables().settings()}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", example)] == []


def test_every_command_and_flag_is_named() -> None:
    """What ``headrace --help`` offers is in the docs."""
    text = _text("configuration.md")
    group = typer.main.get_command(cli.app)
    commands = dict(_commands(group))
    flags = {
        flag
        for command in [group, *commands.values()]
        for option in command.params
        for flag in option.opts
        if option.param_type_name == "option" and flag != "--help"
    }
    assert len(flags) > 4
    assert [name for name in commands if f"headrace {name}" not in text] == []
    assert [flag for flag in sorted(flags) if flag not in text] == []


def _commands(group: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """All that people may type, with the groups that some are in."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, *path, name)
        elif not command.hidden:
            yield " ".join([*path, name]), command


def test_every_error_code_is_named() -> None:
    """Codes that are given where an error is raised, not in its class, are in the docs too."""
    found = set()
    for folder in ("faces", "core", "upstreams"):
        for file in (SOURCE / folder).glob("*.py"):
            found |= set(re.findall(r"""\bcode ?= ?"([a-z_]+)\"""", file.read_text(encoding="utf-8")))
    assert "overloaded" in found
    text = _text("errors.md")
    demo_only = {"invalid_value", "rate_limit_exceeded"}  # what a provider would say, and says in its own words
    assert [code for code in sorted(found - demo_only) if f"`{code}`" not in text] == []


def test_every_demo_model_is_named() -> None:
    """The page about models has a row for each."""
    text = _text("models.md")
    assert [model for model in MODELS if f"| `{model}` |" not in text] == []


def test_every_route_is_named() -> None:
    """Also those that the OpenAPI page leaves out."""
    paths = {route.path for route in _routes(create_app(Settings()).routes)}
    assert {"/healthz", "/chat/completions", "/infer"} <= paths
    text = _text("http-api.md")
    others = {"/docs/oauth2-redirect", "/redoc", "/v1/{path:path}"}
    names = {path.replace(":path", "") for path in paths - others}
    assert [path for path in sorted(names) if path not in text] == []


def _routes(routes: list) -> Iterator:
    for route in routes:
        if hasattr(route, "path"):
            yield route
        yield from _routes(
            getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", [])
        )


def test_every_header_is_named() -> None:
    """Each header that a face reads of a request is on the page of the HTTP API."""
    found = set()
    for file in (SOURCE / "faces").glob("*.py"):
        found |= set(re.findall(r'headers\.get\("([a-z-]+)"', file.read_text(encoding="utf-8")))
    assert {"last-event-id", "idempotency-key"} <= found
    plain = {"accept", "content-type", "content-length"}
    text = _text("http-api.md").lower()
    assert [name for name in sorted(found - plain) if f"`{name}" not in text] == []


def test_every_variable_is_named() -> None:
    """The providers' own variables, and the short ones of ours."""
    source = (SOURCE / "config/sources.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:AZURE_)?(?:OPENAI|ANTHROPIC)_[A-Z_]+)"', source))
    assert len(names) > 8
    text = _text("models.md")
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


# -- pages belong together -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file has one, and each anchor a heading."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL)):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """What can stand behind ``#``, as GitHub makes it of headings."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_page_is_found_from_the_readme() -> None:
    """It, or the contents that it links to, links to each page; the Chinese ones are found from the Chinese."""
    assert _linked(README) >= {DOCS / "index.md"}
    english = _linked(README) | _linked(DOCS / "index.md")
    chinese = _linked(CHINESE) | _linked(DOCS / "zh/streaming.md")
    assert set(DOCS.glob("*.md")) | set(DOCS.glob("guide/*.md")) <= english
    assert set(DOCS.glob("zh/*.md")) <= chinese


def _linked(page: Path) -> set[Path]:
    found = re.findall(r"\]\(([^)\s#]+)", _text(page))
    return {(page.parent / target).resolve() for target in found if "://" not in target}


def test_the_chinese_page_says_as_much() -> None:
    """The same headings in the same order, the same code, the same links."""
    heads = [
        re.findall(r"^(#+) ", re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL), re.MULTILINE)
        for page in (README, CHINESE)
    ]
    assert heads[0] == heads[1]
    assert _blocks(README) == _blocks(CHINESE)
    links = [
        set(re.findall(r"\]\((docs/[^)]+|examples[^)]*)\)", _bench_left_out(_text(page)))) for page in (README, CHINESE)
    ]
    assert links[0] == {link.replace("docs/zh/", "docs/guide/") for link in links[1]}


def _bench_left_out(text: str) -> str:
    return re.sub(r"<!-- bench:start -->.*<!-- bench:end -->", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=_id)
def test_configuration_that_is_shown_works(page: Path, tmp_path: Path) -> None:
    """Each TOML block is one that ``headrace check`` accepts, and each JSON block is JSON."""
    toml = "\n".join(_blocks(page, "toml"))
    if toml:
        tomllib.loads(toml)
        assert re.findall(r'[^"]\$\{\w+\}|\$\{\w+\}[^"]', toml) == [], "a reference is a whole value"
        (tmp_path / "files").mkdir()
        (tmp_path / "headrace.toml").write_text(toml)
        names = ("CAROL_KEY", "WORK_AZURE_KEY", "OPENAI_API_KEY", "SECOND_KEY", "THIRD_KEY")
        environ = dict.fromkeys(names, "k" * 20)
        environ |= {"RECORDS_URL": "postgresql://h/d", "REDIS_URL": "redis://h/0"}
        with contextlib.chdir(tmp_path):
            load(environ=environ, folder=tmp_path)
    for block in _blocks(page, "json"):
        json.loads(block)


def test_variables_that_are_shown_exist(tmp_path: Path) -> None:
    """Each ``HEADRACE_TABLE__KEY=VALUE`` of the docs and examples is a setting."""
    examples = [file.read_text() for file in (ROOT / "examples").iterdir() if file.is_file()]
    texts = [_text(page) for page in PAGES] + examples
    shown = dict(re.findall(r"\b(HEADRACE_[A-Z]+__[A-Z_]+)=(\S+)", "\n".join(texts)))
    assert len(shown) > 1
    load(environ=shown, folder=tmp_path)


# -- what is shown is so ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadraceServer]:
    """A server as ``make run`` starts it, but for its port."""
    example = (ROOT / "headrace.example.toml").read_text(encoding="utf-8")
    with HeadraceServer(tmp_path_factory.mktemp("docs"), example) as started:
        yield started


@pytest.mark.slow
@pytest.mark.curl
@pytest.mark.timeout(60)
def test_readme_commands_work(server: HeadraceServer, tmp_path: Path) -> None:
    """The shell blocks, in their order: ask, leave, read on, stop."""
    out = [_shell(block, server, tmp_path) for block in _blocks(README, "sh") if not block.startswith("make ")]
    asked, resumed, stopped = out
    assert '"done":true,"finish_reason":"stop"' in asked
    first = [int(number) for number in re.findall(r"^id: st_\w+:(\d+)$", resumed, re.MULTILINE)]
    second = [int(number) for number in re.findall(r"^id: (\d+)$", resumed, re.MULTILINE)]
    assert first == list(range(1, len(first) + 1))
    assert 40 < len(first) < 200
    assert second == list(range(41, 304))
    assert resumed.count("data: [DONE]") == 1
    assert json.loads(stopped) == {"cancelled": False, "state": "completed", "reason": "already completed"}


@pytest.mark.slow
@pytest.mark.curl
@pytest.mark.timeout(60)
def test_the_quick_start_comes_back(server: HeadraceServer, tmp_path: Path) -> None:
    """Its second request goes on where the first one was left."""
    (block,) = (block for block in _blocks(DOCS / "guide/quick-start.md", "sh") if "Last-Event-ID" in block)
    again = _shell(block, server, tmp_path)
    seen = re.findall(r"^id: (.+)$", (tmp_path / "seen.txt").read_text(), re.MULTILINE)
    stream, _, number = seen[-1].partition(":")
    assert len(seen) > 10
    assert re.findall(r"^id: (\S+)$", again, re.MULTILINE)[0] == f"{stream}:{int(number) + 1}"


def _shell(block: str, server: HeadraceServer, folder: Path) -> str:
    """What a shell prints when a block is typed into it, with our server's address."""
    block = block.replace("127.0.0.1:8003", f"127.0.0.1:{server.port}")
    done = subprocess.run(["sh", "-c", block], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (block, done.returncode, done.stderr)
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [0, 1], ids=["openai", "anthropic"])
def test_readme_python_works(server: HeadraceServer, tmp_path: Path, number: int) -> None:
    """Each Python block prints an answer."""
    openai, anthropic = _blocks(README, "python")
    code = (openai, anthropic)[number].replace("127.0.0.1:8003", f"127.0.0.1:{server.port}")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("You said: Hello")
    assert "demo/counter" in done.stdout


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.timeout(60)
def test_readme_javascript_works(server: HeadraceServer) -> None:
    """The blocks for Node and for a page print an answer, the latter with an EventSource of Node's."""
    sdk, page = (block.replace("127.0.0.1:8003", f"127.0.0.1:{server.port}") for block in _blocks(README, "js"))
    document = "const document = {body: {append: (text) => process.stdout.write(text)}};"
    for code in (sdk, f'import {{ EventSource }} from "eventsource";\n{document}\n{page}'):
        command = [node(), "--input-type=module", "-e", code]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.lower().startswith("you said: hello")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body", "shown"),
    [
        ("/chat", {"message": "hello", "model": "demo/echo"}, 'data: {"content":"","done":false}'),
        ("/v1/chat/stream", {"message": "hello", "model": "demo/echo"}, "event: start"),
        ("/infer", {"message": "hello", "model": "demo/echo"}, '{"id":"st_'),
    ],
)
def test_the_wire_is_as_shown(server: HeadraceServer, path: str, body: dict[str, str], shown: str) -> None:
    """An answer of each simple face, to the letter; ids, times and the jittered retry apart."""
    (block,) = (block for block in _blocks(DOCS / "dialects.md") if block.startswith(shown))
    real = server.request("POST", path, body)[2].decode()
    assert _plain(real).startswith(_plain(block))
    assert path == "/infer" or _plain(real) == _plain(block) + "\n"


HI = [{"role": "user", "content": "hi"}]
PAGE = [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "path", "body", "end"),
    [
        ("dialects.md", "/v1/chat/completions", {"messages": HI}, "data: [DONE]"),
        ("openai-responses.md", "/v1/responses", {"input": "hi"}, "event: response.completed"),
        ("anthropic-messages.md", "/v1/messages", {"max_tokens": 9, "messages": HI}, "event: message_stop"),
        ("ai-sdk.md", "/api/chat", {"id": "c", "messages": PAGE}, "data: [DONE]"),
    ],
)
def test_the_events_are_as_shown(server: HeadraceServer, page: str, path: str, body: dict[str, Any], end: str) -> None:
    """Those that a page shows of an answer follow each other so in a real one."""
    shown = next(block for block in _blocks(DOCS / page) if block.startswith(("event: ", "data: ")))
    real = _plain(server.request("POST", path, {"model": "demo/echo", "stream": True, **body})[2].decode())
    assert _plain(shown) in real
    assert real.split("\n\n")[-2].startswith(end)


def _plain(wire: str) -> str:
    wire = re.sub(r"(st|msg|resp)_\w{26}", r"\1_ID", wire)
    return re.sub(r'retry: \d+|"created":\d+|chatcmpl-\w+', "N", wire)
