"""Follow an answer with Headrace's own client: leave it, go on elsewhere, stop it.

Lost connections and restarts of the server are picked up after.

    python examples/client.py                   # HEADRACE_URL says where the server is, if not on this machine
"""

import asyncio

from headrace.client import AsyncClient, Client, Outcome, Text


def leave_and_go_on() -> None:
    """Read a part, keep the id and the cursor, and read on: in another process, if you like."""
    client = Client()
    with client.chat("demo/counter", "Count, please.", max_tokens=40) as answer:
        for event in answer:
            if isinstance(event, Text):
                print(event.text, end="", flush=True)
                if event.text.strip() == "20":
                    break
    print(" [left]", end="")
    for event in client.follow(answer.id, after=answer.cursor):
        match event:
            case Text(text=text):
                print(text, end="", flush=True)
            case Outcome(state=state, reason=reason, usage=usage):
                print(f"\n{state}: {reason}, {usage.output if usage else '?'} tokens")


async def watch_and_stop() -> None:
    """Two read the same answer; one of them stops it, and both are told."""
    async with AsyncClient() as client:
        answer = client.chat("demo/counter", "Count, please.")
        await anext(answer)  # it has begun, and so it has an id

        async def watch() -> Outcome | None:
            watcher = client.watch(answer.id)
            async for _ in watcher:
                pass
            return watcher.outcome

        watching = asyncio.create_task(watch())
        async for event in answer:
            if isinstance(event, Text) and event.text.strip() == "10":
                await answer.cancel()
        seen = await watching
        print(f"{answer.outcome and answer.outcome.state}, and who watched was told: {seen and seen.state}")


leave_and_go_on()
asyncio.run(watch_and_stop())
