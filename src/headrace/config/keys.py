"""API keys as settings: one text or one table of ``[keys]`` each."""

from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field, field_validator, model_validator

from headrace.config.fields import STRONG_KEY, Count, Policy, Size, Texts, Value, table, texts
from headrace.config.key_text import digest_of
from headrace.model.grants import Grants, Quota, Route


def _moment(value: object) -> object:
    """A day is its beginning, in UTC."""
    if type(value) is date:
        return datetime.combine(value, time(), UTC)
    return value


class KeyLimits(Value):
    """How much a key may use. Unset is as much as the server bears."""

    requests_per_minute: Count | None = None
    """Requests in a minute."""
    tokens_per_minute: Count | None = None
    """Tokens in a minute, those asked and those answered."""
    concurrent_streams: Count | None = None
    """Answers being written at once."""
    readers_per_stream: Count | None = None
    """Readers of one answer."""
    stored_bytes: Size | None = None
    """Bytes of its answers that are kept."""
    budget: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """US dollars in 30 days, for models with a price."""


class KeyGrants(Value):
    """What a key may do, and until when."""

    expires: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = None
    """Until when it is good: `2027-01-31T12:00:00Z`, or a day, of which it is the beginning in UTC. Unset: for good."""
    admin: bool = False
    """Whether it may see what is going on for all owners."""
    models: Texts | None = None
    """The models that it may ask for, by name; `*` stands for any text: `gpt-4o`, `claude-*`. Unset: all."""
    routes: Annotated[tuple[Route, ...], BeforeValidator(texts)] | None = None
    """What it may be used for: `chat`, `responses`, `messages`, `ui`, `simple`, `streams`, `topics`, `exports`,
    `files`, `proxy`, `passthrough`. Unset: all."""
    limits: KeyLimits = KeyLimits()

    @field_validator("models", "routes")
    @classmethod
    def _some(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and not all(names or [""]):
            raise ValueError("expected at least one name")
        return names

    @property
    def grants(self) -> Grants:
        """What it may do."""
        quota = Quota(**self.limits.model_dump())
        return Grants(admin=self.admin, models=self.models, routes=self.routes, quota=quota)


class Key(KeyGrants):
    """An API key, of which only the SHA-256 digest is kept. In the file: its text, or a table."""

    digest: bytes = Field(repr=False)
    weak: bool = False
    on_leave: Policy | None = None
    """What happens when everybody left an answer of this key, where the request does not say."""

    @model_validator(mode="before")
    @classmethod
    def _from_secret(cls, value: object) -> object:
        table = {"secret": value} if isinstance(value, str) else value
        if not isinstance(table, dict) or "secret" not in table or "digest" in table:
            raise ValueError("expected the key as text, or a table with 'secret'")
        secret = table.get("secret")
        if not isinstance(secret, str) or not secret or not secret.isascii() or any(c <= " " for c in secret):
            raise ValueError("expected a key of printable ASCII characters without spaces")
        rest = {name: field for name, field in table.items() if name != "secret"}
        return {**rest, "digest": digest_of(secret.encode()), "weak": len(secret) < STRONG_KEY}


Keys = Annotated[dict[str, Key], BeforeValidator(table)]
