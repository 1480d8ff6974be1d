"""Tickets: signed links to one stream or chat, for clients that cannot send a header (``EventSource``).

A ticket says who made it (the owner, and with which key), what it is for, which right it gives and until when. It is
passed as ``?ticket=`` and is good for that one path only; query strings are never logged.
"""

import contextlib
import hashlib
import os
import re
import secrets
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from itsdangerous import BadData, URLSafeSerializer

from headrace.core.clock import Clock
from headrace.errors import ConfigError, Unauthorized

#: The file in the data folder that holds the secret, for all workers.
FILE = "tickets.secret"

#: The longest ticket that is looked at, in characters.
LONGEST = 2048

_STREAM = r"/v1/(?:streams|chat/completions|responses|messages)/(?P<stream>[^/]+)"
_CHAT = r"/api/chat/(?P<chat>[^/]+)"
_READ = re.compile(rf"{_STREAM}|{_CHAT}/stream")
_CANCEL = re.compile(rf"{_STREAM}/cancel|{_CHAT}/stop")


class Right(StrEnum):
    """What a ticket allows."""

    READ = "read"
    CANCEL = "cancel"


class Ticket(NamedTuple):
    """What a ticket says. ``key`` is the id of the key with which it was made; ``expires`` is in Unix seconds."""

    owner: str
    key: str
    kind: str
    name: str
    right: str
    expires: int

    def allows(self, method: str, path: str) -> bool:
        """Whether it is for this request: its own stream or chat under the very name that it was made for."""
        if self.right == Right.READ and method in ("GET", "HEAD"):
            match = _READ.fullmatch(path)
        elif self.right == Right.CANCEL and method == "POST":
            match = _CANCEL.fullmatch(path)
        else:
            return False
        return match is not None and match.groupdict().get(self.kind) == self.name


class Tickets:
    """Makes tickets and checks them. ``secret`` is shared by all workers; ``lifetime`` is in seconds."""

    def __init__(self, secret: bytes, clock: Clock, *, lifetime: float = 300.0) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._signed = serializer(secret, "headrace.ticket.1")

    def issue(self, owner: str, key: str, *, kind: str, name: str, right: Right, lifetime: float | None = None) -> str:
        """A ticket for the stream or chat (``kind``) ``name``; never for longer than the configured lifetime.

        Whether the owner has such a stream is the caller's to check.
        """
        seconds = self._lifetime if lifetime is None else min(lifetime, self._lifetime)
        expires = int(self._clock.time() + seconds)
        return str(self._signed.dumps(list(Ticket(owner, key, kind, name, right.value, expires))))

    def check(self, text: str) -> Ticket:
        """What a ticket says. Raises Unauthorized where it is not one of ours, or expired."""
        if len(text) > LONGEST:
            raise Unauthorized("The ticket is not valid.")
        try:
            ticket = Ticket(*self._signed.loads(text))
        except (BadData, TypeError):
            raise Unauthorized("The ticket is not valid.") from None
        if self._clock.time() >= ticket.expires:
            raise Unauthorized("The ticket has expired.")
        return ticket


def serializer(secret: bytes, salt: str) -> URLSafeSerializer:
    """What signs values of one kind and reads them again; ``salt`` keeps each kind from standing for another."""
    return URLSafeSerializer(
        secret, salt=salt, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )


def secret_in(folder: Path | None) -> bytes:
    """The secret that the data folder keeps, made at its first use and readable by its owner only.

    Without a folder: one for this process. Several workers may ask at once. Raises ConfigError where the folder cannot
    keep one.
    """
    if folder is None:
        return secrets.token_bytes(32)
    file = folder / FILE
    try:
        if not file.exists():
            _make(file)
        file.chmod(0o600)
        secret = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"The ticket secret {file} cannot be kept ({type(error).__name__}).") from None
    if len(secret) < 32:
        raise ConfigError(f"The ticket secret {file} is damaged; remove it to have a new one made.")
    return secret


def _make(file: Path) -> None:
    """Write a new secret in one step; where another worker was first, its secret stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(secrets.token_bytes(32))
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
