"""SSE injection: whatever stands in any field of an event, nothing but that event comes out."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.e2e.node_process import play
from tests.library.app import serving

from headrace.fastapi import Event, StreamError, Streams
from headrace.fastapi.forms import FORMS, SSE, Events
from headrace.wire.sse import Decoder

#: What ends a line, or is taken for its end by some; what might begin another field; and what stands around them.
ENDS = ["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "\0", "\x0b", "\x0c", "\x1c", "\x85"]
ENDS += ["\u2028", "\u2029"]
FIELDS = ["data: forged", "event: forged", "id: forged", "retry: 1", ": forged", "forged", "", " "]
FIELDS += ["\ufeffdata: forged"]
CORPUS = ["".join(parts) for parts in product(("", "x"), ENDS, FIELDS, ("", "\n\n"))]

#: What an event's name and id refuse.
FORGING = [text for text in CORPUS if not {"\r", "\n", "\0"}.isdisjoint(text)]


def lines(text: str) -> str:
    """A text as a parser gives it back: all three line ends are one."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def body_of(*items: object) -> bytes:
    """Events as they are written, with a cursor of ours."""
    events = Events()
    return b"".join(SSE.frame(events.make(item), str(number)) for number, item in enumerate(items, 1))


def parsed(body: bytes) -> list[tuple[str, str, str]]:
    decoder = Decoder()
    found = [(frame.event, frame.data.decode(), frame.id) for frame in decoder.feed(body)]
    decoder.close()
    assert not decoder.discarded
    assert decoder.retry is None
    assert decoder.comments == 0
    return found


def test_corpus_is_worth_its_name() -> None:
    """It is large, and a naive writer falls for it."""
    assert len(CORPUS) > 400
    naive = "".join(f"data: {text}\n\n" for text in CORPUS).encode()
    found = _loose(naive)
    assert len(found) != len(CORPUS)
    assert sum(event == "forged" or id == "forged" for event, _, id in found) > 50


def _loose(body: bytes) -> list[tuple[str, str, str]]:
    return [(frame.event, frame.data.decode(), frame.id) for frame in Decoder().feed(body)]


@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
def test_data_is_one_event_whatever_it_holds(form) -> None:
    """Each text of the corpus is the data of its event, and of nothing else."""
    found = parsed(body_of(*map(form, CORPUS)))
    assert found == [("", lines(text), str(number)) for number, text in enumerate(CORPUS, 1)]


@pytest.mark.node
def test_another_parser_finds_the_same() -> None:
    """The one that most clients in JavaScript use."""
    items = [*CORPUS, *(Event(text, event="named") for text in CORPUS), *({"a": text} for text in CORPUS)]
    body = body_of(*items)
    (found,) = play("parse.mjs", [{"body": body.decode()}])
    assert found["retries"] == []
    assert [tuple(event) for event in found["events"]] == parsed(body)
    assert len(found["events"]) == len(items)


@pytest.mark.parametrize("field", ["event", "id"])
def test_name_and_id_refuse_what_would_forge(field) -> None:
    """Where the event is made, in the generator's own line."""
    for text in [*FORGING, "\ud800"]:
        with pytest.raises(ValueError):
            Event("x", **{field: text})


@pytest.mark.parametrize("field", ["event", "id"])
def test_other_names_and_ids_pass_as_they_are(field) -> None:
    """U+2028 and the like end no line."""
    passing = [text for text in CORPUS if text not in FORGING and text]
    assert passing
    for text in passing:
        event = Event("x", **{field: text})
        body = SSE.frame(Events().make(event), event.id)
        ((name, data, id),) = parsed(body)
        assert (name or id, data) == (text, "x")


@pytest.mark.parametrize("retry", ["1\ndata: forged", "1", b"1", 1.5, True, [1]])
def test_retry_is_a_number(retry) -> None:
    """Nothing else gets to where it is written."""
    with pytest.raises((TypeError, ValueError)):
        Streams(None).sse([], retry=retry)


@pytest.mark.parametrize("url", ["memory:", None], ids=["kept", "not kept"])
async def test_errors_forge_nothing(url) -> None:
    """An error's code and message may come from anywhere."""
    for text in CORPUS[::7]:

        async def failing(text=text):
            yield "x"
            raise StreamError(text or "-", code=text)

        async with serving(lambda streams, failing=failing: streams.sse(failing()), url) as driver:
            body = (await driver.ask("GET", "/go")).body
        assert [event for event, *_ in _loose(body)] == ["", "error", "close"]


@given(st.lists(st.one_of(st.text(), st.dictionaries(st.text(), st.text()), st.builds(Event, st.text())), max_size=5))
def test_any_items_are_as_many_events(items) -> None:
    """Text comes back but for its line ends; and nothing comes between."""
    found = parsed(body_of(*items))
    assert len(found) == len(items)
    for item, (event, data, _) in zip(items, found, strict=True):
        assert event == ""
        if isinstance(item, str):
            assert data == lines(item)


@given(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])))
def test_any_name_comes_back(name) -> None:
    """As it was, spaces included."""
    ((event, _, _),) = parsed(body_of(Event("x", event=name)))
    assert event == name


def test_line_of_bytes_stays_one_line() -> None:
    """NDJSON too: bytes that are taken for JSON cannot begin a line."""
    form = FORMS["library.ndjson"]
    assert form.frame(Events().make(b'{"a":\n1}\r\n{}'), "").count(b"\n") == 1
