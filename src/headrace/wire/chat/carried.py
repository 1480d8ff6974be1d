"""What becomes of an OpenAI chat request in other dialects, and what of theirs has no place in one."""

from headrace.wire.carried import Fields, Lacks, Refused

_OLD_CALLS = "calls of functions come back in the newer form only; use 'tools'"
_ONLY_TEXT = "answers with sound come from OpenAI's chat alone"
_LOGPROBS = "the probabilities of tokens are not told"

FIELDS = Fields(
    carried={
        "messages": "turns and system prompts",
        "model": "the model's name",
        "stream": "as it is",
        "stream_options": "`include_usage`, which Headrace itself keeps",
        "max_completion_tokens": "the limit of the answer",
        "max_tokens": "the limit, where `max_completion_tokens` does not say it",
        "temperature": "as it is",
        "top_p": "as it is",
        "frequency_penalty": "as it is",
        "presence_penalty": "as it is",
        "seed": "as it is",
        "stop": "stop sequences",
        "tools": "functions; custom tools are refused",
        "tool_choice": "all forms; of `allowed_tools` only those are offered",
        "parallel_tool_calls": "as it is",
        "response_format": "a JSON schema, or the wish for JSON",
        "reasoning_effort": "effort, or a budget of tokens",
        "user": "the end user",
        "safety_identifier": "the end user, where `user` does not say it",
    },
    dropped={
        "metadata": "a note for OpenAI's own store",
        "prediction": "only makes an answer faster",
        "prompt_cache_key": "only makes an answer cheaper",
        "prompt_cache_options": "only makes an answer cheaper",
        "prompt_cache_retention": "only makes an answer cheaper",
        "service_tier": "of OpenAI's own prices",
        "store": "of OpenAI's own store",
        "verbosity": "a hint that others do not take",
    },
    refused={
        "audio": Refused(_ONLY_TEXT),
        "function_call": Refused(_OLD_CALLS, idle=("none", "auto")),
        "functions": Refused(_OLD_CALLS, idle=([],)),
        "logit_bias": Refused("tokens differ from model to model", idle=({},)),
        "logprobs": Refused(_LOGPROBS, idle=(False,)),
        "modalities": Refused(_ONLY_TEXT, idle=([], ["text"])),
        "moderation": Refused("it is OpenAI's own"),
        "n": Refused("it gives one answer to a request", idle=(1,)),
        "top_logprobs": Refused(_LOGPROBS, idle=(0,)),
        "web_search_options": Refused("the search is OpenAI's own"),
    },
)

MESSAGE = Fields(
    carried={
        "role": "the side that speaks; `developer` and `system` are one",
        "content": "text, images, sound and files",
        "refusal": "the model's refusal",
        "tool_calls": "tool calls; those of custom tools are refused",
        "tool_call_id": "the call that a result is of",
    },
    dropped={
        "name": "others know no names of speakers",
        "reasoning_content": "without a seal nobody takes it",
    },
    refused={
        "audio": Refused("it refers to sound that is kept at OpenAI"),
        "function_call": Refused("calls are read in the newer form only; use 'tool_calls'"),
    },
)

LACKS = Lacks(dropped={"top_k": "OpenAI has no such setting, and who sets it will do with the default"})
