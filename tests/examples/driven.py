"""An example's app with one page more, which plays its first page in a frame: of the same origin, so that it may.

``EXAMPLE`` names the module, ``DRIVE`` is the script; ``frame``, ``the`` and ``until`` are there for it.
"""

import os
from importlib import import_module

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

PAGE = """<!doctype html><iframe id="frame" src="/"></iframe>
<script type="module">
const frame = document.getElementById("frame");
const the = (id) => frame.contentDocument?.getElementById(id);
const until = async (holds) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
};
%s
</script>"""

app = import_module(os.environ["EXAMPLE"]).app


async def drive(_: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(PAGE % os.environ["DRIVE"])


app.router.routes.insert(0, Route("/drive.html", drive))
