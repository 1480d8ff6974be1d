"""Media types, as far as they say how a body is divided.

The format of a stream that is in no dialect is the media type that its body came in.
"""

import re

#: Server-sent events: a record is an event.
EVENTS = "text/event-stream"
#: JSON values, one a line: a record is a line.
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
#: What is said of a body of which nothing is known.
BYTES = "application/octet-stream"

_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}( *;[\x20-\x7e]{0,200})?")


def essence(media_type: str) -> str:
    """The type itself, without its parameters."""
    return media_type.partition(";")[0].strip().lower()


def checked(media_type: str) -> str:
    """The media type, or the one that says nothing where it is none."""
    return media_type if _TYPE.fullmatch(media_type) else BYTES
