"""What is public: all of it named, documented and typed."""

import inspect

import pytest

import headrace.fastapi as library
from headrace.fastapi import Streams

REPLIES = ["sse", "ndjson", "csv", "text", "bytes"]


def test_all_is_there_and_nothing_else():
    """What the module shows without an underscore stands in ``__all__``, but for its own modules."""
    shown = {name for name, value in vars(library).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert shown == set(library.__all__)
    assert list(library.__all__) == sorted(library.__all__, key=lambda name: (not name[0].isupper(), name))


@pytest.mark.parametrize("name", sorted(library.__all__))
def test_every_name_is_documented(name):
    """Types that are only names for unions have no docstring of their own."""
    if name != "Stream":
        assert (inspect.getdoc(getattr(library, name)) or "").partition("\n")[0].endswith((".", ":", "::"))


@pytest.mark.parametrize("name", REPLIES)
def test_every_reply_takes_what_all_take(name):
    """The same words for the same things."""
    words = set(inspect.signature(getattr(Streams, name)).parameters)
    assert {"status_code", "headers", "media_type", "on_leave", "fingerprint"} <= words
    assert ({"retry", "keepalive", "close"} <= words) == (name == "sse")
    assert ("filename" in words) == (name != "sse")


@pytest.mark.parametrize("name", REPLIES)
def test_replies_without_a_store_are_the_same(name):
    """Module-level functions have the arguments of the methods."""
    function = getattr(library, "bytes_" if name == "bytes" else name)
    assert function.__func__ is getattr(Streams, name)
