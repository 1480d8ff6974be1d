"""Keys as settings: what they may do, and until when."""

from datetime import UTC, datetime

import pytest

from headrace.config import Key, load
from headrace.config.key_text import PREFIX, digest_of, id_of, is_new_key, new_key
from headrace.errors import ConfigError
from headrace.model.grants import Grants, Quota


def keys(folder, toml):
    """The keys of a configuration file."""
    (folder / "headrace.toml").write_text(toml)
    return load(folder=folder, environ={}).keys


def test_a_key_that_says_nothing_may_do_everything_but_administer():
    """For as long as it stands there."""
    key = Key.model_validate("hr_alice_alice_alice")
    assert (key.grants, key.expires) == (Grants(), None)


def test_a_table_says_what_a_key_may_do(tmp_path):
    """All of it, each in TOML's own kind of value or as text with commas."""
    found = keys(
        tmp_path,
        """
        [keys.a]
        secret = "hr_alice_alice_alice"
        admin = true
        expires = 2027-01-31
        models = "gpt-4o, claude-*"
        routes = ["chat", "streams"]
        limits = { requests_per_minute = 60, stored_bytes = "1GiB", budget = 2.5 }
        """,
    )["a"]
    quota = Quota(requests_per_minute=60, stored_bytes=1 << 30, budget=2.5)
    models = ("gpt-4o", "claude-*")
    assert found.grants == Grants(admin=True, models=models, routes=("chat", "streams"), quota=quota)
    assert found.expires == datetime(2027, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('routes = ["chat", "chats"]', "routes"),
        ("routes = []", "routes"),
        ("models = []", "models"),
        ('models = [""]', "models"),
        ("expires = 2027-01-31T12:00:00", "expires"),
        ('expires = "soon"', "expires"),
        ("limits = { requests = 1 }", "limits"),
        ("limits = { requests_per_minute = 0 }", "limits"),
        ("limits = { budget = nan }", "limits"),
        ('limits = "none"', "limits"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(tmp_path, line, place):
    """And without a word of the key."""
    with pytest.raises(ConfigError, match=rf"\[keys\.a.*{place}") as caught:
        keys(tmp_path, f'[keys.a]\nsecret = "hr_CANARY_CANARY_CANARY"\n{line}\n')
    assert "CANARY" not in caught.value.message


# -- the text of a key -----------------------------------------------------------------------------------------------


def test_new_keys_are_known_by_their_checksum():
    """Any change of one character is noticed."""
    key = new_key()
    assert key.startswith(PREFIX)
    assert len(key) == 49
    assert key.isascii()
    assert is_new_key(key.encode())
    for place in range(len(PREFIX), len(key)):
        other = key[:place] + ("a" if key[place] != "a" else "b") + key[place + 1 :]
        assert not is_new_key(other.encode())


@pytest.mark.parametrize(
    "secret", [b"", b"hr_", b"hr_" + b"a" * 46, b"x" * 1024, b"' OR 1=1 --", b"\xff" * 49, "hr_é".encode()]
)
def test_what_is_no_new_key_is_known_without_a_look_up(secret):
    """Whatever bytes there are."""
    assert not is_new_key(secret)


def test_a_key_that_was_cut_or_has_a_line_end_is_none():
    """A regular expression's ``$`` would let it pass."""
    key = new_key().encode()
    assert not any(is_new_key(other) for other in (key[:-1], key + b"\n", b" " + key, key.lower()))


def test_no_two_keys_are_alike():
    """Nor their ids."""
    made = {new_key() for _ in range(1000)}
    assert len(made) == len({id_of(digest_of(key.encode())) for key in made}) == 1000
