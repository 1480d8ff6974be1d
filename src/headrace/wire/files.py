"""Files of text in a prompt."""

import base64
import binascii

from headrace.model.prompt import Media
from headrace.wire.carried import refusal


def text_in(media: Media) -> str:
    """The text of a file that is one. Raises RequestError."""
    try:
        return base64.b64decode("".join(media.data.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        raise refusal(media.at, "it is no text in UTF-8 and base64") from None
