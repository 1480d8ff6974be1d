"""What a client asked for, and what a stream must remember of it."""

from typing import Any

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an answer. ``body`` is the client's JSON object in the words of ``dialect``, unknown fields too."""

    dialect: str
    body: dict[str, Any]
    model: str
    stream: bool


class Meta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stream is from its first moment on; it never changes.

    ``dialect`` is the one in which it was started, and so the one in which it is read where nobody asks for another.
    ``echo`` holds what that dialect's encoder must say again (tools, instructions, ids, its own version).
    ``created`` is in Unix seconds. ``on_leave`` is ``cancel``, ``keep`` or ``linger=SECONDS``. ``key`` is the id of the
    API key that asked, and ``readers`` how many may read at once for its sake (0: as many as anybody's).
    """

    owner: str
    dialect: str
    created: float
    model: str = ""
    on_leave: str = "keep"
    stored: bool = False
    conversation: str = ""
    key: str = ""
    readers: int = 0
    echo: dict[str, Any] = {}
