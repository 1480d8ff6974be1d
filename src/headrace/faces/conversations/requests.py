"""What a page asks of conversations: read, and refused with the name of the field that is wrong."""

import re
from collections.abc import Mapping
from typing import Any

from headrace.errors import RequestError
from headrace.records.answers import Asked, Written
from headrace.wire import data_url
from headrace.wire.json_object import healed, parse
from headrace.wire.place import Place
from headrace.wire.thinking import EFFORTS

#: Pictures of one message, and bytes of one.
PICTURES = 4
PICTURE_BYTES = 8 << 20

#: Kinds of pictures that every provider reads.
PICTURE_TYPES = ("image/gif", "image/jpeg", "image/png", "image/webp")

#: Characters of a title, and of a system prompt.
TITLE = 200
SYSTEM = 100_000

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

_NUMBERS = ("temperature", "top_p")
_SETTINGS = frozenset({"model", "system", "max_tokens", "reasoning_effort", *_NUMBERS})


def read(body: bytes) -> Place:
    """The request's object. Raises RequestError."""
    return Place(parse(body))


def id_in(place: Place, field: str) -> str | None:
    """An id that the page has made; None where there is none. Raises RequestError."""
    id = place.text(field)
    if id and _ID.fullmatch(id) is None:
        raise place.wrong(field, "must be 1 to 64 letters, digits, '_' or '-'")
    return id or None


def title_in(place: Place) -> str | None:
    """A title on one line; None where there is none. Raises RequestError."""
    if place.value.get("title") is None:
        return None
    title = _kept(place.text("title"))
    if len(title) > TITLE:
        raise place.wrong("title", f"must be at most {TITLE} characters")
    return " ".join(title.split())


def settings_in(place: Place) -> dict[str, Any] | None:
    """Settings as they are kept; None where there are none. Raises RequestError, for unknown ones too."""
    if place.value.get("settings") is None:
        return None
    given = place.inner("settings")
    for name in given.value.keys() - _SETTINGS:
        raise given.wrong(_kept(name)[:64], f"is not one of {', '.join(sorted(_SETTINGS))}")
    if len(given.text("system")) > SYSTEM:
        raise given.wrong("system", f"must be at most {SYSTEM} characters")
    found = {
        "model": _kept(given.text("model")),
        "system": _kept(given.text("system")),
        "max_tokens": given.count("max_tokens"),
        "reasoning_effort": given.word("reasoning_effort", EFFORTS),
        **{name: given.number(name) for name in _NUMBERS},
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def asked_in(place: Place) -> Asked:
    """The answer that is asked for. Raises RequestError."""
    answer = id_in(place, "id")
    if answer is None:
        raise place.wrong("id", "is missing; it must be the answer's id")
    message = _message(place.inner("message")) if place.value.get("message") is not None else None
    goes_on = place.flag("continue") is True
    if message is not None and (goes_on or message.id == answer):
        raise RequestError("A new message has an id of its own, and starts a new answer.", param="message")
    return Asked(
        answer=answer,
        parent=id_in(place, "parent"),
        message=message,
        model=_kept(place.needed("model")),
        goes_on=goes_on,
        settings=settings_in(place) or {},
    )


def _message(place: Place) -> Written:
    id = id_in(place, "id")
    if id is None:
        raise place.wrong("id", "is missing; it must be the message's id")
    pictures = place.each("parts")
    if len(pictures) > PICTURES:
        raise place.wrong("parts", f"must be at most {PICTURES} pictures")
    written = Written(id=id, text=_kept(place.text("text")), parts=[_picture(picture) for picture in pictures])
    if not written.text.strip() and not written.parts:
        raise place.wrong("text", "is missing; a message says something")
    return written


def _picture(place: Place) -> dict[str, str]:
    place.word("type", ("image",))
    url = data_url.parse(place.needed("data_url"))
    if url is None or url.media_type not in PICTURE_TYPES or _BASE64.fullmatch(url.data) is None:
        raise place.wrong("data_url", f"must be a data: URL in base64 of one of {', '.join(PICTURE_TYPES)}")
    if len(url.data) * 3 // 4 > PICTURE_BYTES:
        raise place.wrong("data_url", f"must be at most {PICTURE_BYTES >> 20} MB")
    return {"type": "image", "data_url": str(url)}


def _kept(text: str) -> str:
    """A text as every database takes it."""
    return healed(text).replace("\0", "")


def body_of_chat(messages: list[dict[str, Any]], settings: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
    """What an upstream is asked, in the words of OpenAI's chat."""
    system = [{"role": "system", "content": settings["system"]}] if settings.get("system") else []
    given = {name: settings[name] for name in settings if name != "system"}
    return {**given, "messages": [*system, *messages], "stream": stream}
