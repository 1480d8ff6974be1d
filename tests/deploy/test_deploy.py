"""What stands in deploy/ agrees with the server: settings, times, routes, ports, and no secret in any of it.

No container engine, no cluster and no systemd runs here; these files are read. Redis runs as it stands there, nginx in
tests/e2e/test_nginx.py.
"""

import os
import re
import shutil
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from tests.e2e.server import free_port

from headrace.app import create_app
from headrace.config import Settings, load
from headrace.server import CLOSING
from headrace.supervisor import BAD_CONFIG

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

CONTAINER = "Containerfile"
COMPOSE = "compose.yaml"
KUBERNETES = "kubernetes.yaml"
SYSTEMD = "headrace.service"

#: What a variable of the files is worth for a test.
VALUES = {"HEADRACE_HOST": "127.0.0.1", "HEADRACE_API_KEYS": "alice=0123456789abcdef0123456789"}


def text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def number(pattern: str, name: str) -> float:
    """The one number that stands there."""
    found = re.findall(pattern, text(name), re.MULTILINE)
    assert len(found) == 1, (name, pattern, found)
    return float(found[0])


def variables(name: str) -> dict[str, str]:
    """Headrace's variables that a file sets, with values that hold no reference."""
    found = re.findall(r"(HEADRACE_[A-Z_]+)(?:[=:] *| *, value: *)\"?([^\s\",}]*)", text(name))
    found += [(each, "") for each in re.findall(r"name: (HEADRACE_[A-Z_]+), valueFrom", text(name))]
    urls = {"HEADRACE_DATA": "redis://h/0", "HEADRACE_RECORDS__URL": "postgresql://h/d"}
    return {each: VALUES.get(each) or urls.get(each) or value for each, value in found}


@pytest.mark.parametrize("name", [CONTAINER, COMPOSE, KUBERNETES])
def test_each_variable_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And its value one that it may have."""
    given = variables(name)
    assert given
    monkeypatch.chdir(tmp_path)
    for each, value in given.items():
        monkeypatch.setenv(each, value)
    settings = load({}, config=None)
    assert settings != Settings()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (COMPOSE, r"stop_grace_period: (\d+)s"),
        (SYSTEMD, r"^TimeoutStopSec=(\d+)"),
        (KUBERNETES, r"terminationGracePeriodSeconds: (\d+)"),
        (CONTAINER, r"docker stop --time (\d+)"),
    ],
)
def test_nobody_kills_a_server_that_drains(name: str, pattern: str) -> None:
    """Who stops it waits for the draining, for what stands before it, and for the closing."""
    drain = re.search(r"HEADRACE_SERVER__DRAIN(?:: |, value: )\"(\d+)\"", text(name))
    before = number(r'preStop: \{ exec: \{ command: \["sleep", "(\d+)"\]', name) if name == KUBERNETES else 0
    takes = (float(drain[1]) if drain else Settings().server.drain) + before + CLOSING
    assert number(pattern, name) >= takes + 3


@pytest.mark.parametrize("name", [CONTAINER, COMPOSE, KUBERNETES, "nginx.conf"])
def test_ports_are_the_servers(name: str) -> None:
    port = str(Settings().server.port)
    assert set(re.findall(r"\b80\d\d\b", text(name))) <= {port, "8004", "8080"}
    assert port in text(name)


@pytest.mark.parametrize("name", [CONTAINER, KUBERNETES])
def test_probes_ask_for_what_is_there(name: str) -> None:
    """The liveness of none of them depends on Redis."""
    routes = set(create_app(Settings()).openapi()["paths"])
    asked = re.findall(r"path: (/\S+),|8003(/\w+)'", text(name))
    assert asked
    assert {path or other for path, other in asked} <= routes
    assert re.search(r"livenessProbe:(?:\n +#.*)?\n +httpGet: \{ path: /health", text(name)) or name == CONTAINER


def test_the_image_holds_what_the_lock_names_and_is_nobodys_root() -> None:
    container = text(CONTAINER)
    assert "--require-hashes --requirement requirements.txt" in container
    installs = re.findall(r"pip install (.*)", container)
    assert all("--require-hashes" in each or "--no-deps --no-build-isolation" in each for each in installs)
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", container, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in container
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", container, re.MULTILINE) for word in line.split()
    ]
    kept = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_compose_keeps_what_redis_acknowledges() -> None:
    """As docs/operations.md wants it."""
    assert "--maxmemory-policy noeviction" in text(COMPOSE)
    assert "--appendonly yes --appendfsync everysec" in text(COMPOSE)


@pytest.mark.redis
@pytest.mark.slow
def test_composes_redis_is_told_to_end_and_knows_its_password(tmp_path: Path) -> None:
    """The process that is started is Redis itself, so that what it is told reaches it: it ends by itself."""
    script = textwrap.dedent(re.search(r"- \|\n((?: {8}.*\n)+)", text(COMPOSE))[1])  # type: ignore[index]
    port = str(free_port())
    script = script.replace("$$", "$").replace("--dir /data", f"--dir '{tmp_path}' --port {port}")
    words = ["redis-cli", "-p", port, "--no-auth-warning", "-a", "a-password", "ping"]
    env = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": words[5]}
    with subprocess.Popen(["sh", "-c", script], env=env, stdout=subprocess.DEVNULL) as redis:
        try:
            while subprocess.run(words, capture_output=True, text=True, check=False).stdout != "PONG\n":
                assert redis.poll() is None
                time.sleep(0.05)
            assert "NOAUTH" in subprocess.run([*words[:3], "ping"], capture_output=True, text=True, check=False).stdout
            redis.terminate()
            assert redis.wait(10) == 0
        finally:
            redis.kill()


def test_compose_and_kubernetes_hold_no_secret() -> None:
    """What is secret is asked for, and may not be empty; git ignores the file in which it stands."""
    for name in ("REDIS_PASSWORD", "POSTGRES_PASSWORD", "HEADRACE_API_KEYS"):
        references = re.findall(rf"\$\{{{name}[^}}]*\}}", text(COMPOSE))
        assert references
        assert all(":?" in each for each in references)
    assert re.findall(r"^\w+=(.+)$", text("compose.env"), re.MULTILINE) == []
    names = set(re.findall(r"^(\w+)=$", text("compose.env"), re.MULTILINE))
    assert names == set(re.findall(r"(?<!\$)\$\{(\w+)", text(COMPOSE)))
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert len(re.findall("secretKeyRef", text(KUBERNETES))) == 4


def composes_site() -> str:
    """What the compose file makes of the site that ships."""
    script = re.findall(r"-e '(s/[^']+)'", text(COMPOSE))
    return subprocess.run(
        ["sed", *(word for each in script for word in ("-e", each))],
        input=text("nginx.conf"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_compose_leads_nginx_to_both_nodes() -> None:
    """By the same site, in which only what is said of the nodes' addresses is another."""
    done = composes_site()
    assert re.findall(r"^ *server (\S+)", done, re.MULTILINE)[:2] == ["headrace-a:8003", "headrace-b:8003"]
    assert re.findall(r"^  (headrace-\w): \*node", text(COMPOSE), re.MULTILINE) == ["headrace-a", "headrace-b"]


def test_composes_nginx_follows_a_node_that_moves() -> None:
    """It asks for the names again and again, which a group that is in shared memory may, from 1.27.3 on."""
    version = re.search(r"image: nginx:([\d.]+)", text(COMPOSE))
    assert version
    assert tuple(map(int, version[1].split("."))) >= (1, 27, 3)
    group = re.search(r"^upstream headrace \{(.*?)\}", composes_site(), re.MULTILINE | re.DOTALL)
    assert group
    nodes = re.findall(r"^ *server (.*?);", group[1], re.MULTILINE)
    assert len(nodes) == 2
    assert all({"resolve", "max_fails=0"} <= set(each.split()) for each in nodes)
    assert re.search(r"\bzone headrace \w+;", group[1])
    assert re.search(r"\bresolver 127\.0\.0\.11 valid=[1-5]s;", group[1])


def test_nginx_waits_as_long_and_takes_as_much_as_the_server() -> None:
    settings = Settings()
    assert number(r"proxy_read_timeout (\d+)s", "nginx.conf") > 2 * settings.server.keep_alive
    assert number(r"client_max_body_size (\d+)m", "nginx.conf") == settings.limits.body_bytes >> 20


def test_systemd_does_not_repeat_what_cannot_work() -> None:
    """And tells only the first process to stop: its workers would take a second signal for "now"."""
    unit = text(SYSTEMD)
    assert f"RestartPreventExitStatus={BAD_CONFIG}" in unit
    assert "KillMode=mixed" in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / SYSTEMD
    unit.write_text(text(SYSTEMD).replace("/opt/headrace/bin/headrace", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
