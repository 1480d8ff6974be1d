"""What becomes of a Responses request in other dialects, and what of theirs has no place in one."""

from headrace.wire.carried import Fields, Lacks, Refused

_SERVED_HERE = "Headrace does it, over any upstream"
_CHEAPER = "only makes an answer cheaper"
_HOSTED = "what such a tool found is told in the text that follows"

FIELDS = Fields(
    carried={
        "model": "the model",
        "input": "the conversation",
        "instructions": "a system prompt in front of it",
        "tools": "tools of the type `function`; those of other types are left out",
        "tool_choice": "whether a tool must be called, and which; `allowed_tools` leaves the others out",
        "parallel_tool_calls": "whether several tools may be called at once",
        "text": "`format`: JSON, or JSON of a schema; `verbosity` is left out",
        "reasoning": "`effort`, and whether a `summary` is wanted; the rest is left out",
        "include": "`reasoning.encrypted_content`; other values are left out",
        "max_output_tokens": "the limit of the answer",
        "temperature": "the temperature",
        "top_p": "the part of the distribution that is drawn from",
        "user": "who the end user is",
        "safety_identifier": "who the end user is, where `user` does not say",
        "stream": "whether the answer is streamed",
    },
    dropped={
        "access_programs": "they are OpenAI's own",
        "background": _SERVED_HERE,
        "context_management": "the client keeps the conversation small enough",
        "image": "how images are compressed is the provider's business",
        "max_tool_calls": "it counts the calls of hosted tools, and there are none",
        "metadata": "it is told again, and kept here",
        "prompt_cache_key": _CHEAPER,
        "prompt_cache_options": _CHEAPER,
        "prompt_cache_retention": _CHEAPER,
        "service_tier": "tiers are OpenAI's own",
        "store": _SERVED_HERE,
        "stream_options": "padding of frames is OpenAI's own",
        "truncation": "a conversation that is too long is refused by the upstream",
    },
    refused={
        "conversation": Refused("conversations are kept by OpenAI only"),
        "moderation": Refused("the model's provider has no moderation that could be asked for"),
        "previous_response_id": Refused("this server does not keep that response"),
        "prompt": Refused("prompt templates are kept by OpenAI only"),
        "top_logprobs": Refused("the model's provider does not tell the probabilities of tokens", idle=(0,)),
    },
)

#: The items of ``input``, by their type. One of a type that is not here is left out.
ITEMS = Fields(
    carried={
        "message": "a turn; the roles system and developer are one",
        "reasoning": "a thought; its `encrypted_content` goes to the provider that made it, and to no other",
        "function_call": "a tool call",
        "function_call_output": "a tool's result",
        "custom_tool_call": "a tool call with the argument `input`",
        "custom_tool_call_output": "a tool's result",
        "local_shell_call": "a call of the tool `local_shell`",
        "local_shell_call_output": "a tool's result",
        "shell_call": "a call of the tool `shell`",
        "shell_call_output": "a tool's result, as JSON",
        "apply_patch_call": "a call of the tool `apply_patch`",
        "apply_patch_call_output": "a tool's result",
        "additional_tools": "more `tools`",
        "tool_search_output": "more `tools`",
    },
    dropped={
        "file_search_call": _HOSTED,
        "web_search_call": _HOSTED,
        "code_interpreter_call": _HOSTED,
        "image_generation_call": _HOSTED,
        "mcp_list_tools": "the tools of a provider's own MCP client",
        "mcp_call": _HOSTED,
        "mcp_approval_request": "nobody here would run what is approved",
        "tool_search_call": "what it found is in `tool_search_output`",
        "program": _HOSTED,
        "program_output": _HOSTED,
    },
    refused={
        "item_reference": Refused("this server has no such item; one that names reasoning (`rs_…`) is left out"),
        "compaction": Refused("only the provider that made it can read what it stands for"),
        "compaction_trigger": Refused("the model's provider can't compact a conversation"),
        "configuration_update": Refused("settings can't change within a conversation"),
        "computer_call": Refused("the computer tool is OpenAI's own"),
        "computer_call_output": Refused("the computer tool is OpenAI's own"),
        "mcp_approval_response": Refused("nobody here would run what it approves"),
    },
)

LACKS = Lacks(
    dropped={
        "top_k": "OpenAI has no such setting, and who sets it will do with the default",
        "seed": "it promises nothing, even where there is one",
        "presence_penalty": "a hint that OpenAI's newer models take nowhere",
        "frequency_penalty": "a hint that OpenAI's newer models take nowhere",
    },
    refused={"stop": "it can't be told where to stop"},
)
