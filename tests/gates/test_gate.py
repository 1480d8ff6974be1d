"""What a gate's figures say."""

import math

import pytest

from headrace.gates.catalogue import gate
from headrace.gates.gate import Figure, Run, run


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("told only", 7), True),
        (Figure("at most", 7, most=7), True),
        (Figure("too much", 7.1, most=7), False),
        (Figure("at least", 7, least=7), True),
        (Figure("too little", 6.9, least=7), False),
        (Figure("no number", math.nan, most=7), False),
    ],
)
def test_a_figure_holds_within_its_bounds(figure, holds):
    assert figure.holds is holds


async def test_a_gate_that_has_measured_nothing_does_not_hold(tmp_path):
    async def idle(_: Run) -> None:
        pass

    assert not (await run("idle", idle, Run(tmp_path, 1, 1.0))).holds


async def test_one_figure_that_falls_short_is_enough(tmp_path):
    async def short(made: Run) -> None:
        made.figure("fine", 1, least=1)
        made.zero("lost", 1)

    report = await run("short", short, Run(tmp_path, 1, 1.0))
    assert [figure.name for figure in report.figures if not figure.holds] == ["lost"]
    assert not report.holds


def test_the_same_seed_draws_the_same(tmp_path):
    one, two = (Run(tmp_path, 7, 1.0).random.random() for _ in range(2))
    assert one == two


def test_a_part_of_an_experiment_is_never_nothing(tmp_path):
    made = Run(tmp_path, 1, 0.001)
    assert (made.of(300), made.of(10_000), made.of(300, least=5)) == (1, 10, 5)


def test_a_gate_that_is_not_there_is_not_loaded():
    with pytest.raises(KeyError):
        gate("os")
