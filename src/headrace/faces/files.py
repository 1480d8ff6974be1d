"""Files of one configured folder: whole or in ranges, in constant memory, and nothing outside of it.

They are the operator's, for everybody who may ask at all. A browser may show what it does not run; the rest it saves.
"""

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from headrace.errors import NotFound, PreconditionFailed, RangeNotSatisfiable, StoreUnavailable
from headrace.faces import failures
from headrace.faces.access.auth import Caller, caller
from headrace.faces.folder import Folder, OpenFile
from headrace.faces.paged import PagedReply
from headrace.faces.passthrough import OwnRoute
from headrace.faces.service import Service, service
from headrace.wire import ranges
from headrace.wire.disposition import attachment
from headrace.wire.file_path import names_in
from headrace.wire.media_types import Kind, kind_of
from headrace.wire.preconditions import Verdict, judged, range_counts
from headrace.wire.ranges import Body, Range

router = APIRouter(prefix="/v1/files", tags=["Files"], route_class=OwnRoute)

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Where = Annotated[str, InPath(description="The file's path in the folder that is served.")]
Download = Annotated[bool, Query(description="Save it, whatever it is.")]

#: Bytes that are read and sent at once, and all that a reader holds. Larger ones are no faster over a real network, and
#: a slow reader has the send deadline for each.
PIECE = 64 << 10


async def folder(at: Asked) -> Folder:
    """The folder that is served. Raises NotFound where none is."""
    if at.folder is None:
        raise NotFound("No folder is served here.")
    return at.folder


Served = Annotated[Folder, Depends(folder)]


@router.get("/{path:path}", summary="Read a file")
async def read(
    request: Request, path: Where, at: Asked, _: Asker, files: Served, *, download: Download = False
) -> Response:
    """Read a file of the folder, whole or in ranges.

    Ranges, `If-Range` and the conditions of RFC 9110 are understood. What a browser would run is saved by it.
    """
    file = await files.open(names_in(path))
    with ExitStack() as held:
        held.enter_context(file)
        reply = _reply(request, at, file, download=download)
        if isinstance(reply, PagedReply):
            held.pop_all()  # closed with the reply, however that ends
        return reply


@router.head("/{path:path}", summary="Look at a file")
async def look(request: Request, path: Where, _: Asker, files: Served, *, download: Download = False) -> Response:
    """Tell how large a file is, what it is, and when it changed."""
    file = await files.open(names_in(path))
    with file:
        kind = kind_of(file.name)
        return _unchanged(request, file) or Response(
            media_type=kind.media_type, headers={**_headers(file, kind, download), "content-length": str(file.size)}
        )


def _reply(request: Request, at: Service, file: OpenFile, *, download: bool) -> Response:
    if unchanged := _unchanged(request, file):
        return unchanged
    kind = kind_of(file.name)
    try:
        asked = _ranges(request, file)
    except RangeNotSatisfiable as error:
        refused = failures.of_error(error, request.scope)
        refused.headers["content-range"] = f"bytes */{error.size}"
        return refused
    framing, body = _framed(asked, file, kind)
    reply = PagedReply(
        _pieces(file, body),
        media_type=kind.media_type,
        headers={**_headers(file, kind, download), "content-length": str(ranges.length(body)), **framing},
        share=file,
        sweep=at.registry.sweep,
        send_timeout=at.manners.send_timeout,
    )
    reply.status_code = 206 if asked else 200
    return reply


def _unchanged(request: Request, file: OpenFile) -> Response | None:
    """What the request's conditions lead to; None where it is answered. Raises PreconditionFailed."""
    verdict = judged(_joined(request), file.validator)
    if verdict is Verdict.FAILED:
        raise PreconditionFailed("The file is not what the request takes it to be.")
    return Response(status_code=304, headers=_validators(file)) if verdict is Verdict.NOT_MODIFIED else None


def _joined(request: Request) -> Mapping[str, str]:
    return {name: ", ".join(request.headers.getlist(name)) for name in request.headers}


def _ranges(request: Request, file: OpenFile) -> Sequence[Range]:
    """The ranges that are asked for; none where the whole is."""
    headers = _joined(request)
    if "range" not in headers or not range_counts(headers.get("if-range"), file.validator):
        return ()
    return ranges.asked(headers["range"], file.size)


def _framed(asked: Sequence[Range], file: OpenFile, kind: Kind) -> tuple[Mapping[str, str], Body]:
    """The body of a reply, and the headers that say how it is framed."""
    if not asked:
        return {}, [Range(0, file.size)]
    if len(asked) == 1:
        return {"content-range": asked[0].of(file.size)}, asked
    boundary = secrets.token_hex(16)
    body = ranges.multipart(asked, file.size, kind.media_type, boundary)
    return {"content-type": f"multipart/byteranges; boundary={boundary}"}, body


def _validators(file: OpenFile) -> dict[str, str]:
    return {
        "etag": file.validator.etag,
        "last-modified": file.validator.last_modified,
        "cache-control": "private, no-cache, no-transform",
    }


def _headers(file: OpenFile, kind: Kind, download: bool) -> dict[str, str]:
    headers = {**_validators(file), "accept-ranges": "bytes", "x-accel-buffering": "no"}
    if download or not kind.shown:
        headers["content-disposition"] = attachment(file.name)
        headers["content-security-policy"] = "sandbox"
    return headers


async def _pieces(file: OpenFile, body: Body) -> AsyncGenerator[bytes]:
    """A body piece by piece. Raises StoreUnavailable, and where the file has become shorter, which cuts the reply."""
    if not ranges.length(body):
        yield b""
    for part in body:
        if isinstance(part, bytes):
            yield part
            continue
        for start in range(part.start, part.stop, PIECE):
            size = min(PIECE, part.stop - start)
            data = await file.read(start, size)
            yield data
            if len(data) < size:
                raise StoreUnavailable("The file has become shorter while it was sent.")
