"""Requests for tests: any conversation, as each dialect has it, and any JSON where it should not be."""

import json

from hypothesis import strategies as st

#: Texts that no dialect leaves out or trims.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=12)
_NAMES = st.sampled_from(["look", "add_up", "f-1"])
_INPUTS = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS | st.lists(TEXTS), max_size=2)
_IMAGES = st.sampled_from(["https://example.org/a.png", "data:image/png;base64,AAAA", "data:image/webp;base64,BBBB"])
#: Any JSON.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def chats(draw):
    """An OpenAI chat request: a history of turns, with calls and their results."""
    messages = [{"role": "system", "content": draw(TEXTS)}] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 3))):
        messages.append({"role": "user", "content": draw(TEXTS | st.lists(_part(), min_size=1, max_size=3))})
        messages.extend(draw(_answer(number)))
    return {"model": "m", "messages": messages}


def _part():
    text = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    return text | st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, _IMAGES)


@st.composite
def _answer(draw, number):
    calls = [_call(f"call_{number}_{i}", draw(_NAMES), draw(_INPUTS)) for i in range(draw(st.integers(0, 3)))]
    text = draw(TEXTS) if not calls or draw(st.booleans()) else None
    message = {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})
    results = [{"role": "tool", "tool_call_id": call["id"], "content": draw(TEXTS)} for call in calls]
    return [message, *results]


def _call(id, name, input):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(input)}}


@st.composite
def messages(draw):
    """An Anthropic Messages request of the same kind."""
    history = []
    results = []
    for number in range(draw(st.integers(1, 3))):
        said = draw(st.lists(_block(), min_size=0 if results else 1, max_size=3))
        history.append({"role": "user", "content": [*results, *said]})
        blocks, results = draw(_reply(number))
        history.append({"role": "assistant", "content": blocks})
    history.append({"role": "user", "content": [*results, {"type": "text", "text": draw(TEXTS)}]})
    system = {"system": draw(TEXTS | st.lists(_words(), min_size=1, max_size=2))} if draw(st.booleans()) else {}
    return {"model": "m", "max_tokens": 100, "messages": history} | system


def _words():
    return st.builds(lambda text: {"type": "text", "text": text}, TEXTS)


def _block():
    url = st.just({"type": "url", "url": "https://example.org/a.png"})
    data = st.just({"type": "base64", "media_type": "image/gif", "data": "AAAA"})
    return _words() | st.builds(lambda source: {"type": "image", "source": source}, url | data)


@st.composite
def _reply(draw, number):
    calls = [
        {"type": "tool_use", "id": f"toolu_{number}_{i}", "name": draw(_NAMES), "input": draw(_INPUTS)}
        for i in range(draw(st.integers(0, 3)))
    ]
    thought = {"type": "thinking", "thinking": draw(TEXTS), "signature": "sig"}
    said = [draw(_words())] if not calls or draw(st.booleans()) else []
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": draw(TEXTS)} for call in calls]
    return [*([thought] if draw(st.booleans()) else []), *said, *calls], results
