"""Headrace: every LLM response is a durable stream."""

__version__ = "0.1.0"
