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


def _body(
    description: str, fields: list[str], properties: dict[str, Any], *, more: bool, required: bool = True
) -> dict[str, Any]:
    schema = {"type": "object", "required": fields, "properties": properties, "additionalProperties": more}
    return {
        "requestBody": {
            "required": required,
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

#: A request of the OpenAI Responses dialect.
RESPONSES = _body(
    "An OpenAI Responses request. Fields that are not named here go to the upstream as they are, if it speaks this.",
    ["model", "input"],
    {
        "model": {"type": "string", "examples": ["demo"]},
        "input": {"description": "Text, or a list of items.", "examples": ["Say hello"]},
        "instructions": {"type": "string"},
        "stream": {"type": "boolean", "default": False},
        "background": {"type": "boolean", "default": False, "description": "Reply at once, and go on by oneself."},
        "store": {"type": "boolean", "default": True, "description": "Keep the answer and its request for longer."},
        "previous_response_id": {"type": "string", "description": "The response that this one goes on from."},
        "tools": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        "max_output_tokens": {"type": "integer", "minimum": 1},
        "temperature": {"type": "number"},
    },
    more=True,
)

_PROMPT: dict[str, Any] = {
    "model": {"type": "string", "examples": ["demo"]},
    "messages": _MESSAGES,
    "system": {"description": "Text, or a list of blocks."},
    "tools": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
}

#: A request of the Anthropic Messages dialect.
MESSAGES = _body(
    "An Anthropic Messages request. Fields that are not named here go to the upstream as they are, if it speaks this.",
    ["model", "messages", "max_tokens"],
    {
        **_PROMPT,
        "max_tokens": {"type": "integer", "minimum": 0, "examples": [1024]},
        "stream": {"type": "boolean", "default": False},
        "temperature": {"type": "number"},
        "stop_sequences": {"type": "array", "items": {"type": "string"}},
    },
    more=True,
)

#: The same, to be counted.
COUNT = _body("An Anthropic Messages request that is not answered.", ["model", "messages"], _PROMPT, more=True)

#: A request of the AI SDK's chat.
UI = _body(
    "What `useChat` sends. Fields that are not named here are the page's own, and are left out.",
    ["id", "messages"],
    {
        "id": {"type": "string", "maxLength": 255, "description": "The chat's id.", "examples": ["chat-1"]},
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role", "parts"],
                "properties": {
                    "id": {"type": "string"},
                    "role": {"type": "string", "enum": ["system", "user", "assistant"]},
                    "parts": {
                        "type": "array",
                        "items": {"type": "object", "required": ["type"], "additionalProperties": True},
                        "examples": [[{"type": "text", "text": "Say hello"}]],
                    },
                },
                "additionalProperties": True,
            },
        },
        "model": {"type": "string", "description": "Else the default model."},
        "system": {"type": "string"},
        "tools": {"description": "By their names: `description` and `inputSchema`.", "type": "object"},
        "maxOutputTokens": {"type": "integer", "minimum": 1},
        "temperature": {"type": "number"},
    },
    more=True,
)

#: What a chat's answer is stopped with.
UI_STOP = _body(
    "Which answer is meant; without a body, the active one.",
    [],
    {
        "stream": {"type": "string", "description": "Its stream's id."},
        "messageId": {"type": "string", "description": "The id of the message that it is."},
    },
    more=True,
    required=False,
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

#: What a page signs in with.
SESSION = _body("The key.", ["key"], {"key": {"type": "string"}}, more=True)

_SETTINGS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "system": {"type": "string"},
        "temperature": {"type": "number"},
        "top_p": {"type": "number"},
        "max_tokens": {"type": "integer", "minimum": 1},
        "reasoning_effort": {"type": "string"},
    },
    "additionalProperties": False,
}
_OWN_ID: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$", "description": "Made by the page."}
_TITLE: dict[str, Any] = {"type": "string", "maxLength": 200}

#: A new conversation.
CONVERSATION = _body(
    "The conversation; everything may be left out.",
    [],
    {"id": _OWN_ID, "title": _TITLE, "settings": _SETTINGS},
    more=True,
    required=False,
)

#: What changes of one.
CONVERSATION_CHANGE = _body(
    "What is to be changed.",
    [],
    {"title": _TITLE, "settings": _SETTINGS, "leaf": {"type": "string", "description": "The message shown last."}},
    more=True,
)

#: An answer in a conversation.
ANSWER = _body(
    "The answer: below a new `message`, or with none below `parent` itself.",
    ["id", "model"],
    {
        "id": _OWN_ID,
        "parent": {"type": ["string", "null"], "description": "The message above; null at the root."},
        "message": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": _OWN_ID,
                "text": {"type": "string"},
                "parts": {
                    "type": "array",
                    "maxItems": 4,
                    "items": {
                        "type": "object",
                        "required": ["data_url"],
                        "properties": {"type": {"const": "image"}, "data_url": {"type": "string"}},
                    },
                },
            },
        },
        "continue": {"type": "boolean", "description": "Go on from the answer `parent`, which was cut."},
        "model": {"type": "string", "examples": ["demo"]},
        "stream": {"type": "boolean", "default": True},
        "settings": _SETTINGS,
    },
    more=True,
)
