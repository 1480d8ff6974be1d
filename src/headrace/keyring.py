"""The keys in the database, for a shell: ``headrace keys create``, ``list``, ``revoke``, ``rotate``.

They work on the database itself, whether or not a server runs; servers notice within five seconds. Standard output gets
a new key and nothing else, so that a script can take it; what people want to know beside it goes to standard error.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, TypeVar

import msgspec
import typer
from pydantic import TypeAdapter, ValidationError

from headrace.config import KeyGrants, Settings
from headrace.config.fields import NAME, Seconds
from headrace.configured import Config, Data, refuse, settings_of
from headrace.core.clock import SystemClock
from headrace.errors import ConfigError, RequestError, StoreError
from headrace.model.grants import ROUTES, Grants
from headrace.records.database import Database
from headrace.records.keys import Keys, NewKey, StoredKey
from headrace.shell import REFUSED, UNREACHABLE, end

T = TypeVar("T")

app = typer.Typer(name="keys", help="Make, list, revoke and rotate the API keys in the database.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `headrace keys list` shows it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")]


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose key it is: the owner of all that is made with it.")
    ],
    *,
    expires: Annotated[str | None, typer.Option(help="For how long it is good: 12h, 30d; else for ever.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Let it see what goes on for all owners.")] = False,
    models: Annotated[str | None, typer.Option(help="The only models that it may ask for: 'gpt-4o,claude-*'.")] = None,
    routes: Annotated[str | None, typer.Option(help=f"All that it is good for, of {', '.join(ROUTES)}.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="A limit, as requests_per_minute=60; repeatable.")] = None,
    quiet: Quiet = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a key and print it: nobody can tell it again."""
    if not NAME.fullmatch(name):
        raise typer.BadParameter("expected up to 64 letters, digits, '.', '_' and '-'", param_hint="NAME")
    given = {"admin": admin, "models": models, "routes": routes, "limits": dict(_limits(limit or ()))}
    grants = _grants({field: value for field, value in given.items() if value is not None})
    grants = msgspec.structs.replace(grants, lifetime=None if expires is None else _seconds(expires, "--expires"))
    settings = _settings(config, data)
    _tell(settings, _asked(settings, lambda keys: keys.create(name, grants)), quiet)


@app.command(name="list")
def show(
    *,
    json: Annotated[bool, typer.Option("--json", help="As JSON, a key a line.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """List all keys, also those that are not good any more; never the keys themselves."""
    found = _asked(_settings(config, data), lambda keys: keys.all())
    if json:
        for key in found:
            row = {name: value for name, value in key._asdict().items() if name != "digest"}
            print(msgspec.json.encode(row).decode())
        return
    now = SystemClock().time()
    for line in _table([("ID", "OWNER", "CREATED", "STATE", "GRANTS"), *(_row(key, now) for key in found)]):
        print(line)


@app.command()
def revoke(id: Id, *, config: Config = None, data: Data = None) -> None:
    """End a key at once, and the tickets and sessions that were made with it."""
    found = _asked(_settings(config, data), lambda keys: keys.revoke(id))
    print(f"The key {found.id} of {found.owner} is revoked.")


@app.command()
def rotate(
    id: Id,
    *,
    overlap: Annotated[str, typer.Option(help="For how long the old key stays good: 30s, 1h.")] = "1h",
    quiet: Quiet = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Make a key in the place of another one: the same owner, the same grants, good for as long."""
    seconds = _seconds(overlap, "--overlap")
    settings = _settings(config, data)
    _tell(settings, _asked(settings, lambda keys: keys.rotate(id, seconds)), quiet)


def are_there(settings: Settings) -> bool:
    """Whether the database has, or ever had, a key; where it cannot tell now, a server will wait until it can."""
    try:
        return settings.records_last and asyncio.run(_ask(settings, lambda keys: keys.are_there()))
    except StoreError:
        return True


# -- what is asked -------------------------------------------------------------------------------------------------


def _grants(given: dict[str, object]) -> Grants:
    """What a configured key may say, in its words. Raises BadParameter."""
    try:
        return KeyGrants.model_validate(given).grants
    except ValidationError as error:
        problem = error.errors()[0]
        place = [str(part) for part in problem["loc"] if isinstance(part, str)]
        raise typer.BadParameter(problem["msg"], param_hint=" ".join(place)) from None


def _limits(given: Iterable[str]) -> Iterator[tuple[str, str]]:
    for limit in given:
        name, equals, value = limit.partition("=")
        if not equals:
            raise typer.BadParameter("expected a name and a value, as requests_per_minute=60", param_hint="--limit")
        yield name.strip(), value.strip()


def _seconds(text: str, flag: str) -> float:
    try:
        return TypeAdapter(Seconds).validate_python(text)
    except ValidationError:
        raise typer.BadParameter("expected a time such as 90s, 12h or 30d", param_hint=flag) from None


def _settings(config: str | None, data: str | None) -> Settings:
    settings = settings_of(config, {"data": data})
    if not settings.records_last:
        refuse(ConfigError("Keys need a database that others can read: a data folder or [records] url, not 'memory:'."))
    return settings


def _asked(settings: Settings, work: Callable[[Keys], Awaitable[T]]) -> T:
    """What the database says; what goes wrong with it ends the command."""
    try:
        return asyncio.run(_ask(settings, work))
    except ConfigError as error:
        refuse(error)
    except RequestError as error:
        end(error.message, REFUSED)
    except StoreError as error:
        end(error.message, UNREACHABLE)


async def _ask(settings: Settings, work: Callable[[Keys], Awaitable[T]]) -> T:
    database = Database.of(settings)
    try:
        return await work(Keys(database, SystemClock()))
    finally:
        await database.close()


# -- what is told --------------------------------------------------------------------------------------------------


def _tell(settings: Settings, made: NewKey, quiet: bool) -> None:
    say = partial(print, file=sys.stderr)
    if not quiet:
        key = made.stored
        place = "PostgreSQL" if settings.records.url.get_secret_value() else settings.store.place
        until = "for good" if key.expires is None else f"until {_date(key.expires)}"
        say(f"A key of {key.owner}, with the id {key.id}, good {until} (kept in {place}):")
    print(made.secret, flush=True)
    if not quiet:
        say("Only its digest is kept: this is the one time that it is shown.")


def _row(key: StoredKey, now: float) -> tuple[str, ...]:
    return key.id, key.owner, _date(key.created), _state(key, now), " ".join(_words(key.grants)) or "everything"


def _state(key: StoredKey, now: float) -> str:
    if key.revoked is not None:
        return f"revoked {_date(key.revoked)}"
    if key.expires is None:
        return "good"
    return f"{'expires' if now < key.expires else 'expired'} {_date(key.expires)}"


def _words(grants: Grants) -> Iterator[str]:
    if grants.admin:
        yield "admin"
    for name, granted in (("models", grants.models), ("routes", grants.routes)):
        if granted is not None:
            yield f"{name}={','.join(granted)}"
    for name, most in msgspec.structs.asdict(grants.quota).items():
        if most is not None:
            yield f"{name}={most}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
