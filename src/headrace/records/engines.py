"""What a database is made of, whichever it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from sqlalchemy import Connection, Engine

#: Threads for long reading, each with a connection.
READERS = 2


class Engines(NamedTuple):
    """Two engines on one database, each with a bounded pool."""

    #: For transactions, one at a time.
    writing: Engine
    #: For reading beside them, on as many threads as READERS; None where one thread alone sees what there is.
    reading: Engine | None
    #: Within it a transaction is the only one that migrates.
    alone: Callable[[Connection], AbstractContextManager[object]]
