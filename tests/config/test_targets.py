"""The proxy's targets: what they may be, and that nobody reads their credentials."""

import pytest
from pydantic import ValidationError

from headrace.config import ProxyTarget, Settings, load
from headrace.errors import ConfigError

URL = "https://api.example.com/v1"


def test_a_url_is_enough():
    target = ProxyTarget(base_url=URL + "/")
    assert target.base_url == URL
    assert target.methods == ("GET", "HEAD", "POST")
    assert (target.record, target.private) == (False, False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://user:secret@api.example.com",
        "https://api.example.com/v1?x=1",
        "https://api.example.com/v1#x",
        "https://api.example.com/a b",
        "https://api.example.com\\\\@evil.example",
        "https://api.example.com/%2e%2e",
        "https://\u24d0pi.example.com",
        "http://127.0.0.1:8000",
        "http://10.0.0.1",
        "http://[::1]",
        "http://169.254.169.254",
    ],
)
def test_what_is_no_public_base_is_refused(url):
    with pytest.raises(ValidationError):
        ProxyTarget(base_url=url)


def test_an_inner_address_may_be_meant():
    assert ProxyTarget(base_url="http://127.0.0.1:8000", private=True).private


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "evil.example"),
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
        ("x y", "1"),
        ("x\r\ny", "1"),
        ("", "1"),
        ("x-key", "a\r\nb: c"),
        ("x-key", ""),
        ("x-key", "caf\u00e9"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(name, value):
    with pytest.raises(ValidationError):
        ProxyTarget(base_url=URL, headers={name: value})


@pytest.mark.parametrize("methods", [(), ("TRACE",), ("CONNECT",), ("get",), ("OPTIONS",)])
def test_other_methods_are_refused(methods):
    with pytest.raises(ValidationError):
        ProxyTarget(base_url=URL, methods=methods)


def test_credentials_are_not_shown(tmp_path):
    """Neither of good settings nor of bad ones; a reference to the environment is followed."""
    (tmp_path / "headrace.toml").write_text(f'[proxy.t]\nbase_url = "{URL}"\nheaders = {{ x-key = "${{KEY}}" }}\n')
    settings = load(environ={"KEY": "target-secret-0123456789"}, folder=tmp_path)
    assert settings.proxy["t"].headers["x-key"].get_secret_value() == "target-secret-0123456789"
    assert "target-secret" not in repr(settings)
    (tmp_path / "headrace.toml").write_text(f'[proxy.t]\nbase_url = "{URL}"\nheaders = {{ host = "target-secret" }}\n')
    with pytest.raises(ConfigError) as caught:
        load(environ={}, folder=tmp_path)
    assert "target-secret" not in str(caught.value)
    assert "proxy" in str(caught.value)


def test_this_server_itself_is_no_target(tmp_path):
    (tmp_path / "headrace.toml").write_text('[proxy.t]\nbase_url = "http://127.0.0.1:8003"\nprivate = true\n')
    with pytest.raises(ConfigError, match="is this server itself"):
        load(environ={}, folder=tmp_path)
    assert Settings().proxy == {}
