"""Writes docs/gates.md from the report of ``headrace selftest --report``: each gate's figures, with their bounds.

``scripts/gates`` calls it with the report. Without one it writes that there has been no full run yet.
"""

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import headrace
from headrace.gates.catalogue import GATES

PAGE = Path(__file__).parent.parent / "docs/gates.md"

HEAD = """# The gates' report

`make gates` writes this page. [Promises](promises.md) says what the gates are.
"""

NONE_YET = (
    "There has been no full run yet, so there are no figures here. The short form of each gate runs in `make test`."
)


def page(reports: Sequence[Mapping[str, Any]], about: str) -> str:
    """The page; ``about`` says where and when it was measured."""
    if not reports:
        return f"{HEAD}\n{NONE_YET}\n"
    holding = sum(report["holds"] for report in reports)
    parts = [HEAD, f"{holding} of {len(reports)} gates hold. {about}\n"]
    if left_out := [name for name in GATES if name not in {report["gate"] for report in reports}]:
        parts.append(f"Not run: {', '.join(f'`{name}`' for name in left_out)}.\n")
    return "\n".join([*parts, *map(_gate, reports)])


def _gate(report: Mapping[str, Any]) -> str:
    name = report["gate"]
    verdict = "holds" if report["holds"] else "**falls short**"
    how = f"{report['size']:.4g} of the whole experiment, seed {report['seed']}, {report['seconds']:.0f} s"
    caption = GATES.get(name, "")
    rows = ["| figure | found | allowed |", "|---|---|---|", *_rows(report["figures"])]
    return "\n".join([f"## {name}", "", f"{caption[:1].upper()}{caption[1:]}.", f"It {verdict}: {how}.", "", *rows, ""])


def _rows(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for figure in figures:
        unit = f" {figure['unit']}" if figure.get("unit") else ""
        found = f"{_number(figure['value'])}{unit}"
        yield f"| {figure['name']} | {found if _holds(figure) else f'**{found}**'} | {_bounds(figure)} |"


def _holds(figure: Mapping[str, Any]) -> bool:
    value = figure["value"]
    return value is not None and figure.get("least", value) <= value <= figure.get("most", value)


def _bounds(figure: Mapping[str, Any]) -> str:
    """What is allowed; a figure without bounds is told only."""
    bounds = [f"{word} {_number(figure[key])}" for key, word in (("least", "≥"), ("most", "≤")) if key in figure]
    return ", ".join(bounds) or "–"


def _number(value: float | None) -> str:
    """With commas; what is no whole number with two places, or three digits where it is small."""
    if value is None:
        return "not a number"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _about() -> str:
    today = datetime.now(UTC).date()
    python = platform.python_version()
    return f"Headrace {headrace.__version__}, Python {python}, {platform.system()}, {os.cpu_count()} cores, {today}."


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")) if len(sys.argv) > 1 else []
    PAGE.write_text(page(found, _about()), encoding="utf-8")
    print(f"{PAGE.name} has {len(found)} gates")
