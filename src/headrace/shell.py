"""What a shell does with a server: ``chat``, ``ps``, ``cancel``, ``tail``, ``append``."""

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from headrace.client import append as appending
from headrace.client.blocking import Client
from headrace.client.errors import ClientError, Gone, Unreachable
from headrace.client.exchange import DEFAULT_URL
from headrace.client.patience import TO_STOP
from headrace.client.tail import is_stream
from headrace.client.talk import Talk
from headrace.client.visible import Page

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

#: Exit statuses: the server says no, or the answer is not whole; nobody is there; the user has stopped it.
REFUSED = 1
UNREACHABLE = 4
INTERRUPTED = 130

#: Seconds in which a server must answer before a conversation begins.
_FIRST = 2.0
#: As many streams as ``ps`` looks at, unless it is to show all.
_LOOKED_AT = 200
#: Columns of a table that goes into a pipe or a file.
_WIDE = 200

Url = Annotated[str, typer.Option("--server", envvar="HEADRACE_URL", help="Where the server is.")]
Secret = Annotated[str, typer.Option("--key", envvar="HEADRACE_API_KEY", help="The API key, where one is needed.")]
Wait = Annotated[float, typer.Option("--patience", min=0, help="Seconds for which a server that is away is awaited.")]
Stream = Annotated[str, typer.Argument(metavar="STREAM", help="A stream's id, or one of its names.")]


@app.command()
def chat(
    prompt: Annotated[list[str] | None, typer.Argument(help="What to ask; without it, a conversation.")] = None,
    *,
    model: Annotated[str, typer.Option("--model", "-m", envvar="HEADRACE_MODEL", help="Who is asked.")] = "",
    system: Annotated[str, typer.Option("--system", "-s", help="The system prompt.")] = "",
    server: Url = DEFAULT_URL,
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """Talk to a model. Ctrl-C stops the answer; lost connections and restarts of the server are picked up after.

    With a prompt, or one that is piped in, it is answered once; into a pipe or a file as plain text.
    """
    with _asking(server, hint=server == DEFAULT_URL):
        question = _question(prompt)
        talk = Talk(model or _first_model(_client(server, key, min(patience, _FIRST))), system)
        if question and not sys.stdout.isatty():
            _answer(_client(server, key, patience), _client(server, key, TO_STOP), talk, question)
            return

        def open(sleep: Callable[[float], None], seconds: float | None) -> Client:
            return Client(server, key, patience=patience if seconds is None else seconds, sleep=sleep)

        console = _console()
        terminal = _rich("headrace.client.terminal").Terminal(open, talk, console)
        if not question:
            terminal.run()
        elif (outcome := terminal.answer(talk.ask(question))) is None or not outcome.completed:
            raise typer.Exit(INTERRUPTED if terminal.stopped else REFUSED)


@app.command()
def ps(
    *,
    all: Annotated[bool, typer.Option("--all", "-a", help="Not only those that are open and the latest.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON, a stream a line.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again each second, until Ctrl-C.")] = False,
    server: Url = DEFAULT_URL,
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """List the streams of a server: those that are being written, and the latest of the others."""
    listing = _rich("headrace.client.listing")
    with _asking(server):
        client = _client(server, key, patience)

        def read() -> Any:  # noqa: ANN401 - of a module that is imported late
            found = client.streams(sys.maxsize if all else _LOOKED_AT)
            return found if all else listing.chosen(found)

        console = _console()
        if json:
            page = Page(sys.stdout.buffer)
            for summary in read():
                page.write(msgspec.json.encode(summary).decode() + "\n")
        elif watch:
            listing.watch(console, read)
        else:
            console.print(listing.table(read(), time.time()))


@app.command()
def cancel(
    streams: Annotated[list[str], typer.Argument(metavar="STREAM...", help="Ids of streams, or names of theirs.")],
    *,
    server: Url = DEFAULT_URL,
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """Stop answers: the model's connection is closed. Says what became of each."""
    with _asking(server):
        client = _client(server, key, patience)
        for stream in streams:
            done = client.cancel(stream)
            print(f"{stream}: {'stopped' if done.cancelled else f'had ended as {done.state}'}", flush=True)


@app.command()
def tail(
    name: Annotated[str, typer.Argument(metavar="TOPIC_OR_STREAM", help="A topic's path, or a stream's id.")],
    *,
    offset: Annotated[str, typer.Option(help="Where in a topic to begin: -1 is its start, now its end.")] = "-1",
    server: Url = DEFAULT_URL,
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """Print a topic or an answer as it grows, until it ends. Lost connections and restarts are picked up after."""
    with _asking(server):
        client = _client(server, key, patience)
        if is_stream(name):
            _print(client.watch(name).pieces())
            return
        for piece in client.tail(name, offset):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


@app.command()
def append(
    topic: Annotated[str, typer.Argument(help="The topic's path; it is created where it is not there.")],
    text: Annotated[list[str] | None, typer.Argument(help="What to append, as one line; else what is piped.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Create it as a topic of JSON values, one a line.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Close the topic afterwards.")] = False,
    server: Url = DEFAULT_URL,
    key: Secret = "",
    patience: Wait = 60.0,
) -> None:
    """Append a line to a topic, or each line that is piped in, at once and exactly once."""
    kind = appending.JSON if json else appending.TEXT
    with _asking(server), _client(server, key, patience).appending(topic, kind=kind) as appender:
        if text:
            appender.append(os.fsencode(" ".join(text)) + b"\n")
        elif not (close and sys.stdin.isatty()):
            for lines in appending.blocks(partial(os.read, sys.stdin.fileno(), 1 << 16)):
                appender.append(lines)
        if close:
            appender.close()


def end(message: str, status: int) -> NoReturn:
    """End the command with a line about why."""
    print(message, file=sys.stderr)
    raise typer.Exit(status)


def _client(url: str, key: str, patience: float) -> Client:
    try:
        return Client(url, key, patience=patience)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def _asking(url: str, *, hint: bool = False) -> Iterator[None]:
    """What goes wrong with a server ends the command, with a line about it."""
    try:
        yield
    except Unreachable:
        start = " Start one with: headrace serve" if hint else ""
        end(f"The server at {url} does not answer.{start}", UNREACHABLE)
    except ClientError as error:
        end(str(error), REFUSED)
    except KeyboardInterrupt:
        if not sys.stdout.isatty():  # what is left over would wait for a reader who may not read on: `| less`
            _leave_output()
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # whoever read our output has left: `| head`
        _leave_output()
    except OSError as error:  # a disk that is full: all that concerns the server is told above
        _leave_output()
        end(f"What came could not be read or written: {error.strerror}.", REFUSED)


def _leave_output() -> None:
    """Nothing that is written from now on goes anywhere, nor what Python still writes when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _question(prompt: list[str] | None) -> str:
    """What is asked: the arguments, and below them what is piped in."""
    piped = "" if sys.stdin.isatty() else sys.stdin.buffer.read().decode(errors="replace").strip()
    question = "\n\n".join(part for part in (" ".join(prompt or ()), piped) if part)
    if not question and not sys.stdin.isatty():
        end("There is nothing to answer: neither a prompt nor a terminal.", REFUSED)
    return question


def _first_model(client: Client) -> str:
    models = client.models()
    if not models:
        end("The server has no models.", REFUSED)
    return models[0]


def _answer(client: Client, stopper: Client, talk: Talk, question: str) -> None:
    """One answer as plain text; stopped on the server where the user stops it here."""
    answer = client.chat(talk.model, talk.ask(question), system=talk.system)
    try:
        _print(answer.pieces())
    except (KeyboardInterrupt, OSError):  # nobody reads it any more
        _stop(stopper, answer.id)
        raise


def _stop(client: Client, id: str) -> None:
    """Stop an answer; where that fails, say so."""
    try:
        client.cancel(id)
    except Gone:
        pass  # it had not begun
    except ClientError as error:
        print(f"It may go on: {error}", file=sys.stderr)


def _print(pieces: Iterator[str]) -> None:
    """Print an answer's text; on a terminal with an end of its last line."""
    page = Page(sys.stdout.buffer)
    try:
        for piece in pieces:
            page.write(piece)
    finally:
        if page.terminal:
            page.write("\n")


def _console() -> Any:  # noqa: ANN401 - of a module that is imported late
    """Where is drawn; into a pipe or a file as wide as it gets."""
    width = None if sys.stdout.isatty() else _WIDE
    return _rich("rich.console").Console(highlight=False, markup=False, emoji=False, width=width)


def _rich(name: str) -> Any:  # noqa: ANN401 - a module
    """A module that draws: imported where that is done, since it takes longer than all else together."""
    return importlib.import_module(name)


#: What these commands are called.
COMMANDS = frozenset(command.callback.__name__ for command in app.registered_commands if command.callback)
