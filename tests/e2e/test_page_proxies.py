"""The chat page through what stands in front of servers: an nginx that buffers by default, and HTTP/2."""

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from playwright.sync_api import Browser
from tests.e2e.browser import browser  # noqa: F401 - a fixture
from tests.e2e.page_house import WHOLE, Chat, PageHouse, house  # noqa: F401 - fixtures
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.nginx import Nginx

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(60)]

#: As people write it who have never streamed: buffering on, HTTP/1.0 to the server.
PLAIN_SITE = """
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
}}
"""


class TlsServer(HeadraceServer):
    """One that is asked over TLS whether it is ready, by somebody who trusts anybody."""

    def request(self, method, path, body=None, headers=None, timeout=10):
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=trusting)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()


@pytest.fixture
def buffering(house: PageHouse, tmp_path: Path) -> Iterator[str]:  # noqa: F811
    """The origin of such an nginx."""
    with Nginx(tmp_path, [house.server.port], plain=PLAIN_SITE) as nginx:
        yield f"http://127.0.0.1:{nginx.port}"


@pytest.mark.nginx
def test_answer_grows_behind_a_proxy_that_buffers(house: PageHouse, browser: Browser, buffering: str) -> None:  # noqa: F811
    """The server tells nginx not to; a reload in the middle finds the answer as ever."""
    context = browser.new_context()
    chat = house.open(context, "waits", at=buffering)
    chat.send("buffered")
    chat.grows()
    chat.page.reload()
    chat.grows()
    house.upstream.release("buffered")
    chat.shows(WHOLE)
    context.close()


def test_answer_grows_over_http2(house: PageHouse, browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    """With TLS a browser speaks HTTP/2 to the server itself."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    toml = f'[server]\ntls_certificate = "{tmp_path}/cert.pem"\ntls_key = "{tmp_path}/key.pem"\n'
    with TlsServer(tmp_path, toml + upstream_toml(f"{house.upstream.url}/v1", models='["waits"]')) as server:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"https://localhost:{server.port}/")
        assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        chat = Chat(page)
        chat.choose("waits")
        chat.send("multiplexed")
        chat.grows()
        house.upstream.release("multiplexed")
        chat.shows(WHOLE)
        context.close()
