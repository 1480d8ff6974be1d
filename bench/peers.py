"""Other gateways: installed into a folder of their own, and run as their makers recommend for production.

peers.toml pins their versions. One that cannot be installed is left out, with a sentence.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from processes import HERE, cores, family, free_port, running
from relays import Relay, Start

NAMES = ("litellm", "portkey")
#: Seconds that an installation may take, and that a start may.
INSTALLING, STARTING = 900.0, 90.0

#: docs.litellm.ai/docs/proxy/prod: a master key, a time-out, no debug output, errors only. One worker to a core, and no
#: database, which would cost it more.
LITELLM_YAML = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: bench
general_settings:
  master_key: sk-bench
litellm_settings:
  request_timeout: 600
  set_verbose: false
  json_logs: true
"""
LITELLM_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a list of prices when it starts
}


def default_folder() -> Path:
    """Where peers are kept between runs: BENCH_PEERS (a HEADRACE_ would be a setting of the server), or a cache."""
    return Path(os.environ.get("BENCH_PEERS") or Path.home() / ".cache" / "headrace-bench")


def versions() -> dict[str, dict[str, str]]:
    """The packages of each peer, with their versions."""
    found: dict[str, dict[str, str]] = tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))
    return found


def install(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Install these peers where they are not yet; those that could not be, and why."""
    absent = {}
    for name in names:
        packages = versions()[name]
        mark = folder / name / "installed.json"
        wanted = {**packages, "python": sys.version}  # the build that runs Headrace: another may be faster
        if mark.exists() and json.loads(mark.read_text()) == wanted:
            continue
        print(f"Installing {name} into {folder / name}", file=sys.stderr)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        why = _with_npm(folder / name, packages) if name == "portkey" else _with_pip(folder / name, packages)
        if why:
            absent[name] = why
        else:
            mark.write_text(json.dumps(wanted))
    return absent


def _with_pip(folder: Path, packages: Mapping[str, str]) -> str:
    wanted = [f"{name}=={version}" for name, version in packages.items()]
    return _done([sys.executable, "-m", "venv", folder]) or _done(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted]
    )


def _with_npm(folder: Path, packages: Mapping[str, str]) -> str:
    if not (shutil.which("npm") and shutil.which("node")):
        return "there is no Node here"
    # "overrides": nothing else may bring a version of its own
    named = json.dumps(
        {"private": True, "dependencies": packages, "overrides": {name: f"${name}" for name in packages}}
    )
    (folder / "package.json").write_text(named)
    return _done(["npm", "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund"])


def _done(command: Sequence[object]) -> str:
    """Run a step of an installation; what to say where it failed."""
    try:
        done = subprocess.run(
            [*map(str, command)],
            capture_output=True,
            text=True,
            timeout=INSTALLING,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "its installation took too long"
    if done.returncode:
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return "it could not be installed"
    return ""


@contextlib.contextmanager
def litellm(upstream: Relay, folder: Path, *, installed: Path) -> Iterator[Relay]:
    """LiteLLM's proxy with one worker."""
    port = free_port()
    conf = folder / "litellm.yaml"
    conf.write_text(LITELLM_YAML.format(upstream=upstream.port))
    program = installed / "litellm" / "bin" / "litellm"
    command = [program, "--config", conf, "--host", "127.0.0.1", "--port", port, "--num_workers", 1]
    started = running(
        command,
        core={cores()[0]},
        port=port,
        log=folder / "litellm.log",
        cwd=folder,
        environment=LITELLM_ENVIRONMENT,
        patience=STARTING,
    )
    with started as pid:
        yield Relay(port, family(pid), ("Authorization: Bearer sk-bench",))


@contextlib.contextmanager
def portkey(upstream: Relay, folder: Path, *, installed: Path) -> Iterator[Relay]:
    """Portkey's gateway, without its console."""
    port = free_port()
    program = installed / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    started = running(
        ["node", program, f"--port={port}", "--headless"],
        core={cores()[0]},
        port=port,
        log=folder / "portkey.log",
        cwd=folder,
        environment={"NODE_ENV": "production"},
        patience=STARTING,
    )
    headers = (
        "Authorization: Bearer bench",
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream.port}/v1",
    )
    with started as pid:
        yield Relay(port, family(pid), headers)


def starts(folder: Path) -> dict[str, Start]:
    """How each is started from where it was installed."""
    return {"litellm": partial(litellm, installed=folder), "portkey": partial(portkey, installed=folder)}
