"""The built pages, served from memory: with their security policy, compressed, and cached for as long as is right.

The files below ``static/`` are made from ``page/`` by ``scripts/page``, each with its gzip form beside it. What lies
in ``assets/`` has its digest in its name, so whoever has it need never ask again; all else is asked for each time, and
answered by 304 where it has not changed.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from headrace.errors import NotFound
from headrace.wire.preconditions import Validator, Verdict, judged

STATIC = Path(__file__).parent / "static"

#: What a page may do: run and load its own files, and talk to its own server. Two names may make HTML of a text: the
#: page's own templates and the sanitizer.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types headrace dompurify"
)

#: Paths of the pages, which are asked for without the end of their files' names.
PAGES: Mapping[str, str] = {"/": "index.html", "/dashboard": "dashboard.html"}

#: Below this, names change with what they stand for.
HASHED = "assets/"

#: The types of what a build may hold. Those of files that others bring are in :mod:`headrace.wire.media_types`, where
#: nothing that a browser runs has one.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

_ZIPPED = ".gz"


class Form(NamedTuple):
    """One form of a file: its bytes as they are sent, and their tag."""

    body: bytes
    tag: str


class Asset(NamedTuple):
    """A built file. ``zipped`` is its gzip form, where the build has made one."""

    plain: Form
    zipped: Form | None
    headers: Mapping[str, str]


def routes(static: Path = STATIC) -> Iterator[Route]:
    """The routes of the pages and of the files beside them. Where nothing has been built, the pages say so."""
    found = _assets(static)
    for path, name in PAGES.items():
        yield _route(path, found, name) if name in found else _unbuilt(path)
    for name in found.keys() - PAGES.values():
        if not name.startswith(HASHED):
            yield _route(f"/{name}", found, name)
    yield _route(f"/{HASHED}{{name:path}}", found)


@cache
def _assets(static: Path) -> Mapping[str, Asset]:
    """The built files by their names below the folder. Read once; a new build is served after a restart."""
    files = (path for path in sorted(static.rglob("*")) if path.suffix in TYPES and path.is_file())
    return {(name := path.relative_to(static).as_posix()): _asset(name, path) for path in files}


def _asset(name: str, path: Path) -> Asset:
    zipped = path.with_name(path.name + _ZIPPED)
    age = "public, max-age=31536000, immutable" if name.startswith(HASHED) else "no-cache"
    return Asset(
        plain=_form(path.read_bytes()),
        zipped=_form(zipped.read_bytes()) if zipped.exists() else None,
        headers={
            "content-type": TYPES[path.suffix],
            "cache-control": age,
            "content-security-policy": POLICY,
            "vary": "Accept-Encoding",
        },
    )


def _form(body: bytes) -> Form:
    return Form(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')


def _route(path: str, found: Mapping[str, Asset], name: str = "") -> Route:
    """Serve the file of that name, else the hashed one that the path names."""

    async def serve(request: Request) -> Response:
        asset = found.get(name or HASHED + request.path_params["name"])
        if asset is None:
            raise NotFound("There is no such file.")
        return _reply(request, asset)

    return Route(path, serve, include_in_schema=False)


def _unbuilt(path: str) -> Route:
    async def serve(_: Request) -> Response:
        return PlainTextResponse("The page has not been built: run scripts/page.\n", 404)

    return Route(path, serve, include_in_schema=False)


def _reply(request: Request, asset: Asset) -> Response:
    zipped = asset.zipped if _takes_gzip(request.headers.get("accept-encoding", "")) else None
    body, tag = zipped or asset.plain
    headers = {**asset.headers, "etag": tag, **({"content-encoding": "gzip"} if zipped else {})}
    conditions = {name: request.headers[name] for name in ("if-none-match",) if name in request.headers}
    if judged(conditions, Validator(tag, modified=0, weak=False)) is Verdict.NOT_MODIFIED:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """Whether a client has said that it reads gzip (RFC 9110, section 12.5.3)."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False
