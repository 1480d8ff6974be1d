"""The metrics, for Prometheus. They tell of everybody's streams, so an API key, which is one owner's, opens nothing."""

import hmac
import ipaddress
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from starlette.responses import Response
from starlette.types import Scope

from headrace.errors import Forbidden, NotFound, Unauthorized
from headrace.faces.service import Service, service

router = APIRouter(tags=["Health"])

Asked = Annotated[Service, Depends(service)]

#: What a proxy on this machine says of whom it asks for; then loopback says nothing about who that is.
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request, at: Asked) -> Response:
    """Show the metrics of all workers, for Prometheus. With `[metrics] key`, or without it from this machine only."""
    if at.metrics is None:
        raise NotFound("There is no such route.")
    _check(request.scope, at.metrics_key)
    body, media_type = await at.metrics(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": media_type, "cache-control": "no-store"})


def _check(scope: Scope, key: str) -> None:
    """Raise Unauthorized, or Forbidden where there is no key to show."""
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    if key:
        shown = [value for name, value in headers if name == b"authorization"]
        expected = f"Bearer {key}".encode()
        if len(shown) != 1 or not hmac.compare_digest(shown[0], expected):
            raise Unauthorized("The key of [metrics] is needed: Authorization: Bearer KEY.")
    elif not _is_local(scope) or any(name in _FORWARDED for name, _ in headers):
        raise Forbidden("Metrics are for this machine; [metrics] key opens them to others.")


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client else None
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_loopback
