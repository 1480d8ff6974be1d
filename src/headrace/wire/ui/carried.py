"""What becomes of a request of the AI SDK's ``useChat``: no upstream speaks its dialect, so each one is converted."""

from headrace.wire.carried import Fields, Refused

FIELDS = Fields(
    carried={
        "messages": "turns and system prompts",
        "model": "the model's name",
        "system": "the system prompt",
        "tools": "functions, by their names or as a list",
        "toolChoice": "all forms",
        "responseFormat": "a JSON schema, or the wish for JSON",
        "reasoning": "effort, or a budget of tokens",
        "maxOutputTokens": "the limit of the answer",
        "temperature": "as it is",
        "topP": "as it is",
        "topK": "as it is, where the other dialect has it",
        "stopSequences": "stop sequences",
        "seed": "as it is, where the other dialect has it",
        "presencePenalty": "as it is, where the other dialect has it",
        "frequencyPenalty": "as it is, where the other dialect has it",
    },
    dropped={
        "id": "names the chat",
        "trigger": "the messages say it already",
        "messageId": "the messages say it already",
    },
)

#: The parts of messages, by their types.
PARTS = Fields(
    carried={
        "text": "text",
        "file": "an image, sound or a file, by its URL or as data",
        "reasoning": "the model's own reasoning, with the seal that it came with",
        "tool-*": "a tool call with its result; one without a result is left out",
        "dynamic-tool": "the same",
        "step-start": "begins a turn",
        "steering-message": "a turn of the user",
    },
    dropped={
        "source-url": "only shown",
        "source-document": "only shown",
        "data-*": "only shown",
        "custom": "of one provider",
        "reasoning-file": "of one provider",
    },
)

FILE = Fields(
    carried={"mediaType": "as it is", "url": "as it is, or the data in it", "filename": "the file's name"},
    refused={"providerReference": Refused("it names a file that is kept at one provider", idle=({},))},
)
