"""The page's picture: a bar for each relay, drawn as SVG."""

import math
from collections.abc import Iterator

from samples import Results

WIDTH, BAR, LEFT = 760, 22, 190
#: How the bars are called, and their colours.
ROWS = {
    "nginx": ("nginx", "#8a8f98"),
    "bare": ("bare Python", "#b8bcc4"),
    "bare-events": ("bare Python, events read", "#b8bcc4"),
    "headrace": ("Headrace (SQLite)", "#0b6bcb"),
    "headrace-memory": ("Headrace (memory:)", "#5ba3e6"),
    "headrace-power": ("Headrace (power)", "#5ba3e6"),
    "headrace-redis": ("Headrace (Redis)", "#5ba3e6"),
    "portkey": ("Portkey", "#c98a3d"),
    "litellm": ("LiteLLM", "#b5573f"),
}
#: Title, kind of scenario (its first is drawn) and figure.
PANELS = [
    ("CPU per chunk at 200 × 50/s, µs (less is better)", "steady", "cpu"),
    ("First token at 50 streams, p50, ms (less is better)", "first", "first_p50"),
    ("Short requests per second on one core (more is better)", "short", "carried"),
    ("Memory of each of 1,000 idle streams, KB (less is better)", "idle", "kb"),
]
WHICH = {"steady": "200 × 50/s", "first": "first byte at 50", "short": "32 at once", "idle": "1,000 idle"}
#: Where the largest is more than so many times the smallest, the scale is logarithmic.
LOGARITHMIC = 30


def drawn(results: Results) -> str:
    """The picture of what was measured."""
    parts: list[str] = []
    top = 16
    for title, kind, figure in PANELS:
        values = {relay: results.median(WHICH[kind], relay, figure) for relay in ROWS}
        values = {relay: value for relay, value in values.items() if value > 0}
        if values:
            parts += _panel(title, values, top)
            top += 34 + BAR * len(values) + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="#1c1f24">\n'
        f'<rect width="{WIDTH}" height="{top}" rx="8" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(title: str, values: dict[str, float], top: int) -> Iterator[str]:
    smallest, largest = min(values.values()), max(values.values())
    logarithmic = largest > LOGARITHMIC * smallest
    yield f'<text x="16" y="{top + 14}" font-weight="600">{title}{", logarithmic" if logarithmic else ""}</text>'
    for number, (relay, value) in enumerate(values.items()):
        label, colour = ROWS[relay]
        share = math.log(value / smallest * 2) / math.log(largest / smallest * 2) if logarithmic else value / largest
        y, length = top + 26 + BAR * number, max(2, round(share * (WIDTH - LEFT - 100)))
        yield f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>'
        yield f'<rect x="{LEFT}" y="{y + 2}" width="{length}" height="{BAR - 6}" rx="2" fill="{colour}"/>'
        yield f'<text x="{LEFT + length + 8}" y="{y + 14}">{_written(value)}</text>'


def _written(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
