"""A progress bar for a long job; reload the page, and the bar goes on.

    uvicorn examples.progress_bar:app          # then open http://127.0.0.1:8000
    curl -N -X POST http://127.0.0.1:8000/jobs

The job runs in the server, not in the reply: it does not end with the page (``on_leave="keep"``). The ``Location`` of
the reply is where anybody watches it, from its beginning; ``POST`` that with ``/cancel`` behind it to stop the job.
"""

import time
from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response

from headrace.fastapi import Streams

PAGE = """<!doctype html>
<title>A job</title>
<button id="start">Start</button> <button id="stop">Stop</button>
<progress id="bar" max="100" value="0"></progress> <output id="told"></output>
<script type="module">
const [start, stop, bar, told] = ["start", "stop", "bar", "told"].map((id) => document.getElementById(id));
let job = sessionStorage.job; // outlives a reload

function watch() {
  const source = new EventSource(job); // comes back by itself, with the id of the last event
  source.onmessage = (event) => {
    const { percent, step } = JSON.parse(event.data);
    bar.value = percent;
    told.value = step;
  };
  source.addEventListener("cancelled", () => (told.value = "stopped"));
  source.addEventListener("close", () => source.close());
}
start.onclick = async () => {
  const reply = await fetch("/jobs", { method: "POST" });
  job = sessionStorage.job = reply.headers.get("location");
  await reply.body.cancel();
  watch();
};
stop.onclick = () => fetch(`${job}/cancel`, { method: "POST" });
if (job) watch();
</script>"""

streams = Streams("sqlite:///streams-data", on_leave="keep")

app = FastAPI()
app.include_router(streams.router)


def work() -> Iterator[dict[str, object]]:
    """Do the job, a step after the other. It blocks, and so it runs in a thread."""
    for percent in range(1, 101):
        time.sleep(0.03)
        yield {"percent": percent, "step": f"step {percent} of 100"}


@app.post("/jobs")
async def start() -> Response:
    """Start a job."""
    return streams.sse(work())


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    """Show the bar."""
    return PAGE
