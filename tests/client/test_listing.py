"""The table of streams."""

import io

import pytest
from rich.console import Console

from headrace.client import State, Summary, Usage
from headrace.client.listing import LATEST, age, chosen, table


def summary(number, state=State.COMPLETED, **fields):
    known = {"model": "m", "dialect": "openai.chat", "created": 100.0, "records": 3, "bytes": 9}
    return Summary(id=f"st_{number}", state=state, **{**known, **fields})


def shown(*summaries):
    out = io.StringIO()
    Console(file=out, width=120).print(table(summaries, 160.0))
    return [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()][2:]


def test_all_that_are_open_are_shown_and_the_latest_of_the_others():
    found = chosen(summary(n, State.OPEN if n == 50 else State.COMPLETED) for n in range(60))
    assert [each.id for each in found] == [*[f"st_{n}" for n in range(LATEST)], "st_50"]


def test_a_row_tells_what_is_known():
    """Rates of what has ended, estimates as such; a hostile name moves nothing."""
    exact, about = Usage(input=1, output=50), Usage(input=1, output=5, exact=False)
    assert shown(
        summary(1, ended=105.0, usage=exact),
        summary(2, State.FAILED, reason="upstream_stalled", ended=110.0, usage=about, model="\x1b[2Jx[red]y"),
        summary(3, State.OPEN),
    ) == [
        "st_1 m completed 1m 3 50 10",
        "st_2 \ufffd[2Jx[red]y failed (upstream_stalled) 1m 3 ~5 ~0",
        "st_3 m open 1m 3",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"), [(-5, "0s"), (0.4, "0s"), (59.9, "59s"), (60, "1m"), (7300, "2h"), (10**6, "11d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds, told):
    assert age(seconds) == told
