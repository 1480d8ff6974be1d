"""A storm: two thousand readers are cut by a restart and come back at once; all catch up, none with a gap (C6, S1)."""

import asyncio
import time
from collections.abc import Sequence

from headrace.gates.gate import Run
from headrace.gates.vitals import descriptors, percentile
from headrace.gates.words import WORDS, chat, configuration, is_beginning, second_calls
from headrace.testing.client import Client
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Step, Trickle, head, sse
from headrace.testing.server import HeadraceServer

#: Of the whole experiment.
READERS = 2_000
#: How many read each stream.
SHARING = 100
LEAST_READERS = 100
#: Seconds from readiness in which all have caught up.
CAUGHT_UP = 15.0

#: Seconds in which the streams are read before the cut.
READ = 1.0
#: How many ask at the same moment while nobody is in a hurry.
AT_ONCE = 100


_BEGUN = sse(*WORDS[:200])
_MORE = sse(*WORDS[200:])


def _steady(_: Received) -> Sequence[Step]:
    """Words at a pace at which so many readers can be served; it never comes to its end."""
    return [head(), _BEGUN, Trickle(_MORE, size=1400, pause=0.25), Stall()]


class _Reader:
    """One of them: what it was shown before the cut and after it."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.before = self.after = Client(0)
        #: The last event before the cut, and all the text, once each is known; finding them takes a while.
        self.last_id = ""
        self.text = ""
        #: Seconds from the readiness of the server until it had all.
        self.took = float("nan")

    async def come(self, port: int) -> None:
        """Open the stream from its start."""
        self.before = await Client(port).open("GET", f"/v1/streams/{self.stream}", buffer=1 << 16)

    async def again(self, port: int, ready: float) -> None:
        """Come back after the last event, and read to the end."""
        try:
            headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
            client = Client(port)
            await client.open("GET", f"/v1/streams/{self.stream}", headers=headers, buffer=1 << 16, head=False)
            async with asyncio.timeout(2 * CAUGHT_UP):
                await client.read_head()
            self.after = await client.rest(2 * CAUGHT_UP)
            self.took = time.monotonic() - ready
        except (OSError, TimeoutError):
            return


async def gate(run: Run) -> None:
    """Kill a server that many read from, start it, and have them all come back in the same moment."""
    wanted = run.of(READERS, least=LEAST_READERS)
    # The server, which inherits the bound, needs two for each while the old connections are not gone.
    count = min(wanted, (descriptors(3 * wanted + 500) - 500) // 3)
    async with ScriptedUpstream(_steady) as upstream:
        server = run.server("server", configuration(upstream))
        try:
            await asyncio.to_thread(server.start)
            readers = await _gathered(server, count)
            await _cut(server, readers)
            await _return(server, readers)
        finally:
            await asyncio.to_thread(server.kill)
        run.zero("second upstream calls", second_calls(upstream.requests))
    _tell(run, readers, wanted)


async def _gathered(server: HeadraceServer, count: int) -> Sequence[_Reader]:
    """Streams, and many readers of each of them."""
    starters = [
        await Client(server.port).open("POST", "/v1/chat/completions", chat(str(number)), {"Headrace-On-Leave": "keep"})
        for number in range(max(1, count // SHARING))
    ]
    readers = [_Reader(starters[number % len(starters)].stream) for number in range(count)]
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(reader.come(server.port) for reader in readers[first : first + AT_ONCE]))
    for starter in starters:
        starter.close()
    return readers


async def _cut(server: HeadraceServer, readers: Sequence[_Reader]) -> None:
    reading = asyncio.gather(*(reader.before.rest(60) for reader in readers))
    await asyncio.sleep(READ)
    await asyncio.to_thread(server.kill)
    await reading


async def _return(server: HeadraceServer, readers: Sequence[_Reader]) -> None:
    for reader in readers:
        reader.last_id = reader.before.last_id
    await asyncio.to_thread(server.start)
    ready = time.monotonic()
    await asyncio.gather(*(reader.again(server.port, ready) for reader in readers))


def _tell(run: Run, readers: Sequence[_Reader], wanted: int) -> None:
    for reader in readers:
        reader.text = reader.before.text + reader.after.text
    # Readers of one stream have seen the same bytes, most of them: each text is looked at once.
    whole = {(reader.stream, reader.text) for reader in readers}
    longest = {stream: max((text for id, text in whole if id == stream), key=len) for stream, _ in whole}
    run.figure("readers", len(readers), least=min(wanted, LEAST_READERS))
    run.figure("readers wanted, as this machine's bound on descriptors allows", wanted)
    run.figure("streams", len(longest))
    run.figure("words that each was shown", min(len(reader.text.split()) for reader in readers), least=1)
    run.zero("readers with a gap, or a word twice", sum(not is_beginning(reader.text) for reader in readers))
    run.zero("readers that were not shown all", sum(reader.text != longest[reader.stream] for reader in readers))
    run.zero("readers without their one end", sum(reader.after.errors != ["interrupted"] for reader in readers))
    took = [reader.took for reader in readers]
    run.zero("readers that did not catch up", sum(one != one for one in took))
    run.figure("last to have caught up", round(max(took), 2), "s", most=CAUGHT_UP)
    run.figure("p50 to have caught up", round(percentile(took, 0.5), 2), "s")
