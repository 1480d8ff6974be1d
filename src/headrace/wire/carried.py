"""What becomes of a request that is said in another dialect: declared as data, acted upon and documented from there.

A dialect that clients speak has ``FIELDS`` beside its reader: each field of a request is carried, dropped or refused;
one that nobody knows is dropped. A dialect that upstreams speak has ``LACKS`` beside its writer: what a prompt may hold
and the dialect has no place for.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.errors import RequestError
from headrace.model.prompt import Prompt


class Refused(NamedTuple):
    """A field without which the answer would not be what was asked for.

    ``why`` ends a sentence. ``idle`` are the values that ask for nothing.
    """

    why: str
    idle: tuple[object, ...] = ()


class Fields(NamedTuple):
    """The fields of one kind of object in a dialect's requests, by what becomes of them.

    ``carried`` says as what, ``dropped`` why nobody will miss it.
    """

    carried: Mapping[str, str]
    dropped: Mapping[str, str] = {}
    refused: Mapping[str, Refused] = {}

    def check(self, value: Mapping[str, Any], at: str = "") -> None:
        """Raise RequestError where a refused field asks for something. ``at`` is where the object stands."""
        for name, (why, idle) in self.refused.items():
            given = value.get(name)
            if given is not None and given not in idle:
                raise refusal(f"{at}.{name}" if at else name, why)


class Lacks(NamedTuple):
    """The fields of a Prompt for which a dialect has no place, each with why it is left out or refused."""

    dropped: Mapping[str, str] = {}
    refused: Mapping[str, str] = {}

    def check(self, prompt: Prompt) -> None:
        """Raise RequestError, with the client's own field, where something is given that can't be said."""
        for name, why in self.refused.items():
            if getattr(prompt, name) not in (None, "", ()):
                raise refusal(prompt.at.get(name, name), why)


def refusal(at: str, why: str) -> RequestError:
    """The error for what can't be said in the upstream's dialect."""
    return RequestError(f"'{at}' can't be used with this model: {why}.", param=at)


def said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not absent or empty. False and 0 are said."""
    return {name: value for name, value in fields.items() if value not in (None, "", (), [], {})}
