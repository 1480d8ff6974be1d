"""Re-framing: what comes in any pieces goes out in the right ones."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.library.app import serving, told

from headrace.fastapi import Blocks, JsonLines, MalformedLine, Progress
from headrace.wire.bounds import SizeExceeded

BODY = b'{"a":1}\n\n[2,"\xc3\xa9"]\r\nnope\n{"b":\n3'
CHUNKS = [BODY[:3], b"", BODY[3:12], BODY[12:]]


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, over and over."""
    found, at = [], 0
    while at < len(data):
        for size in sizes:
            found.append(data[at : at + size])
            at += size
    return found


async def slowly(items):
    for item in items:
        await asyncio.sleep(0)
        yield item


async def all_of(items):
    return [item async for item in items]


# -- JSON, one a line ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_lines_come_out_of_any_chunks(sizes):
    """The last one too, which has no line end; what is not JSON is left out and counted, or handed on."""
    skipping = JsonLines("skip")
    assert list(skipping.of(pieces(BODY, sizes))) == [{"a": 1}, [2, "é"], 3]
    assert skipping.malformed == 2
    passing = JsonLines("pass")
    assert list(passing.of(pieces(BODY, sizes))) == [{"a": 1}, [2, "é"], b"nope", b'{"b":', 3]
    assert passing.malformed == 2


async def test_malformed_line_is_raised_after_what_was_before_it():
    """With its number; the values before it have been had."""
    for chunks in (CHUNKS, [BODY]):
        had = []
        with pytest.raises(MalformedLine, match="line 3") as caught:
            had.extend(JsonLines().of(chunks))
        assert caught.value.number == 3
        assert had == [{"a": 1}, [2, "é"]]
    found = JsonLines().of(slowly(CHUNKS))
    assert [await anext(found), await anext(found)] == [{"a": 1}, [2, "é"]]
    with pytest.raises(MalformedLine):
        await anext(found)


async def test_text_is_taken_as_well():
    """Chunks of an HTTP client come as either."""
    assert await all_of(JsonLines().of(slowly(["1\n", '"é"']))) == [1, "é"]


@pytest.mark.parametrize("errors", ["raise", "skip", "pass"])
def test_line_without_end_is_not_held(errors):
    """Beyond its bound it raises, whatever ``errors`` says."""
    with pytest.raises(SizeExceeded):
        list(JsonLines(errors, max_line=100).of(iter([b"[1", b"," * 100])))


def test_word_that_is_no_choice_is_refused():
    """At once."""
    with pytest.raises(ValueError, match="skip"):
        JsonLines("ignore")


# -- blocks ----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60), st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(1, 25))
def test_blocks_have_exactly_their_size_but_for_the_last(data, sizes, chunk_size):
    """Nothing is lost and nothing is added."""
    blocks = list(Blocks(chunk_size).of(pieces(data, sizes)))
    assert b"".join(blocks) == data
    assert all(len(block) == chunk_size for block in blocks[:-1])
    assert all(0 < len(block) <= chunk_size for block in blocks)


# -- progress --------------------------------------------------------------------------------------------------------


async def test_progress_is_told_every_ten_tokens():
    """Each event has the text since the one before it; the last has all of it."""
    tokens = [f"{number} " for number in range(25)]
    first, second, last = await all_of(Progress().of(slowly(tokens)))
    assert first.data == {"token": "".join(tokens[:10]), "total_so_far": 10}
    assert second.data == {"token": "".join(tokens[10:20]), "total_so_far": 20}
    assert last.event == "complete"
    assert last.data == {"done": True, "full_text": "".join(tokens), "tokens": 25}


def test_every_says_how_often():
    """One by one; and a text without tokens is complete too."""
    assert [event.data for event in Progress(every=1).of(["a", "b"])] == [
        {"token": "a", "total_so_far": 1},
        {"token": "b", "total_so_far": 2},
        {"done": True, "full_text": "ab", "tokens": 2},
    ]
    assert [event.data for event in Progress().of([])] == [{"done": True, "full_text": "", "tokens": 0}]


async def test_progress_is_streamed():
    """``of`` gives what the replies take."""
    async with serving(lambda streams: streams.sse(Progress(every=2).of(slowly("abc")))) as driver:
        events = told((await driver.ask("GET", "/go")).body)
    assert [(name, json.loads(data)) for name, data in events] == [
        ("", {"token": "ab", "total_so_far": 2}),
        ("complete", {"done": True, "full_text": "abc", "tokens": 3}),
        ("close", {}),
    ]


@pytest.mark.parametrize("make", [lambda: Blocks(0), lambda: Progress(every=0)])
def test_size_without_sense_is_refused(make):
    """It would never give anything."""
    with pytest.raises(ValueError, match="at least 1"):
        make()


# -- closing ---------------------------------------------------------------------------------------------------------


async def test_closing_closes_what_is_within():
    """The generator that it takes from runs its ``finally`` at once."""
    ended = []

    async def endless():
        try:
            while True:
                yield b"x"
        finally:
            ended.append("async")

    def plain():
        try:
            while True:
                yield b"x"
        finally:
            ended.append("plain")

    blocks = Blocks(1).of(endless())
    assert await anext(blocks) == b"x"
    await blocks.aclose()
    plainly = Blocks(1).of(plain())
    assert next(plainly) == b"x"
    plainly.close()
    assert ended == ["async", "plain"]
