"""Where the records are, as settings: the table ``[records]``."""

from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from headrace.config.fields import Value

_EXPECTED = "expected postgresql://USER:PASSWORD@HOST/DATABASE"


class Records(Value):
    """Where keys, conversations and what is known of ended answers are kept."""

    url: SecretStr = SecretStr("")
    """A PostgreSQL database, `postgresql://USER:PASSWORD@HOST/DATABASE`, which needs `headrace[postgresql]`; better as
    a reference to the environment, `${NAME}`. Empty: `records.db` in the data folder, in memory for `memory:`."""

    @field_validator("url")
    @classmethod
    def _url(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not _is_database(text):
            raise ValueError(_EXPECTED)
        return url


def _is_database(text: str) -> bool:
    """Whether a URL names a database of PostgreSQL's; its host may stand in the query, as that of a socket does."""
    try:
        parts = urlsplit(text)
        port = parts.port or 1
    except ValueError:
        return False
    named = parts.hostname or "host=" in parts.query
    plain = all(" " < char != "\x7f" for char in text) and not parts.fragment
    return parts.scheme in ("postgresql", "postgres") and bool(named) and len(parts.path) > 1 and port > 0 and plain
