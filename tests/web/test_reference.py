"""The reference of the HTTP API: complete, without a script, and text whatever a description says."""

import re
from html import escape
from html.parser import HTMLParser

from headrace.app import create_app
from headrace.config import Settings, Store
from headrace.testing.asgi import AppDriver
from headrace.web import reference

MEMORY = Settings(store=Store(data="memory:"))


class Reader(HTMLParser):
    """What a browser makes of a page, as far as matters here."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.links, self.texts = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src", "action")]

    def handle_data(self, data):
        self.texts.append(data)


async def test_every_operation_is_there_and_nothing_is_fetched_from_elsewhere():
    """No script at all; the one style has its hash in the policy."""
    app = create_app(MEMORY)
    async with AppDriver(app) as driver:
        reply = await driver.ask("GET", "/docs")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = reply.body.decode()
    read = Reader(page)
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            assert f"<b>{method.upper()}</b> <code>{path}</code> {escape(operation['summary'])}" in page
    assert read.links == ["openapi.json"]
    assert not read.tags & {"script", "img", "link", "iframe", "form", "object"}
    assert "//" not in re.sub(r"<(pre|code)>.*?</\1>", "", page, flags=re.DOTALL)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


HOSTILE = "</code><script>alert(1)</script>`&`**<img src=x>**\"'"


def test_what_a_description_says_is_text():
    """Names of paths, fields and schemas too: an app that mounts this one may say anything."""
    parameter = {"name": HOSTILE, "in": HOSTILE, "schema": {HOSTILE: HOSTILE}, "description": HOSTILE}
    operation = {
        "tags": [HOSTILE],
        "summary": HOSTILE,
        "description": HOSTILE,
        "parameters": [parameter],
        "requestBody": {"description": HOSTILE, "content": {HOSTILE: {"schema": {HOSTILE: HOSTILE}}}},
        "responses": {HOSTILE: {"description": HOSTILE, "content": {HOSTILE: {}}}},
    }
    info = {"title": HOSTILE, "version": HOSTILE, "description": HOSTILE}
    schemas = {"schemas": {HOSTILE: {HOSTILE: HOSTILE}}}
    read = Reader(reference.written({"info": info, "paths": {HOSTILE: {HOSTILE: operation}}, "components": schemas}))
    assert not read.tags & {"script", "img"}
    assert "".join(read.texts).count("<script>alert(1)</script>") > 20


async def test_no_other_page_of_the_frameworks_is_there():
    """They load scripts from the internet."""
    async with AppDriver(create_app(MEMORY)) as driver:
        for path in ("/redoc", "/docs/oauth2-redirect"):
            assert (await driver.ask("GET", path)).status == 404
