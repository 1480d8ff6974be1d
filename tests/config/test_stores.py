"""Where streams are kept: what is accepted, and what of it is shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.config.stores import Store


@pytest.mark.parametrize(
    ("data", "place", "redis"),
    [
        ("memory:", "memory:", False),
        ("sqlite:x", "sqlite:x", False),
        ("x", "x", False),
        ("redis://h", "redis://h", True),
        ("redis://:pass@h:6380/2", "redis://h:6380/2", True),
        ("rediss://user:p%40ss@h/0?ssl_ca_certs=/ca.pem", "rediss://h/0", True),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock", True),
    ],
)
def test_what_is_accepted(data, place, redis):
    """A folder, memory, or a Redis; its password is shown nowhere."""
    store = Store(data=data)
    assert (store.place, store.redis) == (place, redis)
    assert "pass" not in f"{store!r}{store.place}"


@pytest.mark.parametrize(
    "data",
    ["redis:x", "redis://h:port", "redis://h:0", "redis://h/name", "redis://h h", "unix:", "mysql://h"],
)
def test_what_is_refused(data):
    """With what is expected, and without the value."""
    with pytest.raises(ValidationError, match="expected a folder") as refused:
        Store(data=data)
    assert data not in str(refused.value)


def test_the_folder_is_this_machines_own():
    """With Redis it is one for what is not shared."""
    assert Store(data="memory:").folder is None
    assert Store(data="sqlite:x").folder == Path("x")
    assert Store(data="redis://h").folder == Path("./headrace-data")
    assert Store(data="redis://h", local="y").folder == Path("y")


@pytest.mark.parametrize(
    "given", [{"prefix": "a b"}, {"prefix": ""}, {"prefix": "{x}"}, {"lease": 0.5}, {"lease": "1h"}]
)
def test_what_would_break_keys_or_leases_is_refused(given):
    """A brace would change where a Redis puts a key."""
    with pytest.raises(ValidationError):
        Store(**given)
