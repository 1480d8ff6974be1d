"""The built page: made from what is in the repository, small, and within its own rules."""

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.e2e.node_process import node

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "page"
STATIC = ROOT / "src/headrace/web/static"

#: Bytes of all scripts and styles together, as they are sent.
LARGEST = 150_000
#: Lines of a file.
LONGEST = 300
#: The type that says nothing, where a type stands.
_ANY = re.compile(r"(?::|<|\bas|\|) *any\b(?! +[a-z])")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.timeout(60)
def test_built_files_are_those_of_sources(tmp_path: Path) -> None:
    """Built again, every file is the same to the byte. Where it is not: make page."""
    vite = PAGE / "node_modules/vite/bin/vite.js"
    assert vite.exists(), "this test needs the page's packages: type scripts/install-node page"
    command = [node(), str(vite), "build", "--logLevel", "warn"]
    subprocess.run(command, cwd=PAGE, env={**os.environ, "PAGE_OUT": str(tmp_path)}, check=True, timeout=50)
    built, kept = _files(tmp_path), _files(STATIC)
    assert built.keys() == kept.keys()
    assert [name for name in built if built[name] != kept[name]] == []


def test_page_is_small() -> None:
    """Scripts and styles of both pages, with every language that code may be coloured in, in a time of slow phones."""
    sizes = {name: len(body) for name, body in _files(STATIC).items() if name.endswith((".js.gz", ".css.gz"))}
    assert 20_000 < sum(sizes.values()) < LARGEST, sizes


def test_gzip_forms_are_the_files() -> None:
    """Each file has its gzip form beside it, with the same content."""
    files = _files(STATIC)
    plain = {name for name in files if not name.endswith(".gz")}
    assert plain == {name.removesuffix(".gz") for name in files if name.endswith(".gz")}
    assert all(gzip.decompress(files[f"{name}.gz"]) == files[name] for name in plain)


@pytest.mark.parametrize("name", ["index.html", "dashboard.html"])
def test_pages_keep_their_policy(name: str) -> None:
    """They hold no script and no style of their own, which the policy forbids, and name no other host."""
    page = (STATIC / name).read_text(encoding="utf-8")
    assert "<style" not in page
    assert " style=" not in page
    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert "//" not in page


def test_sources_are_short_and_typed() -> None:
    """No file of the page is long, none says ``any``, and each begins with what it is."""
    sources = [path for kind in ("*.ts", "*.tsx") for path in (PAGE / "src").rglob(kind)]
    texts = {path.relative_to(PAGE).as_posix(): path.read_text(encoding="utf-8") for path in sources}
    assert len(texts) > 20
    assert [name for name, text in texts.items() if text.count("\n") > LONGEST] == []
    assert [name for name, text in texts.items() if _ANY.search(text)] == []
    assert [name for name, text in texts.items() if not re.match(r"// [A-Z]", text)] == []
