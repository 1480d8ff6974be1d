"""The command line: the server (``serve``, ``check``), and what a shell does with one (``tail``, ``append``)."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, NoReturn

import typer

from headrace import __version__
from headrace.client import append as appending
from headrace.client import tail as tailing
from headrace.client.server import Patience, Refused, Server, Unreachable
from headrace.config import Settings, environment, load, warnings
from headrace.errors import ConfigError
from headrace.observe.logs import configure
from headrace.server import bind, run
from headrace.supervisor import BAD_CONFIG, Supervisor

app = typer.Typer(
    name="headrace",
    help="A streaming server for LLM apps: every response is a durable stream.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

#: Exit statuses of ``tail`` and ``append``: the server says no, or the answer is not whole; and nobody is there.
REFUSED = 1
UNREACHABLE = 4

Url = Annotated[str, typer.Option("--server", envvar="HEADRACE_URL", help="Where the server is.")]
Secret = Annotated[str, typer.Option("--key", envvar="HEADRACE_API_KEY", help="The API key, where one is needed.")]
Wait = Annotated[float, typer.Option("--patience", min=0, help="Seconds for which a server that is away is awaited.")]

Config = Annotated[str | None, typer.Option(help="The configuration file; else ./headrace.toml where there is one.")]


@app.callback(invoke_without_command=True)
def root(*, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Make every LLM response a durable stream that can be left, rejoined, shared, stopped and replayed."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def serve(
    *,
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on; beyond loopback a key is needed.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes any that is free.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
    data: Annotated[str | None, typer.Option(help="The data folder, or memory:")] = None,
) -> None:
    """Start the server. SIGTERM lets running answers finish (up to server.drain seconds) and exits with 0."""
    flags = {"host": host, "port": port, "workers": workers, "data": data}
    settings = _load(config, flags)
    configure(settings.log)
    try:
        sockets = bind(settings)
    except ConfigError as error:
        _refuse(error)
    address = _address(settings, sockets)
    if settings.server.workers == 1:
        run(settings, sockets, lambda: _announce(settings, address))
        return
    for listening in sockets:
        listening.set_inheritable(True)
    variables = environment(flags) | ({"HEADRACE_CONFIG": config} if config else {})
    _announce(settings, address)
    raise typer.Exit(Supervisor(settings.server.workers, sockets, variables).run())


@app.command(hidden=True)
def worker(*, sockets: Annotated[str, typer.Option()], lifeline: Annotated[int, typer.Option()]) -> None:
    """Serve on sockets that a supervisor has opened, for as long as it lives."""
    settings = _load(None, {})
    configure(settings.log)
    run(settings, [socket.socket(fileno=int(number)) for number in sockets.split(",")], lambda: None, lifeline)


@app.command()
def check(*, config: Config = None) -> None:
    """Validate the configuration and say exactly what is wrong with it."""
    settings = _load(config, {})
    for warning in warnings(settings):
        print(f"warning: {warning}")
    print("The configuration is fine.")


@app.command()
def tail(
    name: Annotated[str, typer.Argument(metavar="TOPIC_OR_STREAM", help="A topic's path, or a stream's id.")],
    *,
    offset: Annotated[str, typer.Option(help="Where in a topic to begin: -1 is its start, now its end.")] = "-1",
    server: Url = "http://127.0.0.1:8003",
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """Print a topic or an answer as it grows, until it ends. Lost connections and restarts are picked up after."""
    with _asking(server, key, patience) as asked:
        found = tailing.stream(asked, name) if tailing.is_stream(name) else tailing.topic(asked, name, offset)
        for piece in found:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


@app.command()
def append(
    topic: Annotated[str, typer.Argument(help="The topic's path; it is created where it is not there.")],
    text: Annotated[list[str] | None, typer.Argument(help="What to append, as one line; else what is piped.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Create it as a topic of JSON values, one a line.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Close the topic afterwards.")] = False,
    server: Url = "http://127.0.0.1:8003",
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """Append a line to a topic, or each line that is piped in, at once and exactly once."""
    with _asking(server, key, patience) as asked:
        appender = appending.Appender(asked, topic, kind=appending.JSON if json else appending.TEXT)
        appender.open()
        if text:
            appender.append(os.fsencode(" ".join(text)) + b"\n")
        elif not (close and sys.stdin.isatty()):
            for lines in appending.blocks(partial(os.read, sys.stdin.fileno(), 1 << 16)):
                appender.append(lines)
        if close:
            appender.close()


def main() -> None:
    """Run the command line."""
    app()


@contextmanager
def _asking(url: str, key: str, patience: float) -> Iterator[Server]:
    """A server to ask; what goes wrong with it ends the command, with a line about it."""
    try:
        asked = Server(url, key, patience=Patience(patience))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        yield asked
    except (Refused, tailing.Unfinished) as error:
        _end(str(error), REFUSED)
    except Unreachable:
        _end(f"The server at {url} does not answer.", UNREACHABLE)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:  # whoever read our output has left: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        asked.close()


def _end(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(status)


def _load(config: str | None, flags: dict[str, str | int | None]) -> Settings:
    try:
        return load(flags, config=config)
    except ConfigError as error:
        _refuse(error)


def _refuse(error: ConfigError) -> NoReturn:
    _end(error.message, BAD_CONFIG)


def _address(settings: Settings, sockets: list[socket.socket]) -> str:
    scheme = "https" if settings.server.tls_certificate else "http"
    host, port = sockets[0].getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - where it listens is shown as where it can be asked
        host = "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(settings: Settings, address: str) -> None:
    key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.keys else ""
    print(f"Headrace {__version__} listens on {address}  (streams are kept in {settings.store.data})")
    print(f"Try:  curl -N{key} '{address}/chat/stream?message=hello'")
    print(f"SDKs: base URL {address}/v1", flush=True)
    for warning in warnings(settings):
        print(f"warning: {warning}", flush=True)
