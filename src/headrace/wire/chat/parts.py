"""What stands in a message of OpenAI chat: text, images, sound, files and refusals, read and written."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from headrace.model.prompt import AnyPart, Declined, Media, Words
from headrace.wire import data_url
from headrace.wire.carried import refusal
from headrace.wire.data_url import DataUrl
from headrace.wire.files import text_in
from headrace.wire.place import Place

_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
#: How "%PDF" begins in base64: a file may come without its media type.
_PDF = "JVBER"


def content_in(message: Place, kinds: Collection[str]) -> Iterator[AnyPart]:
    """The parts of a message's content: a text, or a list of parts of these kinds. Raises RequestError."""
    given = message.value.get("content")
    if isinstance(given, str):
        yield Words(text=given, at=message.path("content"))
        return
    if not isinstance(given, list | None):
        raise message.wrong("content", "must be a text or a list of parts")
    for part in message.each("content"):
        kind = part.needed("type")
        if kind not in kinds:
            raise refusal(part.path("type"), f"here stands {' or '.join(kinds)} only")
        yield _READ[kind](part)


def words_in(message: Place) -> Iterator[Words]:
    """The same where nothing but text may stand."""
    return (part for part in content_in(message, ("text",)) if isinstance(part, Words))


def _text(part: Place) -> Words:
    return Words(text=part.text("text"), at=part.at)


def _refusal(part: Place) -> Declined:
    return Declined(text=part.text("refusal"), at=part.at)


def _image(part: Place) -> Media:
    image = part.inner("image_url")
    url = image.needed("url")
    return _media("image", url, data_url.parse(url), detail=image.text("detail"), at=part.at)


def _media(kind: Any, url: str, file: DataUrl | None, **others: str) -> Media:  # noqa: ANN401  (a literal)
    if file is None:
        return Media(kind=kind, url=url, **others)
    return Media(kind=kind, media_type=file.media_type, data=file.data, **others)


def _audio(part: Place) -> Media:
    audio = part.inner("input_audio")
    media_type = _AUDIO.get(audio.word("format", _AUDIO), _AUDIO["wav"])
    return Media(kind="audio", media_type=media_type, data=audio.needed("data"), at=part.at)


def _file(part: Place) -> Media:
    given = part.inner("file")
    name = given.text("filename")
    if id := given.text("file_id"):
        return Media(kind="file", file_id=id, name=name, at=part.at)
    data = given.needed("file_data")
    file = data_url.parse(data) or DataUrl("application/pdf" if data.startswith(_PDF) else "", data)
    return Media(kind="file", media_type=file.media_type, data=file.data, name=name, at=part.at)


_READ: Mapping[str, Callable[[Place], AnyPart]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}


def content_of(parts: Iterable[Words | Media]) -> str | list[dict[str, Any]]:
    """A user's content: one text where it is nothing but text, which every server takes. Raises RequestError."""
    written = [_words_of(part) if isinstance(part, Words) else media_of(part) for part in parts]
    if all(part["type"] == "text" for part in written):
        return "\n\n".join(part["text"] for part in written)
    return written


def _words_of(part: Words) -> dict[str, Any]:
    return {"type": "text", "text": part.text}


def media_of(media: Media) -> dict[str, Any]:
    """An image, a sound or a file as a part. Raises RequestError."""
    return _WRITE[media.kind](media)


def _image_of(media: Media) -> dict[str, Any]:
    if media.file_id:
        raise refusal(media.at, "it takes an image as a URL or as data, not by a file's id")
    url = media.url or str(DataUrl(media.media_type, media.data))
    return {"type": "image_url", "image_url": {"url": url, **({"detail": media.detail} if media.detail else {})}}


def _audio_of(media: Media) -> dict[str, Any]:
    format = _FORMATS.get(media.media_type)
    if not (format and media.data):
        raise refusal(media.at, "it takes sound as data of the types wav and mp3 only")
    return {"type": "input_audio", "input_audio": {"data": media.data, "format": format}}


def _file_of(media: Media) -> dict[str, Any]:
    if media.url:
        raise refusal(media.at, "it takes a file as data, not by a URL")
    if media.file_id:
        return {"type": "file", "file": {"file_id": media.file_id}}
    if media.media_type == "text/plain":
        return {"type": "text", "text": "\n\n".join(filter(None, (media.name, text_in(media))))}
    data = str(DataUrl(media.media_type or "application/octet-stream", media.data))
    return {"type": "file", "file": {"filename": media.name or "file", "file_data": data}}


_WRITE: Mapping[str, Callable[[Media], dict[str, Any]]] = {"image": _image_of, "audio": _audio_of, "file": _file_of}
