"""Anthropic Messages: the dialect of `/v1/messages`."""
