"""The end of a connection as a reply sees it: it says that there shall be one, and not how."""

import asyncio
from collections.abc import Callable


class Ending:
    """The transport of a connection, for its replies; ``close`` is how it ends behind one."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.close = close
