"""The project's own files: what they say of each other must be true."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import headrace

ROOT = Path(__file__).parent.parent
TARGETS = ["run", "test", "test-fast", "lint", "bench", "gates", "fuzz", "page", "docs", "lock", "clean"]

#: Written in two parts, so that this file does not hold them.
HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "npmmirror" + ".com",
    "deb.debian" + ".org",
]
WORKPLACE = ["/wor" + "k/main", "/wor" + "k/shared", "/wor" + "k/."]


def _tracked() -> list[Path]:
    """The files that git knows, or all that are here where this is no checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def _forbidden(text: str) -> list[str]:
    words = [word for word in HOSTS + WORKPLACE if word in text]
    return words + re.findall(r"(?m)^\s*(?:--(?:extra-)?index-url|--find-links|-i)\s.*", text)


def test_changelog_head_is_version() -> None:
    """The changelog opens with what is not yet released, or with the version of the package."""
    heads = re.findall(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert heads[0] in {"Unreleased", headrace.__version__}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", head) for head in heads[1:])


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_script(target: str) -> None:
    """Each make target is a script of the same name, which can be run and says what it does."""
    script = ROOT / "scripts" / target
    assert re.search(rf"(?m)^{target}: ; @.*scripts/{target}\b", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n# ")


@pytest.mark.parametrize("target", TARGETS)
def test_contributing_names_target(target: str) -> None:
    """Whoever works on the project finds every command on one page."""
    assert f"`make {target}`" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["run", "test"])
def test_readme_names_target(target: str) -> None:
    """The README shows the two commands that do all the set-up."""
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_machine_of_ours_in_tracked_files() -> None:
    """No tracked file names a registry's host or a path of the place where it was written."""
    found = {}
    for path in _tracked():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if words := _forbidden(text):
            found[str(path.relative_to(ROOT))] = words
    assert found == {}


def test_forbidden_words_are_found() -> None:
    """The check above sees an address and an option that names one."""
    assert _forbidden(f"https://files.{HOSTS[1]}/x") == [HOSTS[1]]
    assert _forbidden("--index-url https://example.org/simple") == ["--index-url https://example.org/simple"]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_lock_has_hashes(lock: str) -> None:
    """Every package of a lock has one exact version and at least one hash."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    assert len(entries) > 20
    assert [
        entry for entry in entries if not re.match(r"[A-Za-z0-9._\[\],-]+==\S+.*(?s:.*)--hash=sha256:", entry)
    ] == []


def test_locks_agree() -> None:
    """Tests run with the versions that the server runs with."""
    versions = [
        dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[.+?\])?==(\S+)", (ROOT / lock).read_text(encoding="utf-8")))
        for lock in ("requirements.txt", "requirements-dev.txt")
    ]
    assert versions[0].items() <= versions[1].items()


def test_lock_holds_dependencies() -> None:
    """What pyproject.toml asks for is in the lock: nobody forgot ``make lock``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"].values()
    wanted = [
        *project["project"]["dependencies"],
        *groups["dev"],
        *groups["build"],
        *(one for all_ in extras for one in all_),
    ]
    lock = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    names = [re.match(r"[A-Za-z0-9._-]+", requirement).group() for requirement in wanted]
    assert [name for name in names if not re.search(rf"(?mi)^{re.escape(name)}(\[.+?\])?==", lock)] == []


@pytest.mark.parametrize("folder", ["tests/e2e/node", "examples/react"])
def test_node_lock_names_no_registry(folder: str) -> None:
    """A JavaScript lock has a checksum for each package, and no address: whoever installs chooses the registry."""
    packages = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    locked = {name: package for name, package in packages.items() if name}
    assert locked
    assert [name for name, package in locked.items() if "resolved" in package or "integrity" not in package] == []
