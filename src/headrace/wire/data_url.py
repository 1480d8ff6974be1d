"""``data:`` URLs: a file inside a URL, in base64."""

import base64
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

_SCHEME = "data:"
_BASE64 = ";base64"


class DataUrl(NamedTuple):
    """``data`` is base64; ``media_type`` has no parameters."""

    media_type: str
    data: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.media_type}{_BASE64},{self.data}"


def parse(url: str) -> DataUrl | None:
    """The file in a URL; None where it is another kind of URL, or a broken one. What is base64 is not decoded."""
    if url[: len(_SCHEME)].lower() != _SCHEME:
        return None
    head, comma, data = url[len(_SCHEME) :].partition(",")
    if not comma:
        return None
    media_type = head.partition(";")[0].strip().lower() or "text/plain"
    if head.lower().endswith(_BASE64):
        return DataUrl(media_type, unquote(data) if "%" in data else data)
    return DataUrl(media_type, base64.b64encode(unquote_to_bytes(data)).decode())
