"""Reading, checking and refusing settings, with every problem in one message."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as File
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headrace.config.checks import contradictions
from headrace.config.references import expand
from headrace.config.sources import (
    FILE,
    PREFIX,
    SHORT,
    Entry,
    Layers,
    Path,
    Problem,
    Unreadable,
    Variables,
    from_file,
    from_flags,
    from_providers,
    from_variables,
    read_dotenv,
)
from headrace.config.values import Settings
from headrace.errors import ConfigError

#: Fields whose value is never shown; nor is that of a key that is not known, which may be one of these misspelt.
_SECRET = frozenset({"api_key", "api_keys", "auth_token", "secret", "keys", "base_url", "url", "headers"})
_LOOKS_SECRET = re.compile(r"(?i)(sk|pk|rk|hr|key|bearer|token)[-_ ].*|(?=.*\d)[^\s/.:\\]{20,}")
_SHOWN = 60
#: What of an upstream belongs together: an address and the credentials for it.
_OWN = frozenset({"base_url", "api_key", "auth_token"})


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    config: str | File | None = None,
    environ: Mapping[str, str] | None = None,
    folder: File | None = None,
) -> Settings:
    """The settings, the stronger source first: ``flags``, environment, ``.env``, ``headrace.toml``, defaults.

    ``flags`` are short names (``host``, ``port``, ``workers``, ``data``) or dotted paths (``server.drain``); None is
    a flag that was not given. ``config`` is the file's path, else ``HEADRACE_CONFIG``, else ``headrace.toml`` where
    there is one. Raises ConfigError, whose message has one line for each problem and holds no secret.
    """
    folder = folder or File.cwd()
    problems: list[Problem] = []
    variables = Variables(os.environ if environ is None else environ, _dotenv(folder, problems))
    file = _file(config, variables, folder)
    tables = _readable(from_file(folder, file) if file else (), problems)
    layers = _lay(flags or {}, variables, tables, problems)
    try:
        settings = Settings.model_validate(layers.tree)
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not layers.has_refused(_path(detail))]
        problems += [_explain(detail, layers) for detail in details]
    else:
        problems += () if layers.refused else contradictions(settings, layers)
        if not problems:
            return settings
    raise ConfigError("\n".join(str(problem) for problem in problems))


def environment(flags: Mapping[str, Any]) -> dict[str, str]:
    """Flags as the variables that say the same, for worker processes that read their settings again."""
    paths = {name: SHORT.get(name) or tuple(name.split(".")) for name in flags}
    return {PREFIX + "__".join(paths[name]).upper(): str(value) for name, value in flags.items() if value is not None}


def _dotenv(folder: File, problems: list[Problem]) -> Mapping[str, str]:
    try:
        return read_dotenv(folder)
    except Unreadable as error:
        problems.append(error.problem)
        return {}


def _file(config: str | File | None, variables: Variables, folder: File) -> str:
    """The configuration file's name; empty where there is none."""
    named = str(config or "") or variables.get(PREFIX + "CONFIG")
    return named or (FILE if (folder / FILE).is_file() else "")


def _lay(flags: Mapping[str, Any], variables: Variables, tables: Iterable[Entry], problems: list[Problem]) -> Layers:
    """All sources over each other, the weakest first."""
    layers = Layers()
    for entry in tables:
        _lay_one(layers, entry, variables, problems)
    for entry in (*from_variables(variables), *from_flags(flags)):
        layers.lay(entry)
    taken = _taken(layers.tree)
    for entry in _readable(from_providers(variables), problems):
        if not (entry.path[0] == "upstreams" and entry.path[1] in taken):
            layers.lay_under(entry)
    layers.lay_under(Entry(("upstreams", "demo", "kind"), "demo", "default"))
    return layers


def _lay_one(layers: Layers, entry: Entry, variables: Variables, problems: list[Problem]) -> None:
    found, wrong = expand(entry, variables)
    layers.lay(found)
    if wrong:
        problems += wrong
        layers.refused.add(entry.path)


def _readable(entries: Iterable[Entry], problems: list[Problem]) -> Iterator[Entry]:
    try:
        yield from entries
    except Unreadable as error:
        problems.append(error.problem)


def _taken(tree: Mapping[str, Any]) -> set[str]:
    """Upstreams that were given an address, a key or another kind: no provider's key is put beside those."""
    upstreams = tree.get("upstreams")
    tables = upstreams.items() if isinstance(upstreams, dict) else ()
    return {
        name
        for name, table in tables
        if not isinstance(table, dict) or _OWN.intersection(table) or table.get("kind", name) != name
    }


# -- saying what is wrong ------------------------------------------------------------------------------------------


def _path(detail: ErrorDetails) -> Path:
    return tuple(str(part) for part in detail["loc"])


def _explain(detail: ErrorDetails, layers: Layers) -> Problem:
    path = _path(detail)
    place = layers.place(path)
    if detail["type"] == "extra_forbidden":
        return Problem(place, f"unknown key {path[-1]!r}{_did_you_mean(path)}")
    if detail["type"] == "missing":
        return Problem(place, f"{path[-1]!r} is needed too")
    if detail["type"] == "value_error":
        return Problem(place, str(detail["ctx"]["error"]))
    expected = (
        detail["msg"]
        .replace("Input should be a valid ", "a ")
        .replace("Input should be ", "")
        .replace("a tuple", "a list")
    )
    if detail["type"] in ("model_type", "dict_type"):
        expected = "a table"
    elif detail["type"].startswith("int_"):
        expected = "a whole number"
    elif detail["type"].startswith("float_"):
        expected = "a number"
    hint = " (a name with dots needs quotes)" if path[0] == "models" and detail["type"].startswith("float_") else ""
    return Problem(place, f"expected {expected}, found {_found(detail['input'], path)}{hint}")


def _found(value: object, path: Path) -> str:
    if _SECRET.intersection(path):
        return "something else"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str) and _LOOKS_SECRET.fullmatch(value):
        return "another text"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _did_you_mean(path: Path) -> str:
    known = _known(path[:-1])
    close = difflib.get_close_matches(path[-1], known, n=1) or [name for name in known if path[-1] in name.split("_")]
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def _known(tables: Path) -> list[str]:
    """The keys of a table."""
    annotation: Any = Settings
    for name in tables:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[name].annotation
        else:
            annotation = get_args(annotation)[-1]
    return ["secret" if name == "digest" else name for name in annotation.model_fields if name != "weak"]
