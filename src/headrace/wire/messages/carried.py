"""What becomes of an Anthropic Messages request in other dialects, and what of theirs has no place in one."""

from headrace.wire.carried import Fields, Lacks, Refused

_CHEAPER = "only makes an answer cheaper"
_HEADER = "travels as a header"
_ANTHROPIC = "Anthropic's own servers do that"

FIELDS = Fields(
    carried={
        "messages": "turns, system prompts among them",
        "model": "the model's name",
        "stream": "as it is",
        "system": "the system prompt",
        "max_tokens": "the limit of the answer",
        "temperature": "as it is",
        "top_p": "as it is",
        "top_k": "as it is, where the other dialect has it",
        "stop_sequences": "stop sequences",
        "tools": "functions; tools that Anthropic runs or defines are refused",
        "tool_choice": "all forms, `disable_parallel_tool_use` too",
        "thinking": "effort, or a budget of tokens",
        "output_config": "`effort`, and `format` with its JSON schema",
        "output_format": "the JSON schema, under its older name",
        "metadata": "`user_id` as the end user",
    },
    dropped={
        "betas": _HEADER,
        "billing_policy": "of Anthropic's own prices",
        "cache_control": _CHEAPER,
        "compaction": "keeps long conversations within Anthropic's limits",
        "context_management": "keeps long conversations within Anthropic's limits",
        "diagnostics": "of Anthropic's own cache",
        "fallback_credit_token": "of Anthropic's own prices",
        "service_tier": "of Anthropic's own prices",
        "speed": "only makes an answer faster",
        "user_profile_id": _HEADER,
        "workspace_id": _HEADER,
    },
    refused={
        "container": Refused(_ANTHROPIC),
        "fallbacks": Refused("which other models may answer is for the configuration to say", idle=([],)),
        "inference_geo": Refused("where it runs can't be promised"),
        "mcp_servers": Refused(_ANTHROPIC, idle=([],)),
        "thread": Refused(_ANTHROPIC),
    },
)

DOCUMENT = Fields(
    carried={"source": "a file or a text", "title": "the file's name", "context": "a text before it"},
    refused={"citations": Refused("citations are Anthropic's own", idle=({}, {"enabled": False}))},
)

LACKS = Lacks(
    dropped={
        "seed": "Anthropic has no such setting, and nowhere is it more than a wish",
        "presence_penalty": "Anthropic has no such setting",
        "frequency_penalty": "Anthropic has no such setting",
    }
)
