"""Writes the tables of docs/ that follow from the code: settings, errors, endings, routes, conversions, gates.

Each stands between ``<!-- table:NAME -->`` and ``<!-- table:end -->``. Run it after a change to any of them:
``.venv/bin/python scripts/docs_tables.py``. A test holds that nobody forgot.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from headrace.app import create_app
from headrace.config import Key, Settings
from headrace.errors import HeadraceError
from headrace.gates.catalogue import GATES, NEEDS
from headrace.model.outcome import Outcome, State
from headrace.wire import endings
from headrace.wire.carried import Fields, Lacks
from headrace.wire.chat import carried as chat
from headrace.wire.messages import carried as messages
from headrace.wire.responses import carried as responses
from headrace.wire.ui import carried as ui

DOCS = Path(__file__).parent.parent / "docs"

#: Fields that are not written by people: what is kept of a key instead of its text.
HIDDEN = frozenset({("keys", "NAME", "digest"), ("keys", "NAME", "weak")})

#: What a client's request holds, by its dialect and the place in there.
READ: dict[str, Fields] = {
    "chat": chat.FIELDS,
    "chat: a message": chat.MESSAGE,
    "Responses": responses.FIELDS,
    "Responses: an item of `input`": responses.ITEMS,
    "Messages": messages.FIELDS,
    "Messages: a document": messages.DOCUMENT,
    "`useChat`": ui.FIELDS,
    "`useChat`: a part": ui.PARTS,
    "`useChat`: a file": ui.FILE,
}
#: What an upstream's dialect has no place for.
WRITTEN: dict[str, Lacks] = {"chat": chat.LACKS, "Responses": responses.LACKS, "Messages": messages.LACKS}


def settings() -> Iterator[tuple[str, str, str]]:
    """Each setting: its path as in ``headrace.toml``, its default, and what it says."""
    yield from _fields(Settings, ())


def _fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        inner = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, (*path, name))
        elif inner:
            if inner[0] is Key:
                yield ".".join((*path, name, "NAME", "secret")), "", 'The key itself; `NAME = "KEY"` is short for it.'
            yield from _fields(inner[0], (*path, name, "NAME"))
        elif (*path, name) not in HIDDEN:
            yield ".".join((*path, name)), _default(field.get_default()), _line(field.description or "")


def _default(value: object) -> str:
    if isinstance(value, SecretStr) or value in ("", None, PydanticUndefined) or value == ():
        return ""
    if type(value) is tuple:  # not a policy, which is a tuple of its own kind
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, dict):
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return f"`{text}`"


def errors() -> Iterator[tuple[str, int, bool, str]]:
    """Each code with its status, whether to try again, and what it means; subclasses after their parents."""
    found: dict[tuple[str, int], tuple[str, int, bool, str]] = {}
    for kind in _tree(HeadraceError):
        summary = _line((kind.__doc__ or "").strip().splitlines()[0])
        found.setdefault((kind.code, kind.status), (kind.code, kind.status, kind.retryable, summary))
    yield from (row for row in found.values() if row[0] != "config")


def _tree(kind: type[HeadraceError]) -> Iterator[type[HeadraceError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def reasons() -> Iterator[tuple[str, str, str, str, str]]:
    """Each way in which an answer ends early: state, reason, the code told, that of the simple faces, the words."""
    known = [(State.FAILED, code) for code in endings._BY_REASON]  # noqa: SLF001 - the one table there is
    others = [(State.FAILED, "internal"), (State.CANCELLED, "cancelled"), (State.CANCELLED, "abandoned")]
    for state, reason in [*known, *others, (State.INTERRUPTED, "interrupted"), (State.INTERRUPTED, "shutdown")]:
        told = endings.ending(Outcome(state=state, reason=reason, ended_at=0.0))
        yield str(state), reason, told.code, told.simple, told.message


def routes() -> Iterator[tuple[str, str, str, str]]:
    """Each route of the OpenAPI page: its group, method, path and first sentence."""
    for path, methods in create_app(Settings()).openapi()["paths"].items():
        for method, operation in methods.items():
            text = _line(operation["description"].partition("\n\n")[0])
            yield operation["tags"][0], method.upper(), path, text


def carried() -> Iterator[tuple[str, str, str]]:
    """Each field of each dialect's requests, and what becomes of it in another dialect."""
    for place, fields in READ.items():
        yield from ((place, name, f"carried: {text}") for name, text in fields.carried.items())
        yield from ((place, name, f"left out: {text}") for name, text in fields.dropped.items())
        for name, (why, idle) in fields.refused.items():
            passing = ", ".join(f"`{json.dumps(value)}`" for value in idle)
            yield place, name, f"refused: {why}" + (f" ({passing} passes)" if passing else "")


def lacking() -> Iterator[tuple[str, str, str]]:
    """Each setting that a dialect of upstreams has no place for, and what becomes of it there."""
    for dialect, lacks in WRITTEN.items():
        yield from ((dialect, name, f"left out: {why}") for name, why in lacks.dropped.items())
        yield from ((dialect, name, f"refused: {why}") for name, why in lacks.refused.items())


def _line(text: str) -> str:
    """One line for a cell of a table, without the marks by which the code names faults."""
    return re.sub(r" \((?:[A-Z]\d+(?:, )?)+\)", "", " ".join(text.split())).replace("|", "\\|")


def _table(head: str, rows: Iterator[str]) -> str:
    columns = head.count("|") + 1
    return "\n".join([f"| {head} |", "|" + "---|" * columns, *rows])


def _settings_table() -> str:
    rows = (f"| `{path}` | {default} | {text} |" for path, default, text in settings())
    return _table("setting | default | what it says", rows)


def _errors_table() -> str:
    rows = (f"| `{code}` | {status} | {'yes' if again else 'no'} | {text} |" for code, status, again, text in errors())
    return _table("code | status | try again | meaning", rows)


def _reasons_table() -> str:
    rows = (
        f"| {state} | `{reason}` | `{code}` | `{simple}` | {text} |" for state, reason, code, simple, text in reasons()
    )
    return _table("state | reason | code | simple faces | what is said", rows)


def _routes_table() -> str:
    rows = (f"| {tag} | `{method} {path}` | {text} |" for tag, method, path, text in routes())
    return _table("group | route | what it does", rows)


def _carried_table() -> str:
    rows = (f"| {place} | `{name}` | {_line(text)} |" for place, name, text in carried())
    return _table("request | field | what becomes of it", rows)


def _lacking_table() -> str:
    rows = (f"| {dialect} | `{name}` | {_line(text)} |" for dialect, name, text in lacking())
    return _table("upstream | setting | what becomes of it", rows)


def _gates_table() -> str:
    rows = (f"| `{name}` | {caption} | {', '.join(NEEDS.get(name, ()))} |" for name, caption in GATES.items())
    return "\n".join(["| gate | what it does | needs |", "|---|---|---|", *rows])


TABLES: dict[str, Callable[[], str]] = {
    "settings": _settings_table,
    "errors": _errors_table,
    "reasons": _reasons_table,
    "routes": _routes_table,
    "carried": _carried_table,
    "lacking": _lacking_table,
    "gates": _gates_table,
}


def filled(text: str) -> str:
    """A page with its tables as the code has them now."""
    for name, table in TABLES.items():
        start, end = f"<!-- table:{name} -->\n", "<!-- table:end -->"
        before, found, rest = text.partition(start)
        if found:
            text = f"{before}{start}\n{table()}\n\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Write the pages that have changed."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (made := filled(text)) != text:
            page.write_text(made, encoding="utf-8")
            print(f"{page.name} is written anew.")


if __name__ == "__main__":
    main()
