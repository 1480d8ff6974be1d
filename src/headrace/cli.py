"""The command line: the server (``serve``, ``check``), and what a shell does with one (:mod:`headrace.shell`)."""

import socket
from typing import Annotated

import typer

from headrace import __version__, keyring, shell
from headrace.config import Settings, environment, exposure, warnings
from headrace.configured import Config, Data, refuse, settings_of
from headrace.errors import ConfigError
from headrace.observe.logs import configure
from headrace.selftest import selftest
from headrace.server import run
from headrace.serving.sockets import bind
from headrace.supervisor import Supervisor

app = typer.Typer(
    name="headrace",
    help="A streaming server for LLM apps: every response is a durable stream.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(keyring.app)


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
    data: Data = None,
) -> None:
    """Start the server. SIGTERM lets running answers finish (up to server.drain seconds) and exits with 0."""
    flags = {"host": host, "port": port, "workers": workers, "data": data}
    settings = settings_of(config, flags)
    configure(settings.log)
    _check_exposure(settings)
    try:
        sockets = bind(settings)
    except ConfigError as error:
        refuse(error)
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
    settings = settings_of(None, {})
    configure(settings.log)
    run(settings, [socket.socket(fileno=int(number)) for number in sockets.split(",")], lambda: None, lifeline)


@app.command()
def check(*, config: Config = None) -> None:
    """Validate the configuration and say exactly what is wrong with it."""
    settings = settings_of(config, {})
    _check_exposure(settings)
    for warning in warnings(settings):
        print(f"warning: {warning}")
    print("The configuration is fine.")


app.command()(selftest)
app.add_typer(shell.app)


def main() -> None:
    """Run the command line."""
    app()


def _check_exposure(settings: Settings) -> None:
    """Refuse to be open to strangers: no key is known, configured or in the database."""
    problem = exposure(settings)
    if problem and not keyring.are_there(settings):
        refuse(ConfigError(problem))


def _address(settings: Settings, sockets: list[socket.socket]) -> str:
    scheme = "https" if settings.server.tls_certificate else "http"
    host, port = sockets[0].getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - where it listens is shown as where it can be asked
        host = "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(settings: Settings, address: str) -> None:
    key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.keys else ""
    print(f"Headrace {__version__} listens on {address}  (streams are kept in {settings.store.place})")
    print(f"Try:  curl -N{key} '{address}/chat/stream?message=hello'")
    print(f"SDKs: base URL {address}/v1", flush=True)
    for warning in warnings(settings):
        print(f"warning: {warning}", flush=True)
