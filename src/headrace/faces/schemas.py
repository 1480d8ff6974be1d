"""What requests look like, for the API's description. They are read by the wire, which says exactly what is wrong."""

from typing import Any

_MESSAGES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"type": "string", "examples": ["user"]},
            "content": {"description": "Text, or a list of parts.", "examples": ["Say hello"]},
        },
        "additionalProperties": True,
    },
}

_STOP: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _body(description: str, required: list[str], properties: dict[str, Any], *, more: bool) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties, "additionalProperties": more}
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {"application/json": {"schema": schema}},
        }
    }


#: A request of the OpenAI chat dialect.
CHAT = _body(
    "An OpenAI chat request. Fields that are not named here go to the upstream as they are.",
    ["model", "messages"],
    {
        "model": {"type": "string", "examples": ["demo"]},
        "messages": _MESSAGES,
        "stream": {"type": "boolean", "default": False},
        "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
        "max_tokens": {"type": "integer", "minimum": 1},
        "temperature": {"type": "number"},
        "stop": _STOP,
        "store": {"type": "boolean", "description": "Keep the answer and its request for longer."},
    },
    more=True,
)

#: A request of the simple faces.
SIMPLE = _body(
    "Either `message` or `messages`. Read as JSON whatever the content type says.",
    [],
    {
        "message": {"type": "string", "examples": ["Say hello"]},
        "messages": _MESSAGES,
        "model": {"type": "string", "description": "Else the default model."},
        "stream": {"type": "boolean", "default": True},
        "system": {"type": "string"},
        "max_tokens": {"type": "integer", "minimum": 1},
        "temperature": {"type": "number"},
        "stop": _STOP,
        "conversation": {
            "type": "string",
            "description": "A name for the conversation; it leads to its latest answer.",
        },
    },
    more=True,
)
