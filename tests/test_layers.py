"""The rules of the tree, read from the source: which way imports go, how long things get, what is never written.

Each rule is a function from the modules to its complaints. It is run on the tree, and on a bad sample that it must
catch, so that no rule is there for show.
"""

import ast
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "headrace"

#: From the bottom up. Imports go down, or stay in a layer.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"headrace", "errors"}),
    frozenset({"model"}),
    frozenset({"config"}),  # settings are made of the model's values (a leave policy), never the other way
    frozenset({"core", "wire"}),
    frozenset({"stores", "upstreams", "records"}),
    frozenset({"faces", "web", "client", "fastapi", "testing"}),
    frozenset(
        {
            "__main__",
            "app",
            "cli",
            "configured",
            "gates",
            "keyring",
            "observe",
            "parts",
            "providers",
            "selftest",
            "server",
            "serving",
            "shell",
            "supervisor",
            "upkeep",
        }
    ),
)
#: Layers whose members never import each other.
STRANGERS = (LAYERS[3], LAYERS[4])
#: Only its own modules, tests, and these import it.
PRIVATE = {"testing": frozenset({"gates"})}

_SERVERS = frozenset({"httptools", "starlette", "fastapi", "granian", "uvicorn", "http"})
_MACHINE = frozenset({"asyncio", "anyio", "time", "socket", "ssl", "select", "threading", "subprocess"})
#: What a layer must not know, whoever else may.
FORBIDDEN = {
    "wire": _SERVERS | _MACHINE | {"random", "secrets", "uuid"},
    "model": _SERVERS | _MACHINE | {"random", "secrets", "uuid"},
    "core": _SERVERS | {"json", "socket", "ssl"},
}
#: Optional dependencies, each imported by one file.
OPTIONAL = frozenset({"granian", "opentelemetry", "psycopg", "redis"})
#: Where ``except Exception`` may stand, once each: the generation's task body and the ASGI edge.
BROAD = (frozenset({"core"}), frozenset({"app", "faces"}))

MAX_FILE = 400
MAX_FUNCTION = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name without ``headrace.``, and what was parsed."""

    name: str
    text: str
    package: bool = False
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", ast.parse(self.text))

    @property
    def part(self) -> str:
        """The name that LAYERS knows."""
        return self.name.partition(".")[0]

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self) -> Iterator[tuple[str, int]]:
        """Absolute dotted names with the line: for ``from a import b`` both ``a`` and ``a.b``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield base, node.lineno
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = ["headrace", *self.name.split(".")]
        base = here[: len(here) - node.level + self.package]
        return ".".join([*base, *([node.module] if node.module else [])])


@cache
def _read(folder: Path) -> list[Module]:
    modules = []
    for path in sorted(folder.rglob("*.py")):
        parts = list(path.relative_to(folder).with_suffix("").parts)
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts) or "headrace"
        modules.append(Module(name, path.read_text(encoding="utf-8"), package))
    return modules


def _rank(part: str) -> int | None:
    return next((rank for rank, layer in enumerate(LAYERS) if part in layer), None)


def _own(name: str) -> str | None:
    """The part of the tree that an import names; None for somebody else's package."""
    first, _, rest = name.partition(".")
    return (rest.partition(".")[0] or "headrace") if first == "headrace" else None


def every_module_has_a_layer(modules: Sequence[Module]) -> Iterator[str]:
    for part in {module.part for module in modules}:
        if _rank(part) is None:
            yield f"{part} is in no layer: give it one in LAYERS"


def imports_go_down(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for name, line in module.imports():
            other = _own(name)
            if other is None or other == module.part or (theirs := _rank(other)) is None:
                continue
            mine = _rank(module.part)
            if mine is not None and theirs > mine:
                yield f"{module.name}:{line} imports {other}, which is above it"
            if any({module.part, other} <= layer for layer in STRANGERS):
                yield f"{module.name}:{line} imports {other}, its sibling"
            if module.part not in PRIVATE.get(other, (module.part,)):
                yield f"{module.name}:{line} imports {other}, which is for tests"


def no_import_cycle(modules: Sequence[Module]) -> Iterator[str]:
    names = {module.name for module in modules}
    graph = {
        module.name: {
            target
            for name, _ in module.imports()
            if _own(name) and (target := name.removeprefix("headrace.")) in names and target != module.name
        }
        for module in modules
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield "cycle: " + " -> ".join([*path[path.index(name) :], name])
        elif name not in done:
            for target in sorted(graph[name]):
                yield from visit(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, ())


def layers_know_only_their_own_world(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        forbidden = FORBIDDEN.get(module.part, frozenset())
        for name, line in sorted({(name.partition(".")[0], line) for name, line in module.imports()}):
            if name in forbidden:
                yield f"{module.name}:{line} imports {name}: not under {module.part}"
        if module.part == "core":
            attributes = (node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
            lines = (node.lineno for node in attributes if ast.unparse(node) == "msgspec.json")
            yield from (f"{module.name}:{line} speaks JSON: not under core" for line in lines)


def no_local_import(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        for function in module.functions():
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{module.name}:{node.lineno} imports inside {function.name}"


def files_and_functions_are_short(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        if (lines := module.text.count("\n")) > MAX_FILE:
            yield f"{module.name} has {lines} lines: two things live in it"
        for function in module.functions():
            if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION:
                yield f"{module.name}:{function.lineno} {function.name} has {lines} lines"


def every_module_has_a_caption(modules: Sequence[Module]) -> Iterator[str]:
    for module in modules:
        caption = (ast.get_docstring(module.tree) or "").partition("\n")[0]
        if not caption.endswith("."):
            yield f"{module.name} has no docstring whose first line is a sentence: {caption!r}"


def optional_dependencies_stay_in_one_file(modules: Sequence[Module]) -> Iterator[str]:
    for dependency in OPTIONAL:
        users = {m.name for m in modules for name, _ in m.imports() if name.partition(".")[0] == dependency}
        if len(users) > 1:
            yield f"{dependency} is imported by {', '.join(sorted(users))}: one file is its place"


def errors_are_named(modules: Sequence[Module]) -> Iterator[str]:
    found: Counter[frozenset[str]] = Counter()
    for module in modules:
        for line in _broad_catches(module.tree):
            place = next((place for place in BROAD if module.part in place), None)
            if place is None:
                yield f"{module.name}:{line} catches every exception"
            else:
                found[place] += 1
                if found[place] > 1:
                    yield f"{module.name}:{line} catches every exception, and {'/'.join(sorted(place))} does already"


def _broad_catches(tree: ast.Module) -> Iterator[int]:
    """Lines that swallow any exception. Cleaning up and raising again swallows none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = _names(node.type) if node.type else {"BaseException"}
            last = node.body[-1]
            raised_again = isinstance(last, ast.Raise) and last.exc is None
            if "Exception" in caught or ("BaseException" in caught and not raised_again):
                yield node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            suppressed = {name for argument in node.args for name in _names(argument)}
            if suppressed & {"Exception", "BaseException"}:
                yield node.lineno


def _names(node: ast.expr) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


Rule = Callable[[Sequence[Module]], Iterator[str]]

RULES: tuple[Rule, ...] = (
    every_module_has_a_layer,
    imports_go_down,
    no_import_cycle,
    layers_know_only_their_own_world,
    no_local_import,
    files_and_functions_are_short,
    every_module_has_a_caption,
    optional_dependencies_stay_in_one_file,
    errors_are_named,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_tree_keeps_rule(rule: Rule) -> None:
    """Headrace's own source has nothing to complain of."""
    assert list(rule(_read(SOURCE))) == []


def test_tree_is_read() -> None:
    """The rules look at the real files, packages and modules both."""
    names = {module.name for module in _read(SOURCE)}
    assert {"headrace", "errors", "core", "core.log", "model.record"} <= names


def _sample(**sources: str) -> list[Module]:
    """Modules from ``part__name="source"``."""
    return [Module(name.replace("__", "."), textwrap.dedent(text)) for name, text in sources.items()]


GOOD = _sample(
    errors='"""Errors."""\nimport msgspec\n',
    model__record='"""A record."""\nfrom headrace.errors import HeadraceError\n',
    core__generation='''\
        """The generation."""
        import asyncio
        from headrace.core.log import Log

        def run():
            try:
                asyncio.run(1)
            except Exception:
                pass
        ''',
    core__log='"""The log."""\nfrom headrace.model.record import Record\n',
    stores__redis='"""Redis."""\nimport redis.asyncio\nfrom headrace.core import log\n',
    app='"""The application."""\nimport headrace.stores.redis.log\ntry:\n    pass\nexcept BaseException:\n    raise\n',
)

BAD: list[tuple[Rule, dict[str, str], str]] = [
    (every_module_has_a_layer, {"misc": ""}, "misc is in no layer"),
    (imports_go_down, {"core__log": "from headrace.stores.memory.log import MemoryStore"}, "stores, which is above it"),
    (imports_go_down, {"core__log": "import headrace.app"}, "app, which is above it"),
    (imports_go_down, {"core__log": "from headrace import faces"}, "faces, which is above it"),
    (imports_go_down, {"core__log": "from ..faces import reply"}, "faces, which is above it"),
    (imports_go_down, {"stores__memory": "from headrace.records import table"}, "records, its sibling"),
    (imports_go_down, {"wire__sse": "from headrace.core.clock import Clock"}, "core, its sibling"),
    (imports_go_down, {"app": "from headrace.testing import FakeUpstream"}, "testing, which is for tests"),
    (
        no_import_cycle,
        {"core__a": "import headrace.core.b", "core__b": "from headrace.core import c", "core__c": "from . import a"},
        "cycle: core.a -> core.b -> core.c -> core.a",
    ),
    (layers_know_only_their_own_world, {"wire__sse": "import asyncio"}, "not under wire"),
    (layers_know_only_their_own_world, {"wire__sse": "from time import monotonic"}, "not under wire"),
    (layers_know_only_their_own_world, {"model__events": "import starlette.requests"}, "not under model"),
    (layers_know_only_their_own_world, {"core__log": "import httptools"}, "not under core"),
    (layers_know_only_their_own_world, {"core__log": "import msgspec\nmsgspec.json.decode(b'')"}, "speaks JSON"),
    (no_local_import, {"app": "def open_store():\n    import redis\n"}, "imports inside open_store"),
    (no_local_import, {"app": "class A:\n    async def go(self):\n        from os import path\n"}, "imports inside go"),
    (files_and_functions_are_short, {"app": "a = 1\n" * (MAX_FILE + 1)}, "has 401 lines"),
    (files_and_functions_are_short, {"app": "def f():\n" + "    a = 1\n" * MAX_FUNCTION}, "f has 61 lines"),
    (every_module_has_a_caption, {"app": ""}, "no docstring"),
    (every_module_has_a_caption, {"app": '"""An application\n\nIt is one."""'}, "no docstring whose first line"),
    (
        optional_dependencies_stay_in_one_file,
        {"stores__redis": "import redis.asyncio", "app": "from redis import Redis"},
        "app, stores.redis",
    ),
    (errors_are_named, {"wire__sse": "try:\n    pass\nexcept Exception:\n    pass"}, "wire.sse:3 catches every"),
    (errors_are_named, {"wire__sse": "try:\n    pass\nexcept:\n    pass"}, "wire.sse:3 catches every"),
    (errors_are_named, {"wire__sse": "try:\n    pass\nexcept (OSError, BaseException):\n    pass"}, "catches every"),
    (errors_are_named, {"wire__sse": "with contextlib.suppress(Exception):\n    pass"}, "wire.sse:1 catches every"),
    (
        errors_are_named,
        {
            "faces__a": "try:\n    pass\nexcept Exception:\n    pass",
            "app": "try:\n    pass\nexcept Exception:\n    pass",
        },
        "app:3 catches every exception, and app/faces does already",
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_lets_good_sample_pass(rule: Rule) -> None:
    """A rule says nothing about what is allowed."""
    assert list(rule(GOOD)) == []


@pytest.mark.parametrize(("rule", "sources", "complaint"), BAD)
def test_rule_catches_bad_sample(rule: Rule, sources: dict[str, str], complaint: str) -> None:
    """A rule that is broken says where and how."""
    (found,) = set(rule(_sample(**sources)))
    assert complaint in found


def test_every_rule_has_bad_sample() -> None:
    """No rule goes unproved."""
    assert {rule for rule, _, _ in BAD} == set(RULES)
