"""What a key may do: which models and routes, how much, and until when its like is good."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal, get_args

import msgspec

#: Parts of the HTTP surface for which a key may be good. ``streams`` is any stream of its owner's, by its id.
Route = Literal[
    "chat",
    "responses",
    "messages",
    "ui",
    "simple",
    "streams",
    "topics",
    "exports",
    "files",
    "proxy",
    "passthrough",
]
ROUTES: tuple[Route, ...] = get_args(Route)


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How much a key may use. None is as much as the server bears."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_streams: int | None = None
    readers_per_stream: int | None = None
    stored_bytes: int | None = None
    #: US dollars in 30 days.
    budget: float | None = None

    @property
    def is_counted(self) -> bool:
        """Whether what is begun has to be counted."""
        counted = (self.requests_per_minute, self.tokens_per_minute, self.concurrent_streams)
        return any(limit is not None for limit in counted)

    @property
    def is_limited(self) -> bool:
        """Whether what is begun has to be asked for at all."""
        return self.is_counted or self.stored_bytes is not None or self.budget is not None


class Grants(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a key may do. ``models`` are names, in which ``*`` stands for any text; None is all, of models as of routes.

    A model that is not granted does not exist for the key. An ``admin`` sees what is going on for all owners, and never
    what is said. ``lifetime`` is for how many seconds such a key is good; the next one, when it is rotated, too.
    """

    admin: bool = False
    models: tuple[str, ...] | None = None
    routes: tuple[Route, ...] | None = None
    lifetime: float | None = None
    quota: Quota = Quota()

    def sees(self, model: str) -> bool:
        """Whether there is such a model for this key, by the name under which it is asked for."""
        return self.models is None or any(_matches(model, pattern) for pattern in self.models)

    def reaches(self, routes: Iterable[str]) -> bool:
        """Whether the key is good for one of these routes."""
        return self.routes is None or any(route in self.routes for route in routes)


def _matches(model: str, pattern: str) -> bool:
    """Of what ``fnmatch`` knows only ``*``: a name may hold brackets."""
    return fnmatchcase(model, pattern.replace("[", "[[]").replace("?", "[?]"))
