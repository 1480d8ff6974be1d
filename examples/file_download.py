"""Files to download, and videos to play, out of one folder.

    MEDIA=~/Videos uvicorn examples.file_download:app
    curl -O -J http://127.0.0.1:8000/files/holiday.mp4
    curl -C - -O http://127.0.0.1:8000/files/holiday.mp4     # goes on with a download that broke off
    curl -r 0-99 http://127.0.0.1:8000/video/holiday.mp4

Starlette's ``FileResponse`` does the hard part: ``Range``, ``If-Range``, ``ETag``, 64 KiB of memory for a file of any
size, and a ``Content-Disposition`` that no name breaks. (``headrace serve`` has files of its own: ``/v1/files``.)
"""

import os
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

FOLDER = Path(os.environ.get("MEDIA", "media")).expanduser()

app = FastAPI()


def file_of(name: str) -> Path:
    """The file of a name, looked up among those that are there: no ``..`` and no link leads out of the folder.

    An ordinary function, because it asks the disk: FastAPI runs it in a thread.
    """
    files = FOLDER.iterdir() if FOLDER.is_dir() else ()
    for file in files:
        if file.name == name and file.is_file() and not file.is_symlink():
            return file
    raise HTTPException(404, "There is no such file.")


@app.api_route("/files/{name}", methods=["GET", "HEAD"])
async def download(file: Annotated[Path, Depends(file_of)]) -> FileResponse:
    """Send a file for the browser to save, whatever is in it."""
    return FileResponse(file, filename=file.name, media_type="application/octet-stream")


@app.api_route("/video/{name}", methods=["GET", "HEAD"])
async def play(file: Annotated[Path, Depends(file_of)]) -> FileResponse:
    """Send a file for ``<video src>``: a player seeks with ``Range``, and Safari plays nothing without it."""
    return FileResponse(file, content_disposition_type="inline", headers={"x-content-type-options": "nosniff"})
