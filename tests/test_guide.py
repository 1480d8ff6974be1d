"""The guide and the site: each block of code on its pages runs and prints what they say, in both languages."""

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

import pytest
from openai import AsyncOpenAI
from tests.e2e.node_process import FOLDER, node
from tests.e2e.server import HeadraceServer

from headrace.gates.catalogue import GATES
from headrace.testing.scripted_upstream import ScriptedUpstream, head, sse

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GUIDE = sorted((DOCS / "guide").glob("*.md"))

#: A block that runs, and where the page says so, what it prints.
RUNS = re.compile(
    r"^```(python|js|sh)\n(.*?)^```\n(?:\nIt prints:\n\n^```text\n(.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


def _runs() -> list[Any]:
    return [
        pytest.param(
            language,
            code,
            printed,
            id=f"{page.stem}-{number}",
            marks={"js": [pytest.mark.node], "sh": [pytest.mark.curl], "python": []}[language],
        )
        for page in GUIDE
        for number, (language, code, printed) in enumerate(RUNS.findall(page.read_text(encoding="utf-8")))
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadraceServer]:
    """A server as ``make run`` starts it, but for its port."""
    example = (ROOT / "headrace.example.toml").read_text(encoding="utf-8")
    with HeadraceServer(tmp_path_factory.mktemp("guide"), example) as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("language", "code", "printed"), _runs())
def test_a_block_runs(server: HeadraceServer, tmp_path: Path, language: str, code: str, printed: str) -> None:
    """It ends well and prints something: what the page says, where it says so."""
    code = code.replace("127.0.0.1:8003", f"127.0.0.1:{server.port}")
    commands = {
        "python": lambda: [sys.executable, "-c", code],
        "js": lambda: [node(), "--input-type=module", "-e", code],
        "sh": lambda: ["sh", "-c", code],
    }
    folder = FOLDER if language == "js" else tmp_path
    done = subprocess.run(
        commands[language](),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert printed.strip() in done.stdout


def test_the_pages_have_blocks_to_run() -> None:
    """The expression finds them, and what they print."""
    found = [block for page in GUIDE for block in RUNS.findall(page.read_text(encoding="utf-8"))]
    assert {language for language, _, _ in found} == {"python", "js", "sh"}
    assert len(found) > 15
    told = sum(page.read_text(encoding="utf-8").count("It prints:") for page in GUIDE)
    assert len([printed for *_, printed in found if printed]) == told > 5


# -- two languages ---------------------------------------------------------------------------------------------------


def test_each_page_is_there_in_both() -> None:
    """No page of the guide is missing in Chinese."""
    assert [page.name for page in GUIDE] == [page.name for page in sorted((DOCS / "zh").glob("*.md"))]


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.name)
def test_the_chinese_page_says_as_much(page: Path) -> None:
    """The same headings in the same order, the same code, the same links and as many rows in each table."""
    texts = [path.read_text(encoding="utf-8") for path in (page, DOCS / "zh" / page.name)]
    assert _blocks(texts[0]) == _blocks(texts[1])
    shapes = [[_shape(line) for line in _prose(text).splitlines() if line.startswith(("#", "|"))] for text in texts]
    assert shapes[0] == shapes[1]
    links = [{link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", _prose(text))} for text in texts]
    assert links[0] == links[1]


def _blocks(text: str) -> list[str]:
    return re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _shape(line: str) -> str:
    return line.partition(" ")[0] if line.startswith("#") else "|" * line.count("|")


# -- the site --------------------------------------------------------------------------------------------------------


def test_the_site_has_every_page() -> None:
    """Each page stands in the navigation once, and nothing else does; the contents link to all of them."""
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    listed = list(_leaves(config["project"]["nav"]))
    pages = {str(path.relative_to(ROOT)) for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]}
    assert sorted(listed) == sorted(pages)
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+)", contents)}
    chinese = {path for path in pages if path.startswith("docs/zh/") or path == "README.zh-CN.md"}
    assert {ROOT / path for path in pages - chinese - {"docs/index.md"}} - linked == set()


def _leaves(items: list[dict[str, Any]]) -> Iterator[str]:
    for item in items:
        for value in item.values():
            if isinstance(value, str):
                yield value
            else:
                yield from _leaves(value)


def test_pictures_are_there() -> None:
    """Also those for dark pages, which Markdown has no form for."""
    for page in (ROOT / "README.md", ROOT / "README.zh-CN.md"):
        pictures = re.findall(r'src(?:set)?="([^"]+)"', page.read_text(encoding="utf-8"))
        assert len(pictures) == 2
        assert [picture for picture in pictures if not (ROOT / picture).is_file()] == []


# -- promises --------------------------------------------------------------------------------------------------------


def test_every_gate_is_named() -> None:
    """The page of promises has each gate; and each test file that it names is there."""
    text = (DOCS / "promises.md").read_text(encoding="utf-8")
    assert [name for name in GATES if f"`{name}`" not in text] == []
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def _gates_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gates_page", ROOT / "scripts/gates_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gates_report_shows_what_falls_short() -> None:
    """Figures stand beside their bounds; one outside of them, or that is no number, is seen at a glance."""
    figures = [
        {"name": "lost", "value": 0, "most": 0},
        {"name": "late", "value": 1234.5678, "most": 5, "unit": "s"},
        {"name": "caught", "value": None, "least": 3},
        {"name": "cuts", "value": 1200},
    ]
    report = {"gate": "kill", "holds": False, "seed": 7, "size": 1.0, "seconds": 61.2, "figures": figures}
    page = _gates_page().page([report], "Here and now.")
    assert "0 of 1 gates hold. Here and now." in page
    assert "Not run: " in page
    assert "`power`" in page
    assert "It **falls short**: 1 of the whole experiment, seed 7, 61 s." in page
    assert page.splitlines()[-4:] == [
        "| lost | 0 | ≤ 0 |",
        "| late | **1,234.57 s** | ≤ 5 |",
        "| caught | **not a number** | ≥ 3 |",
        "| cuts | 1,200 | – |",
    ]


def test_the_gates_report_is_honest_before_the_first_run() -> None:
    """No figure without a run; what is committed is of either kind."""
    none_yet = _gates_page().page([], "")
    assert "no full run yet" in none_yet
    committed = (DOCS / "gates.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", committed, re.MULTILINE)
    assert committed == none_yet or (heads and set(heads) <= set(GATES))


# -- what breaks stock clients ---------------------------------------------------------------------------------------


async def _read(*blocks: bytes) -> str:
    """What the OpenAI SDK makes of these blocks."""
    async with ScriptedUpstream([head(), b"".join(blocks)]) as upstream:
        async with AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="none", max_retries=0) as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def _with_id(block: bytes) -> bytes:
    return b"id: 1\n" + block


@pytest.mark.parametrize("alone", [b": ping\n\n", b"retry: 3000\n\n"])
async def test_a_block_without_data_breaks_the_sdk(alone: bytes) -> None:
    """What the guide says of it is still so; where this fails, the SDK has got better and the guide has to say so."""
    with pytest.raises(json.JSONDecodeError):
        await _read(_with_id(sse("one ")), alone, sse("two", done=True))


async def test_a_comment_without_an_empty_line_breaks_nothing() -> None:
    """So Headrace sends this one."""
    assert await _read(_with_id(sse("one ")), b": ping\n", sse("two", done=True)) == "one two"


async def test_a_clean_end_without_done_is_no_error_to_the_sdk() -> None:
    """So an answer that is not whole must not end like this."""
    assert await _read(sse("one ")) == "one "
