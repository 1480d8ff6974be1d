"""Requests said in another dialect: a reader for each that clients speak, a writer for each that upstreams speak.

docs/conversion.md has the tables of what is carried, dropped and refused; a test holds it to this code.
"""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import RequestError
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES, UI
from headrace.model.prompt import Prompt
from headrace.wire.chat import reading as chat_reading
from headrace.wire.chat import writing as chat_writing
from headrace.wire.manner import PLAIN, Manner
from headrace.wire.messages import reading as messages_reading
from headrace.wire.messages import writing as messages_writing
from headrace.wire.messages.unsealed import unsealed as messages_unsealed
from headrace.wire.responses import reading as responses_reading
from headrace.wire.responses import writing as responses_writing
from headrace.wire.responses.history import unsealed as responses_unsealed
from headrace.wire.ui import reading as ui_reading

#: A client's body to a prompt. Raises RequestError, with ``param``.
Reader = Callable[[dict[str, Any]], Prompt]
#: A prompt to a body without ``model`` and ``stream``. Raises RequestError, with the client's ``param``.
Writer = Callable[[Prompt, Manner], dict[str, Any]]

READERS: Mapping[str, Reader] = {
    CHAT: chat_reading.read,
    RESPONSES: responses_reading.read,
    MESSAGES: messages_reading.read,
    UI: ui_reading.read,
}
WRITERS: Mapping[str, Writer] = {
    CHAT: chat_writing.write,
    RESPONSES: responses_writing.write,
    MESSAGES: messages_writing.write,
}

#: What of a body an upstream of the same dialect could not take: thoughts that another provider has sealed.
_UNSEALED: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    RESPONSES: responses_unsealed,
    MESSAGES: messages_unsealed,
}


def own(body: dict[str, Any], dialect: str) -> dict[str, Any]:
    """A body for an upstream of its own dialect: the very same, but for what only other providers can read."""
    unsealed = _UNSEALED.get(dialect)
    return body if unsealed is None else unsealed(body)


def convert(body: dict[str, Any], source: str, target: str, manner: Manner = PLAIN) -> dict[str, Any]:
    """A body in the words of ``target``, without ``model`` and ``stream``. Raises RequestError."""
    if source not in READERS or target not in WRITERS:
        raise RequestError("No upstream of this model speaks this API.")
    return WRITERS[target](READERS[source](body), manner)
