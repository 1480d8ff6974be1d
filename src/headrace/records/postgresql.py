"""The records on a PostgreSQL server, which may be slow or away for as long as it likes: every wait for it is bounded.

What is said on a connection works through a pooler in transaction mode too: no prepared statements, and no setting
outlives its transaction.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import Buffer
from psycopg.conninfo import make_conninfo
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from headrace.errors import ConfigError, StoreUnavailable
from headrace.records.engines import READERS, Engines

T = TypeVar("T")

#: Seconds beyond its own time-out for which a statement's answer is waited for: a server that stands still has none.
GRACE = 1.0

#: Seconds for which a server that could not be reached is left alone.
PAUSE = 1.0

#: Seconds that migrations may take: some rewrite whole tables.
MIGRATION = 900.0

#: The advisory lock of those who migrate: "headrace", as a number.
LOCK = int.from_bytes(b"headrace", "big") >> 1

_LIMIT = text("SELECT set_config('statement_timeout', :milliseconds, true)")
_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")
_ENCODING = text("SHOW server_encoding")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that waits for its server for ``patience`` seconds, and is closed when that was in vain."""

    patience = GRACE

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's. Raises OperationalError, after which the connection is of no more use."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # not the server's answer, which may still come: it would answer something else
                self.close()
            raise


class PlainTextDumper(StrDumperUnknown):
    """Texts as PostgreSQL takes them: what it has no place for, and SQLite has, becomes U+FFFD.

    So a client's odd name is looked for in vain here too, instead of being an error that only this database has.
    """

    def dump(self, obj: str) -> Buffer | None:
        """As psycopg's, for any text."""
        if "\0" in obj or not obj.isascii():
            obj = obj.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return super().dump(obj)


def engines(url: str, patience: float) -> Engines:
    """Engines on one pool. ``patience`` is for how many seconds a connection, or a statement's answer, is waited for.

    Raises ConfigError for a URL that cannot be read, or has parameters that are none of PostgreSQL's.
    """
    parsed = _parsed(url)
    writing = create_engine(
        parsed,
        hide_parameters=True,  # they hold prompts
        connect_args={"prepare_threshold": None, "client_encoding": "utf8", **_bounds(parsed, patience)},
        pool_size=READERS + 1,
        max_overflow=0,
        pool_pre_ping=True,
    )
    _check(writing, parsed)
    event.listen(writing, "do_connect", _connector(patience))
    event.listen(writing, "begin", _limiter(patience))
    return Engines(writing, writing.execution_options(postgresql_readonly=True), _alone)


def _parsed(url: str) -> URL:
    try:
        return make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise ConfigError("records.url: expected postgresql://USER:PASSWORD@HOST/DATABASE") from None


def _bounds(url: URL, patience: float) -> dict[str, str]:
    """What libpq is told of patience, and of us, where the URL does not say it."""
    bounds = {
        "connect_timeout": str(max(2, math.ceil(patience))),  # whole seconds; psycopg takes 1 as 2
        "tcp_user_timeout": str(int((patience + GRACE) * 1000)),
        "application_name": "headrace",
    }
    return {name: value for name, value in bounds.items() if name not in url.query}


def _check(engine: Engine, url: URL) -> None:
    """Find out at once what else would be found out at each connection. Raises ConfigError."""
    _, parameters = engine.dialect.create_connect_args(url)
    parameters.pop("context", None)
    try:
        make_conninfo("", **parameters)
    except psycopg.ProgrammingError:
        raise ConfigError("records.url: one of its parameters is none of PostgreSQL's") from None


def _connector(patience: float) -> Callable[..., PatientConnection]:
    """What makes connections; for a moment after it could not, it says so at once.

    So a queue of work does not wait once for each of its pieces, and a server that comes back is not run over.
    """
    again = 0.0

    def connect(_dialect: object, _record: object, arguments: list[str], parameters: dict[str, Any]) -> Any:  # noqa: ANN401 - what the event wants
        nonlocal again
        if time.monotonic() < again:
            raise psycopg.OperationalError("The server was out of reach a moment ago.")
        try:
            connection = PatientConnection.connect(*arguments, **parameters)
        except psycopg.Error:
            again = time.monotonic() + PAUSE
            raise
        connection.patience = patience + GRACE
        connection.adapters.register_dumper(str, PlainTextDumper)
        return connection

    return connect


def _limiter(patience: float) -> Callable[[Connection], None]:
    """What bounds each statement of a transaction, on the server."""
    milliseconds = str(max(1, int(patience * 1000)))

    def limit(connection: Connection) -> None:
        connection.execute(_LIMIT, {"milliseconds": milliseconds})

    return limit


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Wait for whoever migrates now, as long as for any statement; then there is time. Raises StoreUnavailable."""
    if connection.execute(_ENCODING).scalar() != "UTF8":
        raise StoreUnavailable("The records database is not in UTF-8.")
    connection.execute(_ALONE, {"lock": LOCK})
    connection.execute(_LIMIT, {"milliseconds": "0"})
    driver: Any = connection.connection.driver_connection
    usual, driver.patience = driver.patience, MIGRATION
    try:
        yield
    finally:
        driver.patience = usual
