"""The self-test: ``headrace selftest`` runs the gates on this machine, and its disk, and tells what they found."""

import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from headrace.gates.catalogue import GATES, gate, lacking
from headrace.gates.gate import Report, Run, run_alone

#: How much of each experiment is run where nobody says.
SIZE = 0.05

Names = Annotated[list[str] | None, typer.Argument(metavar="[GATE]...", help="Which; without any: all of them.")]


def selftest(
    names: Names = None,
    *,
    size: Annotated[float, typer.Option(min=0.0001, max=1.0, help="How much of each; 1 is all of it.")] = SIZE,
    seed: Annotated[int | None, typer.Option(help="Repeats what a run with this seed did.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to try it; that disk is the one that is tested.")] = None,
    report: Annotated[Path | None, typer.Option(help="A file for all figures, as JSON.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say which gates there are.")] = False,
) -> None:
    """Prove the promises on this machine: kill, cut, fill and flood a server of its own, and count what is lost.

    Prints a line of JSON for each gate. Exits with 1 where one falls short. SIGTERM and Ctrl-C end what it has started.
    """
    if listed:
        for name, caption in GATES.items():
            typer.echo(f"{name:12} {caption}")
        return
    if unknown := [name for name in names or () if name not in GATES]:
        raise typer.BadParameter(f"there is no gate {unknown[0]!r}; see --list")
    if impossible := [name for name in names or () if lacking(name)]:
        raise typer.BadParameter(f"{impossible[0]}: {lacking(impossible[0])}")
    with _terminable():
        reports = _run(names or _possible(), size, secrets.randbits(32) if seed is None else seed, folder)
    if report is not None:
        report.write_bytes(msgspec.json.format(msgspec.json.encode(reports), indent=1) + b"\n")
    short = [each.gate for each in reports if not each.holds]
    told = f"{len(reports) - len(short)} of {len(reports)} gates hold"
    typer.echo(f"{told}; not {', '.join(short)}" if short else told)
    raise typer.Exit(bool(short))


def _possible() -> Sequence[str]:
    """The gates for which everything is here; says which are left out."""
    for name in GATES:
        if why := lacking(name):
            typer.echo(f"{name} is left out: {why}", err=True)
    return [name for name in GATES if not lacking(name)]


@contextmanager
def _terminable() -> Iterator[None]:
    """While this lasts, SIGTERM is an interrupt: the gate is cancelled, and what it has started is ended.

    Interrupts too, where a shell has them ignored by what it starts in the background.
    """
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT)),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(names: Sequence[str], size: float, seed: int, folder: Path | None) -> Sequence[Report]:
    reports = []
    for name in names:
        place = Path(tempfile.mkdtemp(prefix=f"headrace-{name}-", dir=folder))
        try:
            reports.append(run_alone(name, gate(name), Run(place, seed, size)))
        finally:
            shutil.rmtree(place, ignore_errors=True)
        typer.echo(msgspec.json.encode(reports[-1]))
    return reports
