"""What becomes of fields: refused by name, unless their value asks for nothing."""

import pytest

from headrace.errors import RequestError
from headrace.model.prompt import Prompt
from headrace.wire.carried import Fields, Lacks, Refused

FIELDS = Fields(carried={"messages": "turns"}, refused={"n": Refused("one answer is given", idle=(1,))})
LACKS = Lacks(refused={"top_k": "it has no such setting", "stop": "it has none"})


@pytest.mark.parametrize("value", [{}, {"n": None}, {"n": 1}, {"messages": [], "of another world": {}}])
def test_what_asks_for_nothing_passes(value):
    FIELDS.check(value)


@pytest.mark.parametrize(("at", "param"), [("", "n"), ("tools[0]", "tools[0].n")])
def test_a_refused_field_is_named(at, param):
    with pytest.raises(RequestError, match="one answer is given") as caught:
        FIELDS.check({"n": 2}, at)
    assert caught.value.param == param


def test_what_a_prompt_does_not_say_is_not_lacking():
    LACKS.check(Prompt(turns=()))


def test_what_a_dialect_lacks_is_refused_by_the_name_that_the_client_knows():
    with pytest.raises(RequestError) as caught:
        LACKS.check(Prompt(turns=(), stop=("x",), at={"stop": "stop_sequences"}))
    assert caught.value.param == "stop_sequences"
