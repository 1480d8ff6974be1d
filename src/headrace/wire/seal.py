"""Seals: what a provider has signed or encrypted of its reasoning, marked with whose it is.

A seal means something to its issuer only, and travels as one text: out to a client in whatever place its dialect has
for it, and back with the client's next request. A dialect's writer takes the seals of its own provider and leaves out
the others.
"""

from typing import NamedTuple, Self

_MARK = "hr1"
_HIDDEN = "hidden"


class Seal(NamedTuple):
    """``issuer`` is a dialect, ``id`` the reasoning's own where it has one. ``hidden``: there is no text to it."""

    issuer: str
    payload: str
    id: str = ""
    hidden: bool = False

    def __str__(self) -> str:
        id = self.id.replace("%", "%25").replace(":", "%3A")
        return ":".join((_MARK, self.issuer, _HIDDEN if self.hidden else "", id, self.payload))

    @classmethod
    def parse(cls, text: str, issuer: str) -> Self:
        """A seal that came back; what does not say whose it is, is ``issuer``'s own, as that one wrote it."""
        mark, *parts = text.split(":", 4)
        if mark != _MARK or len(parts) != 4 or parts[1] not in {"", _HIDDEN}:
            return cls(issuer, text)
        said, hidden, id, payload = parts
        return cls(said, payload, id.replace("%3A", ":").replace("%25", "%"), bool(hidden))
