"""The leave policy and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.model.leave import CANCEL, KEEP, LONGEST, LeavePolicy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("cancel", CANCEL),
        ("keep", KEEP),
        (" Keep ", KEEP),
        ("linger=5", LeavePolicy(5.0)),
        ("linger=0", CANCEL),
        ("LINGER=0.25", LeavePolicy(0.25)),
        ("linger=86400", LeavePolicy(LONGEST)),
    ],
)
def test_policies_are_read(text, policy):
    """Three words, in any case."""
    assert LeavePolicy.parse(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stay",
        "linger",
        "linger=",
        "linger=-1",
        "linger=86401",
        "linger=9999999",
        "linger=1e3",
        "linger=inf",
        "linger=٣",
    ],
)
def test_anything_else_is_the_clients_mistake(text):
    """400, with the header's name."""
    with pytest.raises(RequestError) as caught:
        LeavePolicy.parse(text)
    assert (caught.value.status, caught.value.param) == (400, "Headrace-On-Leave")


@given(st.integers(0, 86_400_000))
def test_a_policy_reads_back_what_it_writes(milliseconds):
    """Text and value are the same thing."""
    policy = LeavePolicy(milliseconds / 1000)
    assert LeavePolicy.parse(str(policy)) == policy
