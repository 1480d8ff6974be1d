"""Upstreams that do what a script says."""

from headrace.testing.fake_upstream import End, FakeAnswer, FakeUpstream, KeepAlive, chunk, finish

__all__ = ["End", "FakeAnswer", "FakeUpstream", "KeepAlive", "chunk", "finish"]
