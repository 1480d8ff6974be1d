"""Bounds and errors of JSON that strangers send."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.wire import json_object


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"\xff",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
    ],
)
def test_what_is_no_json_object_is_refused(body):
    """Each is a 400 that says what is wrong."""
    with pytest.raises(RequestError) as raised:
        json_object.parse(body)
    assert raised.value.status == 400
    assert "body" in raised.value.message


def test_odd_but_valid_objects_are_read():
    """A BOM, duplicate keys, brackets within strings."""
    assert json_object.parse(b'\xef\xbb\xbf{"a":1,"a":2}') == {"a": 2}
    text = '\\"[{' * 1000
    assert json_object.parse(json.dumps({"a": text}).encode()) == {"a": text}


@pytest.mark.parametrize("depth", [63, 64, 65, 66, 5000])
@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded(depth, opener, closer):
    """Sixty-four levels pass, one more does not."""
    body = ('{"a":' + opener * (depth - 1) + "1" + closer * (depth - 1) + "}").encode()
    if depth <= 64:
        json_object.parse(body)
    else:
        with pytest.raises(RequestError, match="nested deeper than 64"):
            json_object.parse(body)


@pytest.mark.parametrize("body", [b"[" * 10_000_000, b'{"a":[' + b"[]," * 3_000_000, b'"[' * 1_000_000])
def test_hostile_nesting_is_refused_fast(body):
    """Nothing is built, and the time is linear: 10 MB of brackets take well under a second on any machine."""
    began = time.process_time()
    with pytest.raises(RequestError):
        json_object.parse(body)
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=50) | st.text(alphabet='[]{}",:\\ a1').map(str.encode))
def test_any_bytes_are_an_object_or_a_request_error(body):
    """There is no third way."""
    try:
        value = json_object.parse(body)
    except RequestError:
        return
    assert isinstance(value, dict)


VALUES = st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_depth_is_seen_through_strings(value):
    """What strings hold is no nesting: what is not deep is never called so."""
    body = json.dumps({"a": value, "b": ["[" * 99] * 99}, ensure_ascii=False).encode()

    assert not json_object.too_deep(body)
    assert json_object.too_deep(b"[" * 70 + body + b"]" * 70)


@given(st.lists(VALUES | st.text(alphabet='[]{}",\\'), max_size=6), st.integers(1, 7))
def test_the_values_of_an_array_are_counted_without_being_made(array, most):
    """Commas, brackets and quotes in its values are none of its own."""
    assert json_object.has_more_than(most, json.dumps(array).encode()) == (len(array) > most)


@given(st.text(st.characters()))
def test_healed_text_can_be_encoded(text):
    """Halves of pairs that meet are joined, others replaced, and all else is kept."""
    healed = json_object.healed(text)

    healed.encode()
    assert healed == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def test_lenient_lets_half_a_pair_through():
    """An upstream's JSON is read even so; what is not JSON is None."""
    assert json_object.lenient(b'{"a":"\\ud83d"}') == {"a": "\ud83d"}
    assert json_object.lenient(b'{"a":NaN}') is None
    assert json_object.lenient(b"[" * 100 + b"]" * 100) is None
