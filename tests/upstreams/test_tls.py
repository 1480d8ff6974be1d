"""TLS to an upstream is verified, and there is no way around it."""

import asyncio
import datetime as dt
import socket
import ssl

import pytest
import trustme
from tests.upstreams.kit import AT_ONCE

from headrace.errors import UpstreamUnreachable
from headrace.testing.scripted_upstream import Endless, ScriptedUpstream, head
from headrace.upstreams.http import Http

CA = trustme.CA()
YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def serving(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


async def ask(server: ScriptedUpstream, context: ssl.SSLContext | None) -> bytes:
    http = Http(ssl_context=context)
    try:
        exchange = await http.request("POST", f"{server.url}/v1", {"authorization": "canary"}, b"{}")
        return await exchange.read_all(10)
    finally:
        await http.close()


async def test_a_private_ca_can_be_named():
    async with ScriptedUpstream([head(body="2"), b"ok"], ssl_context=serving(CA.issue_cert("127.0.0.1"))) as server:
        assert await ask(server, trusting()) == b"ok"


@pytest.mark.parametrize(
    ("cert", "context"),
    [
        (CA.issue_cert("127.0.0.1"), None),
        (CA.issue_cert("other.example"), trusting()),
        (CA.issue_cert("127.0.0.1", not_after=YESTERDAY), trusting()),
        (trustme.CA().issue_cert("127.0.0.1"), trusting()),
    ],
    ids=["unknown-ca", "wrong-host", "expired", "other-ca"],
)
async def test_a_bad_certificate_fails_closed(cert: trustme.LeafCert, context: ssl.SSLContext | None):
    """The request is not sent, so another upstream may be asked."""
    async with ScriptedUpstream([head(body="0")], ssl_context=serving(cert)) as server:
        with pytest.raises(UpstreamUnreachable) as caught:
            await ask(server, context)
        assert not caught.value.accepted
        assert server.requests == []


async def test_a_handshake_that_stalls_is_given_up_and_nothing_was_sent():
    """The deadline of connecting holds for TLS too, and another upstream may be asked then."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        http = Http(connect=0.05)
        with pytest.raises(UpstreamUnreachable) as caught:
            await http.request("GET", f"https://127.0.0.1:{mute.getsockname()[1]}/v1", {})
        await http.close()
    assert not caught.value.accepted


async def test_abort_closes_at_once_under_tls():
    cert = CA.issue_cert("127.0.0.1")
    async with ScriptedUpstream([head(), Endless(bytes(65536))], ssl_context=serving(cert)) as server:
        http = Http(ssl_context=trusting())
        exchange = await http.request("GET", server.url, {})
        await exchange.read_some()
        exchange.abort()
        await asyncio.wait_for(server.connections[0].closed.wait(), AT_ONCE)
        await http.close()
