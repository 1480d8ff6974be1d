"""What all intakes have in common: how much they let pass, whatever the pieces in which it comes."""

import pytest

from headrace.errors import UpstreamProtocol
from headrace.gates.answers import INTAKES
from headrace.testing.spoken import UPSTREAMS, Said, spoken
from headrace.wire.sse import Decoder, Frame

INVALID = Frame("", b"{oops", "")


def taken(dialect: str, garbage: int, *, at_once: bool):
    """A long answer with invalid frames before its end, taken in one piece or frame by frame."""
    frames = Decoder().feed(b"".join(spoken(dialect, Said(texts=("word ",) * 30))))
    frames[-1:-1] = [INVALID] * garbage
    intake = INTAKES[dialect]()
    records = intake.take(frames) if at_once else [record for frame in frames for record in intake.take([frame])]
    return records, intake.ended, type(intake.error), intake.ignored


@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_what_is_valid_excuses_what_is_not_however_it_was_cut(dialect):
    """Thirty words and twenty frames of garbage are an answer, in one piece too."""
    assert taken(dialect, 20, at_once=True) == taken(dialect, 20, at_once=False)
    assert taken(dialect, 20, at_once=True)[1:] == (True, type(None), 20)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_too_much_garbage_ends_the_answer(dialect, at_once):
    assert taken(dialect, 90, at_once=at_once)[1:3] == (False, UpstreamProtocol)
