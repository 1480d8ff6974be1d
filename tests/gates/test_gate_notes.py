"""What a gate says in words of what it found wanting."""

from pathlib import Path

from headrace.gates.gate import NOTES, Run, run


async def test_the_first_of_what_was_wrong_is_told_in_words(tmp_path: Path) -> None:
    """Not more than a few; and nothing where nothing was."""

    async def falling_short(made: Run) -> None:
        made.zero("wrong", 30)
        for number in range(30):
            made.note(f"number {number}")

    async def holding(made: Run) -> None:
        made.zero("wrong", 0)

    short = await run("short", falling_short, Run(tmp_path, 1, 1.0))
    assert short.notes == tuple(f"number {number}" for number in range(NOTES))
    assert (await run("good", holding, Run(tmp_path, 1, 1.0))).notes == ()
