"""Where the records are: a URL of PostgreSQL's, whose password is never shown."""

import pytest

from headrace.config import load
from headrace.errors import ConfigError

PASSWORD = "CANARY-database-password"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://headrace:{PASSWORD}@db.example/headrace",
        f"postgres://headrace:{PASSWORD}@10.0.0.1:5433/headrace?sslmode=verify-full&sslrootcert=/ca.pem",
        "postgresql:///headrace?host=/run/postgresql",
        "postgresql://[::1]/headrace",
    ],
)
def test_urls_of_postgresql(url, tmp_path):
    """TLS, sockets and all else are said by the URL's own parameters."""
    found = load(environ={"HEADRACE_RECORDS__URL": url}, folder=tmp_path)
    assert found.records.url.get_secret_value() == url
    assert PASSWORD not in f"{found!r} {found} {found.model_dump_json()}"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://headrace:{PASSWORD}@db.example/headrace",
        f"postgresql+asyncpg://headrace:{PASSWORD}@db.example/headrace",
        f"postgresql://headrace:{PASSWORD}@db.example",
        f"postgresql://headrace:{PASSWORD}@db.example/",
        f"postgresql://headrace:{PASSWORD}@db.example:port/headrace",
        f"postgresql://headrace:{PASSWORD}@/headrace",
        f"postgresql://headrace:{PASSWORD}@[::1/headrace",
        f"postgresql://headrace:{PASSWORD}@db.example/head race",
        f"postgresql://headrace:{PASSWORD}#@db.example/headrace",
        PASSWORD,
    ],
)
def test_what_is_no_such_url_is_refused_without_being_shown(url, tmp_path):
    with pytest.raises(ConfigError, match="postgresql://USER:PASSWORD@HOST/DATABASE") as caught:
        load(environ={"HEADRACE_RECORDS__URL": url}, folder=tmp_path)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("value", ["5", '["postgresql://CANARY"]', '{ a = "CANARY" }'])
def test_another_type_is_refused_without_being_shown(value, tmp_path):
    (tmp_path / "headrace.toml").write_text(f"[records]\nurl = {value}\n")
    with pytest.raises(ConfigError, match="url") as caught:
        load(environ={}, folder=tmp_path)
    assert "CANARY" not in str(caught.value)
