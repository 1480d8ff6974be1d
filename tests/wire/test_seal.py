"""Seals travel as one text and come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.dialect import MESSAGES, RESPONSES
from headrace.wire.seal import Seal


@given(st.sampled_from([MESSAGES, RESPONSES]), st.text(), st.text(), st.booleans())
def test_a_seal_comes_back_as_it_went(issuer, payload, id, hidden):
    """Whatever signs are in its payload and its id, and whoever reads it."""
    seal = Seal(issuer, payload, id, hidden)

    assert Seal.parse(str(seal), RESPONSES) == seal
    assert Seal.parse(str(seal), MESSAGES) == seal


@pytest.mark.parametrize("id", [":", "a:b", "%3A", "%", "%25:", "rs_1%253A"])
def test_an_id_may_hold_the_signs_that_part_a_seal(id):
    """A colon in it does not spill into the payload."""
    assert Seal.parse(str(Seal(RESPONSES, "p:q", id)), MESSAGES) == Seal(RESPONSES, "p:q", id)


@pytest.mark.parametrize(
    "text",
    ["", "gAAAAB==", "hr1", "hr1:", "hr1:a:b", "hr2:openai.responses:::x", "hr1:a:b:c:d", "HR1:a:::d", "a:b:c:d:e"],
)
def test_a_text_that_is_no_seal_is_its_reader_s_own(text):
    """A provider's own signature is taken whole."""
    assert Seal.parse(text, MESSAGES) == Seal(MESSAGES, text)


@given(st.text().filter(lambda text: not text.startswith("hr1:")))
def test_any_foreign_text_stays_as_it_is(text):
    """Without our mark nothing is looked for in it."""
    assert Seal.parse(text, RESPONSES) == Seal(RESPONSES, text)
