"""The API's description is true: whatever it allows to be asked is answered, and as it says."""

import asyncio
import re
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from tests.faces.front import MESSAGES, Fake, Front, front, script
from tests.faces.surface import ENDLESS, ROWS
from tests.faces.test_surface import house as walk

from headrace.app import create_app
from headrace.config import Settings

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
#: What of a generated request counts here.
SENT = {"method", "url", "headers", "params", "json", "data", "cookies"}
#: Requests to each operation.
EXAMPLES = 6
#: Names in a route.
NAMED = re.compile(r"\{(\w+)")


def description():
    """The app's own, asked of a server that may say no."""
    return schemathesis.openapi.from_dict(create_app(Settings()).openapi())


OPERATIONS = [result.ok() for result in description().get_all_operations()]


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[tuple[asyncio.Runner, Front]]:
    """The app, on a loop of its own."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.txt").write_bytes(b"a")
    upstream = Fake(lambda _: script("a"))
    upstream.configured = ("fake", "demo")
    made = front(upstream, files={"folder": folder}, default_model="fake")
    with asyncio.Runner() as runner:
        at = runner.run(made.__aenter__())
        runner.run(at.ask("PUT", "/v1/topics/t", MESSAGES, {"content-type": "application/json"}))
        yield runner, at
        runner.run(made.__aexit__(None, None, None))


async def answered(at: Front, case: schemathesis.Case) -> schemathesis.Response:
    """The app's reply to a generated request; of a feed, its head."""
    given = case.as_transport_kwargs(base_url="http://localhost:8003")
    given = {
        name: given[name] for name in ("method", "url", "headers", "params", "json", "data", "cookies") if name in given
    }
    sent = requests.Request(**given).prepare()
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    headers = {name: str(value) for name, value in sent.headers.items()} | {"host": "localhost:8003"}
    async with at.open(case.method, sent.path_url, body, headers) as exchange:
        head = await exchange.head()
        content = b"" if case.path in ENDLESS and head.status == 200 else await exchange.rest()
    told = {name: [value] for name, value in head.headers.items()}
    return schemathesis.Response(head.status, told, content, sent, 0.0, verify=False)


MODES = [
    (operation, mode)
    for operation in OPERATIONS
    for mode in schemathesis.GenerationMode
    if mode.is_positive or operation.body or list(operation.iter_parameters())  # else nothing can be wrong
]


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "mode"), MODES, ids=[f"{asked.label} {mode}" for asked, mode in MODES])
def test_an_operation_answers_as_it_is_described(house, operation, mode):
    """To what is allowed and to what is not; never with a fault of the server's."""
    runner, at = house

    @seed(7)
    @settings(
        max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(mode))
    def ask(case: schemathesis.Case) -> None:
        case.validate_response(runner.run(answered(at, case)), checks=CHECKS)

    ask()


@pytest.mark.timeout(60)
async def test_what_is_there_answers_as_it_is_described(tmp_path):
    """Things that were made, to their owner, to others and to nobody: each way through the table of routes."""
    described = {(asked.method.upper(), asked.path): asked for asked in OPERATIONS}
    walked = set()
    async with walk(tmp_path) as at:
        for row in ROWS:
            operation = described.get((row.method, row.route.replace(":path", "")))
            if operation is None:
                continue
            for caller in ("nothing", "foreign", "elsewhere", "owner"):
                reply = await at.ask(caller, row, await at.things(row))
                assert reply.status == row.gets(caller)
                told = {name: [value] for name, value in reply.headers.items()}
                sent = requests.Request(row.method, f"http://localhost{row.route}").prepare()
                response = schemathesis.Response(reply.status, told, reply.body, sent, 0.0, verify=False)
                case = operation.Case(path_parameters=dict.fromkeys(NAMED.findall(row.route), "x"))
                case.validate_response(response, checks=CHECKS)
            walked.add((operation.method.upper(), operation.path))
    assert walked == described.keys()
