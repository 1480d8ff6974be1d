"""The dialects: their names, and the formats of the records that hold them.

A stream's format is the dialect of its frames, or ``<dialect>.object`` for a whole body in one record. A request's
dialect is one of the same names.
"""

#: OpenAI's chat completions.
CHAT = "openai.chat"
#: OpenAI's Responses.
RESPONSES = "openai.responses"
#: Anthropic's Messages.
MESSAGES = "anthropic.messages"
#: The AI SDK's UI message stream: spoken with clients only.
UI = "ui"

#: The simple faces: spoken with clients only.
NAMED = "simple.named"
UNNAMED = "simple.unnamed"
INFER = "simple.infer"
TEXT = "simple.text"

#: None: records as they came, whose format is a media type.
RAW = "raw"

_OBJECT = ".object"


def whole(dialect: str) -> str:
    """The format of a whole body in a dialect."""
    return dialect + _OBJECT


def is_whole(format: str) -> bool:
    """Whether a format is that of a whole body."""
    return format.endswith(_OBJECT)


def dialect_of(format: str) -> str:
    """The dialect that a format is written in."""
    return format.removesuffix(_OBJECT)
