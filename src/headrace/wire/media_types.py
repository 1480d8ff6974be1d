"""Media types by a file's name, and which of them a browser may show.

Nothing that a browser would run or lay out in this server's origin (HTML, SVG, scripts, styles, XML) has its own type
here: it is bytes to be saved, and so is all that is not known.
"""

from typing import NamedTuple

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"

#: What is shown where it is opened.
_SHOWN = {
    "aac": "audio/aac",
    "avif": "image/avif",
    "flac": "audio/flac",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "log": _TEXT,
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "md": _TEXT,
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": _TEXT,
    "vtt": "text/vtt; charset=utf-8",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
}
#: What is saved under its own type.
_SAVED = {
    "csv": "text/csv; charset=utf-8",
    "gz": "application/gzip",
    "jsonl": "application/x-ndjson",
    "ndjson": "application/x-ndjson",
    "tar": "application/x-tar",
    "zip": "application/zip",
}


class Kind(NamedTuple):
    """A media type, and whether a browser may show it instead of saving it."""

    media_type: str
    shown: bool


def kind_of(name: str) -> Kind:
    """The kind of a file, by the end of its name."""
    stem, _, extension = name.lower().rpartition(".")
    if not stem:
        return Kind(_BYTES, shown=False)
    if extension in _SHOWN:
        return Kind(_SHOWN[extension], shown=True)
    return Kind(_SAVED.get(extension, _BYTES), shown=False)
