"""A worker process for the tests: opens a data folder, starts a stream, and does what its arguments say.

``write``: append one record after the other, printing each number once it is acknowledged.
``pace``: append two hundred records, one every five milliseconds, each holding the monotonic time of its append.
``hold``: append one record, take part in the stream, print each cancel that is heard.
"""

import asyncio
import sys
import time
from pathlib import Path

from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.sqlite.log import SqliteLog


def say(*words: object) -> None:
    """One line to the test."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def write(log: SqliteLog, id: str) -> None:
    for n in range(1, 1_000_000):
        await log.append(id, n - 1, [Record("", str(n).encode())])
        say(n)


async def pace(log: SqliteLog, id: str) -> None:
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    for n in range(200):
        end = Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0) if n == 199 else None
        await log.append(id, n, [Record("", repr(time.monotonic()).encode())], end)
        await asyncio.sleep(0.005)


async def hold(log: SqliteLog, id: str) -> None:
    log.on_cancel(lambda heard: say("cancel", heard))
    await log.append(id, 0, [Record("", b"1")])
    await log.set_presence(id, True)
    say("ready")
    await asyncio.Event().wait()


async def main(folder: str, job: str, id: str) -> None:
    log = await SqliteLog(Path(folder)).open()
    await log.create(id, Meta(owner="ann", dialect="openai.chat", created=1.0))
    await {"write": write, "pace": pace, "hold": hold}[job](log, id)
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
