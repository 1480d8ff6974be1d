"""Which upstreams can take a call, and which speak a dialect."""

import pytest

from headrace.core.routing import Call, Target, attempts, speaks
from headrace.errors import RequestError
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.fake_upstream import FakeUpstream
from headrace.upstreams.prepare import prepared

CALL = Call(dialect=MESSAGES, body={"messages": [{"role": "user", "content": "x"}]}, model="asked", stream=True)


class Speaker(FakeUpstream):
    """An upstream of some dialects; it takes nothing where it speaks none."""

    def __init__(self, *spoken):
        super().__init__(name=" ".join(spoken))
        self._spoken = spoken

    def prepare(self, call):
        if not self._spoken:
            raise RequestError("No.", param="first")
        return prepared(call, self._spoken)


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [((MESSAGES,), True), ((CHAT, MESSAGES), True), ((CHAT,), False), ((CHAT, RESPONSES), False), ((), False)],
)
def test_an_upstream_speaks_what_it_takes_as_it_is(spoken, expected):
    assert speaks(Speaker(*spoken), MESSAGES) is expected


def test_each_target_that_can_is_tried_in_its_own_words():
    """Under its own name for the model; who cannot is left out."""
    targets = [Target(Speaker(MESSAGES), "one"), Target(Speaker(), "two"), Target(Speaker(CHAT), "three")]
    found = attempts(targets, CALL)
    assert [(each.upstream.name, each.call.dialect, each.call.model) for each in found] == [
        (MESSAGES, MESSAGES, "one"),
        (CHAT, CHAT, "three"),
    ]
    assert found[0].call.body == CALL.body


def test_where_none_can_the_first_says_why():
    with pytest.raises(RequestError) as caught:
        attempts([Target(Speaker(), "one"), Target(Speaker(), "two")], CALL)
    assert caught.value.param == "first"
    with pytest.raises(RequestError):
        attempts([], CALL)
