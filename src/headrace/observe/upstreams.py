"""What goes to upstreams, counted: requests by class of status, and which models have a name of their own."""

from collections.abc import Mapping

from headrace.core.meters import Counter
from headrace.upstreams.http import Exchange, Http
from headrace.upstreams.http_request import Body
from headrace.upstreams.routes import Table


class CountedHttp(Http):
    """A pool of connections whose requests are counted; ``count`` is called before it is used."""

    _requests = Counter("upstream", "status")
    _upstream = ""

    def count(self, requests: Counter, upstream: str) -> None:
        """Count requests as those of an upstream."""
        self._requests, self._upstream = requests, upstream

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Exchange:
        """Send a request and wait for the head of its response. See :meth:`Http.request`."""
        status = "none"
        try:
            exchange = await super().request(method, url, headers, body)
            status = f"{exchange.status // 100}xx"
        finally:
            self._requests.add(self._upstream, status)
        return exchange


class Known:
    """Whether a model's name is one that the configuration or an upstream has told; set once the routes are made."""

    def __init__(self) -> None:
        self.routes: Table | None = None

    def __call__(self, model: str) -> bool:
        """Look it up."""
        return self.routes is not None and model in self.routes.targeted()
