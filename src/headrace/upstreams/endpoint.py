"""One server of a provider: where it is, what every request to it carries, and what of a client's may pass."""

import re
from collections.abc import AsyncIterable, Callable, Mapping
from urllib.parse import quote, urlsplit

from headrace.core.asked import TRACE
from headrace.core.clock import Clock
from headrace.errors import ConfigError, NotFound
from headrace.upstreams.http import Exchange, Http
from headrace.upstreams.refusal import refusal
from headrace.wire.openai_errors import scrub

#: A client's headers that go on to any upstream. Never a credential, nor an idempotency key: clients of ours that do
#: not know of each other share the account there.
CLIENT_HEADERS = frozenset({"accept", "content-type", "range", "traceparent", "tracestate", "x-client-request-id"})

_PATH = re.compile(r"(?:/[A-Za-z0-9_:~-][A-Za-z0-9._:~-]*)+")
_QUERY = re.compile(r"[\x21-\x22\x24-\x7e]*")
_FIELD = re.compile(r"[\x20-\x7e]*")

#: What a request carries of ours, given what of the client's passes.
Own = Callable[[Mapping[str, str]], Mapping[str, str]]


class Endpoint:
    """Requests to one server. Our own headers are stronger than the client's.

    ``base`` has no slash at its end; ``passed`` are the lower-case names of a client's headers that go on.
    """

    def __init__(self, base: str, own: Own, passed: frozenset[str], http: Http | None, clock: Clock) -> None:
        self.base = base
        self._own = own
        self._passed = passed
        self._http = http or Http()
        self._clock = clock

    async def ask(
        self,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
        stream: bool = False,
    ) -> Exchange:
        """A response with status 200: to a GET, or with a ``body`` to a POST. Raises UpstreamError."""
        passed = self._pass_on(headers or {})
        sent = {
            **passed,
            **TRACE.get(),
            "accept": "text/event-stream" if stream else "application/json",
            **({"content-type": "application/json"} if body is not None else {}),
            **self._own(passed),
        }
        if query and _QUERY.fullmatch(query):
            url = f"{url}?{query}"
        exchange = await self._http.request("GET" if body is None else "POST", url, sent, body)
        if exchange.status != 200:
            raise await refusal(exchange, scrub, self._clock.time())
        return exchange

    async def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None = None,
        *,
        base: str = "",
    ) -> Exchange:
        """Pass on any other call, such as ``/embeddings``; the answer is read by the caller, who aborts or releases it.

        ``path`` is below ``base``, ``query`` as the client wrote it, without ``?``. Only successes come back.
        Raises NotFound for a path that leads elsewhere, and UpstreamError.
        """
        if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
            raise NotFound
        url = (base or self.base) + path + (f"?{query}" if query else "")
        passed = self._pass_on(headers)
        sent = {**passed, **self._own(passed)}
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), "")
        if body is not None and not isinstance(body, bytes) and length.isdecimal():
            sent["content-length"] = length
        exchange = await self._http.request(method, url, sent, body)
        if not 200 <= exchange.status < 300:
            raise await refusal(exchange, scrub, self._clock.time())
        return exchange

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _pass_on(self, headers: Mapping[str, str]) -> dict[str, str]:
        lower = {name.lower(): value for name, value in headers.items()}
        return {name: value for name, value in lower.items() if name in self._passed and _FIELD.fullmatch(value)}


def checked_base(url: str) -> str:
    """A base URL without its last slash. Raises ConfigError where it cannot be one."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.username or parts.password or parts.query or parts.fragment or not _FIELD.fullmatch(url):
        raise ConfigError("An upstream's URL is http:// or https://, a host and a path, without credentials.")
    return quote(url.strip().rstrip("/"), safe=":/[]%@!$&'()*+,;=~")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names. Raises ConfigError where a value cannot be sent, without telling it."""
    for name, value in headers.items():
        if not _FIELD.fullmatch(name + value):
            raise ConfigError(f"The upstream's header {name!r} has characters that cannot be sent.")
    return {name.lower(): value.strip() for name, value in headers.items()}
