"""The reference of the HTTP API, for people: one page made of the API's own description, without a script.

What frameworks show there loads scripts from other people's servers, which would run with this origin's rights.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_STYLE = """\
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
details { border-top: 1px solid #8886; padding: .3rem 0 }
summary { cursor: pointer }
summary b { display: inline-block; min-width: 4.5rem }
code, pre { font: .9em/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
pre { overflow-x: auto; background: #8882; padding: .6rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0 }
"""

#: The page's one style may apply; nothing may be run, loaded, framed or sent.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS = {"cache-control": "no-cache", "content-security-policy": POLICY}

#: An operation: its method, its path, and what is said of it.
Operation = tuple[str, str, Mapping[str, Any]]


def route(describe: Callable[[], Mapping[str, Any]]) -> Route:
    """The page at ``/docs``; ``describe`` gives the OpenAPI description, and is called at the first request."""
    page = cache(lambda: written(describe()))

    async def serve(_: Request) -> Response:
        return Response(page(), media_type="text/html", headers=_HEADERS)

    return Route("/docs", serve, include_in_schema=False)


def written(description: Mapping[str, Any]) -> str:
    """The page. All that it shows is text to it, wherever it comes from."""
    info = description["info"]
    groups = groupby(_operations(description), key=lambda operation: operation[2]["tags"][0])
    schemas = description.get("components", {}).get("schemas", {})
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\n"
        f"<title>{escape(info['title'])} HTTP API</title>\n<style>{_STYLE}</style>\n"
        f"<h1>{escape(info['title'])} {escape(info['version'])}: HTTP API</h1>\n{_text(info['description'])}"
        f"<p>The same for programs: <a href='openapi.json'>openapi.json</a>.</p>\n"
        f"{''.join(_group(tag, operations) for tag, operations in groups)}"
        f"<h2>Schemas</h2>\n{''.join(_schema(name, schema) for name, schema in schemas.items())}"
    )


def _operations(description: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _group(tag: str, operations: Iterator[Operation]) -> str:
    return f"<h2>{escape(tag)}</h2>\n{''.join(_operation(*operation) for operation in operations)}"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    title = f"<b>{escape(method)}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
    return (
        f"<details><summary>{title}</summary>\n"
        f"{_text(operation.get('description', ''))}{_parameters(operation.get('parameters', ()))}"
        f"{_body(operation.get('requestBody', {}))}{_replies(operation['responses'])}</details>\n"
    )


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}"
        f"<td>{_line(each.get('description', ''))}<td>{_json(each['schema'], tag='code')}\n"
        for each in parameters
    )
    return f"<table><tr><th>parameter<th>in<th>meaning<th>form\n{rows}</table>\n" if rows else ""


def _body(body: Mapping[str, Any]) -> str:
    forms = (f"<p>Body, <code>{escape(kind)}</code>:</p>{_json(form.get('schema', {}))}"
             for kind, form in body.get("content", {}).items())  # fmt: skip
    return _text(body.get("description", "")) + "".join(forms)


def _replies(replies: Mapping[str, Mapping[str, Any]]) -> str:
    rows = (
        f"<tr><td>{escape(status)}<td>{_line(reply.get('description', ''))}"
        f"<td>{', '.join(f'<code>{escape(kind)}</code>' for kind in reply.get('content', ()))}\n"
        for status, reply in replies.items()
    )
    return f"<table><tr><th>status<th>meaning<th>type\n{''.join(rows)}</table>\n"


def _schema(name: str, schema: object) -> str:
    return f"<details><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>\n"


def _json(value: object, tag: str = "pre") -> str:
    return f"<{tag}>{escape(json.dumps(value, indent=2 if tag == 'pre' else None, ensure_ascii=False))}</{tag}>"


def _text(text: str) -> str:
    return "".join(f"<p>{_line(paragraph)}</p>\n" for paragraph in text.split("\n\n") if paragraph)


def _line(text: str) -> str:
    """A text with the two marks that descriptions use: code and bold."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text)))
