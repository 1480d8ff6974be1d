"""Where settings come from: flags, the environment, ``.env`` and ``headrace.toml``.

Each source gives entries: a path into the settings, a value, and the place where a person finds it. They are laid over
each other, the stronger last, and every path remembers its place, so that a message can name it.
"""

import io
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

from dotenv import dotenv_values

from headrace.config.fields import NAME
from headrace.config.key_text import digest_of

Path = tuple[str, ...]

#: The file that is read from the working directory where no other is named.
FILE = "headrace.toml"
PREFIX = "HEADRACE_"
#: What follows it in variables that are read elsewhere: the file's name, and what ``tail`` and ``append`` ask with.
_NO_SETTINGS = frozenset({"CONFIG", "URL", "API_KEY"})

#: Flags and variables that are short for a path.
SHORT: Mapping[str, Path] = {
    "host": ("server", "host"),
    "port": ("server", "port"),
    "workers": ("server", "workers"),
    "data": ("store", "data"),
}

#: What Kubernetes sets in every pod beside a service that is called "headrace".
_SERVICE_LINK = re.compile(r"HEADRACE_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")


class Entry(NamedTuple):
    """One value from one source."""

    path: Path
    value: Any
    place: str


class Problem(NamedTuple):
    """Something that cannot stay as it is, and where it stands."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class Unreadable(Exception):
    """A source that cannot be read at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Variables(NamedTuple):
    """The environment, and under it what ``.env`` holds. An empty variable is one that is not set."""

    environ: Mapping[str, str]
    dotenv: Mapping[str, str]

    def get(self, name: str) -> str:
        """Its value, or an empty text."""
        return (self.environ[name] if name in self.environ else self.dotenv.get(name, "")).strip()

    def place(self, name: str) -> str:
        """Where a person finds it."""
        return f"{name} (environment)" if name in self.environ else f"{name} (.env)"

    def names(self) -> list[str]:
        """All that are set."""
        return [name for name in {**self.dotenv, **self.environ} if self.get(name)]


def read_dotenv(folder: File) -> Mapping[str, str]:
    """What ``.env`` in the working directory holds; nothing where there is none. Raises Unreadable."""
    try:
        text = (folder / ".env").read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(Problem(".env", f"cannot be read ({type(error).__name__})")) from None
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def from_file(folder: File, name: str) -> Iterator[Entry]:
    """The entries of a TOML file, ``name`` being as its user wrote it. Raises Unreadable."""
    try:
        leaves = list(_leaves(tomllib.loads((folder / name).read_text(encoding="utf-8-sig"))))
    except FileNotFoundError:
        raise Unreadable(Problem(name, "there is no such file")) from None
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(Problem(name, f"is not valid TOML: {error}")) from None
    except (OSError, ValueError, RecursionError) as error:  # also numbers and nesting beyond what Python reads
        raise Unreadable(Problem(name, f"cannot be read ({type(error).__name__})")) from None
    for path, value in leaves:
        yield Entry(path, value, _toml_place(name, path))


def _leaves(table: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _toml_place(name: str, path: Path) -> str:
    *tables, key = path
    return f"{name}, [{'.'.join(tables)}] {key}" if tables else f"{name}, {key}"


def from_flags(flags: Mapping[str, Any]) -> Iterator[Entry]:
    """The entries of command line flags: short names, or dotted paths. None is a flag that was not given."""
    for name, value in flags.items():
        if value is not None:
            yield Entry(SHORT.get(name) or tuple(name.split(".")), value, f"--{name}")


def from_variables(variables: Variables) -> Iterator[Entry]:
    """The entries of the variables that begin with ``HEADRACE_``: a short name, or ``SECTION__FIELD``."""
    for name in variables.names():
        value = variables.get(name)
        rest = name.removeprefix(PREFIX)
        if rest == name or rest in _NO_SETTINGS or _SERVICE_LINK.fullmatch(name) or (rest == "PORT" and "://" in value):
            continue
        if rest == "API_KEYS":
            yield from _keys(value, variables.place(name))
        else:
            path = SHORT.get(rest.lower()) or tuple(part.lower() for part in rest.split("__"))
            yield Entry(path, value, variables.place(name))


def _keys(text: str, place: str) -> Iterator[Entry]:
    """Keys with commas between them, each ``name=key`` or a key alone, which is named after its digest."""
    for part in (piece.strip() for piece in text.split(",")):
        name, _, secret = part.partition("=")
        if NAME.fullmatch(name) and secret.strip("="):  # not the padding of base64
            yield Entry(("keys", name), secret, place)
        elif part:
            yield Entry(("keys", f"key-{digest_of(part.encode()).hex()[:12]}"), part, place)


def from_providers(variables: Variables) -> Iterator[Entry]:
    """The upstreams for which the providers' own variables are enough.

    Raises Unreadable where a key is there without its endpoint.
    """
    yield from _openai(variables)
    yield from _anthropic(variables)
    yield from _azure(variables)


def _openai(variables: Variables) -> Iterator[Entry]:
    if not variables.get("OPENAI_API_KEY"):
        return
    yield Entry(("upstreams", "openai", "kind"), "openai", variables.place("OPENAI_API_KEY"))
    base = "OPENAI_BASE_URL" if variables.get("OPENAI_BASE_URL") else "OPENAI_API_BASE"
    yield from _named(
        variables,
        "openai",
        {
            "api_key": "OPENAI_API_KEY",
            "base_url": base,
            "organization": "OPENAI_ORG_ID",
            "project": "OPENAI_PROJECT_ID",
        },
    )


def _anthropic(variables: Variables) -> Iterator[Entry]:
    key = "ANTHROPIC_API_KEY" if variables.get("ANTHROPIC_API_KEY") else "ANTHROPIC_AUTH_TOKEN"
    if not variables.get(key):
        return
    yield Entry(("upstreams", "anthropic", "kind"), "anthropic", variables.place(key))
    fields = {"api_key": "ANTHROPIC_API_KEY", "auth_token": "ANTHROPIC_AUTH_TOKEN", "base_url": "ANTHROPIC_BASE_URL"}
    yield from _named(variables, "anthropic", fields)


def _azure(variables: Variables) -> Iterator[Entry]:
    if not variables.get("AZURE_OPENAI_API_KEY"):
        return
    place = variables.place("AZURE_OPENAI_API_KEY")
    endpoint = "AZURE_OPENAI_ENDPOINT" if variables.get("AZURE_OPENAI_ENDPOINT") else "AZURE_OPENAI_API_BASE"
    if not variables.get(endpoint):
        text = "is set, but neither AZURE_OPENAI_ENDPOINT nor AZURE_OPENAI_API_BASE says where the resource is"
        raise Unreadable(Problem(place, text))
    version = "AZURE_OPENAI_API_VERSION" if variables.get("AZURE_OPENAI_API_VERSION") else "OPENAI_API_VERSION"
    yield Entry(("upstreams", "azure", "kind"), "azure", place)
    fields = {
        "api_key": "AZURE_OPENAI_API_KEY",
        "base_url": endpoint,
        "api_version": version,
        "models": "AZURE_OPENAI_MODEL",
    }
    yield from _named(variables, "azure", fields)
    if model := variables.get("AZURE_OPENAI_MODEL"):
        yield Entry(("default_model",), model, variables.place("AZURE_OPENAI_MODEL"))


def _named(variables: Variables, upstream: str, fields: Mapping[str, str]) -> Iterator[Entry]:
    for field, name in fields.items():
        if value := variables.get(name):
            yield Entry(("upstreams", upstream, field), value, variables.place(name))


class Layers:
    """Entries laid over each other: ``tree`` is the result, ``places`` tells where each path of it was said."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.places: dict[Path, str] = {}
        #: Where something is said of which a problem is told already: nothing else is to be told of it.
        self.refused: set[Path] = set()

    def lay(self, entry: Entry) -> None:
        """Put an entry over what is there."""
        *tables, key = entry.path
        node = self.tree
        for depth, name in enumerate(tables, 1):
            below = node.get(name)
            if not isinstance(below, dict):
                below = node[name] = {}
            node = below
            self.places.setdefault(entry.path[:depth], entry.place)
        node[key] = entry.value
        self.places[entry.path] = entry.place
        self.refused.discard(entry.path)

    def lay_under(self, entry: Entry) -> None:
        """Put an entry where nothing is said yet."""
        node: Any = self.tree
        for name in entry.path:
            if not isinstance(node, dict):
                return
            node = node.get(name, {} if name != entry.path[-1] else None)
        if node is None:
            self.lay(entry)

    def has_refused(self, path: Path) -> bool:
        """Whether a problem is told already of what stands at the path, or of what it is part of."""
        return any(path[:end] in self.refused for end in range(1, len(path) + 1))

    def place(self, path: Path) -> str:
        """Where the path was said, or the nearest table above it."""
        for end in range(len(path), 0, -1):
            if place := self.places.get(path[:end]):
                return place
        return ".".join(path) or "settings"
