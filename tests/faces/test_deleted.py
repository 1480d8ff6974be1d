"""What is deleted is gone: no file of the data folder holds a byte of it."""

import asyncio

from tests.faces.front import Fake, front, script

PROMPT, ANSWER = "CANARY-of-a-prompt", "CANARY-of-an-answer"


def holding(folder, word):
    """The files in which a word stands."""
    return {path.name for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()}


async def test_no_byte_of_what_was_deleted_is_left(tmp_path):
    """Neither of the answer nor of its prompt: not in the tables, their free pages, nor the logs of writing ahead."""
    chat = {"model": "fake", "store": True, "messages": [{"role": "user", "content": PROMPT}]}
    async with front(Fake(lambda _: script(ANSWER)), folder=tmp_path) as at:
        ids = [
            (await at.ask("POST", target, body)).headers["headrace-stream-id"]
            for target, body in (
                ("/v1/chat/completions", chat),
                ("/v1/responses", {"model": "fake", "store": True, "input": PROMPT}),
            )
        ]
        for _ in range(500):  # prompts are written off the hot path
            if holding(tmp_path, ANSWER) and holding(tmp_path, PROMPT):
                break
            await asyncio.sleep(0.02)
        assert holding(tmp_path, ANSWER)
        assert holding(tmp_path, PROMPT)
        for id in ids:
            await at.json("DELETE", f"/v1/streams/{id}")
        for _ in range(500):
            await at.clock.advance(60.0)  # the upkeep's turn, in a thread
            await asyncio.sleep(0.02)
            if not holding(tmp_path, ANSWER) | holding(tmp_path, PROMPT):
                break
        assert (holding(tmp_path, ANSWER), holding(tmp_path, PROMPT)) == (set(), set())
