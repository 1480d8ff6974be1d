"""Token counts in the Responses dialect."""

import pytest
from openai.types.responses import ResponseUsage
from tests.wire.responses.pieces import USAGE, USED

from headrace.model.outcome import Usage
from headrace.wire.responses.usage import usage_object, usage_of


def test_usage_is_read_and_written():
    """What is written is what the SDK's type says, and is read as it was."""
    ResponseUsage.model_validate(usage_object(USED), strict=True)

    assert usage_object(USED) == USAGE
    assert usage_of(USAGE) == USED


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": "1"}, 7])
def test_details_may_be_missing(details):
    """The two counts are enough."""
    value = {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": details, "output_tokens_details": details}

    assert usage_of(value) == Usage(input=3, output=2)


@pytest.mark.parametrize("value", [None, 7, [], {}, {"input_tokens": 1}, {"input_tokens": -1, "output_tokens": 1}])
def test_usage_that_says_nothing_is_unknown(value):
    """Unknown is not zero."""
    assert usage_of(value) is None
