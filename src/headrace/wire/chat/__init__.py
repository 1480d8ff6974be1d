"""OpenAI chat: the dialect of `/v1/chat/completions`."""
