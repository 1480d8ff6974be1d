"""Exports: what may be asked, what comes, under which name, and what happens when somebody leaves."""

import asyncio
import csv
import io
import json

import pytest
from tests.faces.front import ALICE, BOB, KEYS, Fake, bearer, front, script

from headrace.errors import StoreUnavailable
from headrace.records.export import COLUMNS, PAGE
from headrace.records.tables import generations
from headrace.testing.clock import settle


def row(number=0, **more):
    """A generation that is recorded."""
    return {
        "id": f"st_{number:05}",
        "owner": "local",
        "dialect": "openai.chat",
        "model": "fake",
        "upstream": "fake",
        "upstream_model": "fake-1",
        "created": 1_700_000_000.0 + number,
        "first_at": 1_700_000_000.25 + number,
        "ended_at": 1_700_000_001.5 + number,
        "state": "completed",
        "reason": "stop",
        "input_tokens": 10,
        "output_tokens": 20,
        "cached_tokens": 3,
        "reasoning_tokens": 4,
        "usage_exact": True,
        "cost": 0.000225,
        "key": "key_1",
        "records": 5,
        "bytes": 99,
        "conversation": "c1",
        **more,
    }


async def record(at, *rows):
    await at.service.records.run(lambda connection: connection.execute(generations.insert(), list(rows)))


async def ids(at, query="", headers=()):
    """The ids that an export has."""
    reply = await at.ask("GET", f"/v1/exports/generations{query}", headers=headers)
    assert (reply.status, reply.complete) == (200, True), reply.body
    return [json.loads(line)["id"] for line in reply.body.splitlines()]


async def test_a_generation_as_a_line():
    """Everything that is recorded, times as they are, what it took besides."""
    async with front() as at:
        await record(at, row())
        reply = await at.ask("GET", "/v1/exports/generations")
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert json.loads(reply.body) == {
        "id": "st_00000",
        "dialect": "openai.chat",
        "model": "fake",
        "upstream": "fake",
        "upstream_model": "fake-1",
        "created": 1_700_000_000.0,
        "first_at": 1_700_000_000.25,
        "ended_at": 1_700_000_001.5,
        "ttft": 0.25,
        "duration": 1.5,
        "state": "completed",
        "reason": "stop",
        "input_tokens": 10,
        "output_tokens": 20,
        "cached_tokens": 3,
        "reasoning_tokens": 4,
        "exact": True,
        "cost": 0.000225,
        "records": 5,
        "bytes": 99,
        "conversation": "c1",
        "key": "key_1",
    }


async def test_a_generation_as_a_row():
    """The same as a table, with a line of headings; what nobody knows is empty, not zero."""
    unknown = dict.fromkeys(("first_at", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"))
    async with front() as at:
        await record(at, row(), row(1, **unknown, usage_exact=None))
        reply = await at.ask("GET", "/v1/exports/generations?format=csv")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    heads, known, other = csv.reader(io.StringIO(reply.body.decode(), newline=""))
    assert tuple(heads) == COLUMNS
    assert dict(zip(heads, known, strict=True))["ttft"] == "0.25"
    shown = dict(zip(heads, other, strict=True))
    assert [shown[name] for name in ("first_at", "ttft", "input_tokens", "exact")] == [""] * 4
    assert shown["duration"] == "1.5"


async def test_an_answer_that_was_given_is_in_the_export():
    """From the request to the file, over the recorder."""
    async with front(Fake(script("Hello"))) as at:
        await at.ask("POST", "/chat", {"message": "Hi", "model": "fake"})
        await at.clock.advance(1.0)
        await at.service.recorder.fill()
        (line,) = (await at.ask("GET", "/v1/exports/generations")).body.splitlines()
    assert {"model": "fake", "state": "completed", "reason": "stop"}.items() <= json.loads(line).items()


async def test_nothing_recorded_is_an_empty_file():
    """Not an error; a table has its headings."""
    async with front() as at:
        lines = await at.ask("GET", "/v1/exports/generations")
        table = await at.ask("GET", "/v1/exports/generations?format=csv")
    assert (lines.status, lines.body, lines.complete) == (200, b"", True)
    assert table.body.decode() == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "", "application/x-ndjson"),
        ("", "*/*", "application/x-ndjson"),
        ("", "text/csv", "text/csv"),
        ("", "text/html, Text/CSV;q=0.9, application/x-ndjson;q=0.5", "text/csv"),
        ("", "application/jsonl, text/csv", "application/x-ndjson"),
        ("?format=ndjson", "text/csv", "application/x-ndjson"),
        ("?format=csv", "application/x-ndjson", "text/csv"),
    ],
)
async def test_the_format_is_asked_for(query, accept, kind):
    """In the query, else by what is accepted; NDJSON where neither says."""
    async with front() as at:
        for method in ("GET", "HEAD"):
            reply = await at.ask(method, f"/v1/exports/generations{query}", headers={"accept": accept})
            assert reply.headers["content-type"].partition(";")[0] == kind


async def test_it_is_saved_under_a_name_with_its_day():
    """And kept by no cache."""
    async with front() as at:
        for method in ("GET", "HEAD"):
            reply = await at.ask(method, "/v1/exports/generations?format=csv")
            name = 'attachment; filename="headrace-generations-2027-01-15.csv"'
            assert reply.headers["content-disposition"] == name
            assert reply.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?from=1700000001", [1, 2, 3]),
        ("?to=1700000001", [0]),
        ("?from=1700000001&to=1700000003", [1, 2]),
        ("?from=2023-11-14T22:13:22Z", [2, 3]),
        ("?from=2023-11-14T23:13:22%2B01:00", [2, 3]),
        ("?from=2023-11-14T22:13:22", [2, 3]),
        ("?from=2023-11-15", []),
        ("?to=2023-11-14", []),
        ("?to=9999-12-31", [0, 1, 2, 3]),
        ("?model=other", [1]),
        ("?state=failed", [2]),
        ("?conversation=c%209", [3]),
        ("?model=fake&conversation=c1", [0, 2]),
        ("?model=nobody", []),
    ],
)
async def test_filters(query, found):
    """``from`` is part of it and ``to`` is not; the others want the same text."""
    async with front() as at:
        await record(at, row(), row(1, model="other"), row(2, state="failed"), row(3, conversation="c 9"))
        assert await ids(at, query) == [f"st_{number:05}" for number in found]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("format=xlsx", "format"),
        ("format=", "format"),
        ("from=yesterday", "from"),
        ("from=", "from"),
        ("to=nan", "to"),
        ("to=1e999", "to"),
        ("to=2026-13-01", "to"),
        ("from=-inf", "from"),
        ("from=%00", "from"),
        ("state=open", "state"),
        ("state=COMPLETED", "state"),
        ("model=" + "x" * 513, "model"),
        ("conversation=" + "x" * 513, "conversation"),
    ],
)
async def test_what_cannot_be_asked_is_named(query, param):
    """A 400 in OpenAI's shape, for a look too."""
    async with front() as at:
        error = await at.json("GET", f"/v1/exports/generations?{query}", status=400)
        assert (await at.ask("HEAD", f"/v1/exports/generations?{query}")).status == 400
    assert error["error"]["param"] == param


async def test_hostile_filters_find_nothing_and_break_nothing():
    """They are values, never SQL."""
    async with front() as at:
        await record(at, row())
        for text in ("' OR 1=1 --", "%27%22;DROP TABLE generations", "%00", "%ff", "%", "_", "fak_"):
            assert await ids(at, f"?model={text.replace(' ', '%20')}") == []
        assert await ids(at) == ["st_00000"]


async def test_only_ones_own():
    """Another key's answers are in nobody else's file, and without a key there is none."""
    async with front(keys=KEYS) as at:
        await record(at, row(1, owner="alice"), row(2, owner="bob"))
        assert await ids(at, headers=bearer(ALICE)) == ["st_00001"]
        assert await ids(at, headers=bearer(BOB)) == ["st_00002"]
        for headers in ({}, bearer("nobody-0123456789abc")):
            for method in ("GET", "HEAD"):
                assert (await at.ask(method, "/v1/exports/generations", headers=headers)).status == 401


async def test_other_paths_and_methods_are_refused():
    """Nothing below it passes through to an upstream."""
    async with front() as at:
        assert (await at.ask("GET", "/v1/exports")).status == 404
        assert (await at.ask("GET", "/v1/exports/users")).status == 404
        assert (await at.ask("POST", "/v1/exports/generations")).status == 405


async def test_what_comes_during_the_export_is_not_in_it():
    """It ends at the moment in which it was asked for."""
    async with front() as at:
        now = at.clock.time()
        await record(at, *(row(n) for n in range(PAGE + 1)), row(PAGE + 9, created=now, ended_at=now + 1))
        assert len(await ids(at)) == PAGE + 1
        await at.clock.advance(1.0)
        assert len(await ids(at)) == PAGE + 2


# -- the one who downloads -------------------------------------------------------------------------------------------


class Counted:
    """The records, with a count of the pages that were read."""

    def __init__(self, records, monkeypatch):
        self.pages = 0
        self._read = records.read
        monkeypatch.setattr(records, "read", self.read)

    async def read(self, work):
        self.pages += 1
        return await self._read(work)


async def stuck(download):
    """Until the app waits for its client to take something."""
    download.hold()
    while not download.sending:  # noqa: ASYNC110 - the driver tells it no other way
        await asyncio.sleep(0)
    await settle()


@pytest.fixture
def many():
    return [row(n) for n in range(PAGE * 5)]


async def test_a_slow_reader_holds_one_page(many, monkeypatch):
    """No page is read before the last one was taken."""
    async with front() as at:
        await record(at, *many)
        counted = Counted(at.service.records, monkeypatch)
        async with at.open("GET", "/v1/exports/generations") as download:
            await download.head()
            await stuck(download)
            held = counted.pages
            await settle()
            assert counted.pages == held < 6
            download.release()
            assert (await download.rest()).count(b"\n") == len(many)
            assert download.complete
    assert counted.pages == 6


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_leaving_ends_the_query(many, monkeypatch, spec_version):
    """By the next page, on servers that tell it and on those that raise."""
    async with front(spec_version=spec_version) as at:
        await record(at, *many)
        counted = Counted(at.service.records, monkeypatch)
        async with at.open("GET", "/v1/exports/generations") as download:
            await download.piece()
            await stuck(download)
            held = counted.pages
        assert download.done
        await settle()
        assert counted.pages <= held + 1 < 6


async def test_who_takes_nothing_is_let_go(many):
    """After the send deadline, and without a clean end."""
    async with front() as at:
        await record(at, *many)
        async with at.open("GET", "/v1/exports/generations") as download:
            await download.head()
            await stuck(download)
            await at.clock.advance(29.0)
            assert not download.done
            await at.clock.advance(2.0)
            await download.returned()
            assert not download.complete


async def test_a_share_of_exports_at_once():
    """One more is refused and told to come again; one that ends, or is left, makes room."""
    async with front(keys=KEYS, limits={"exports_per_owner": 2}) as at:
        await record(at, *(row(n, owner="alice") for n in range(PAGE * 2)))

        def download():
            return at.open("GET", "/v1/exports/generations", headers=bearer(ALICE))

        async with download() as first, download() as second:
            for each in (first, second):
                await stuck(each)
            refused = await at.ask("GET", "/v1/exports/generations", headers=bearer(ALICE))
            assert (refused.status, refused.headers["x-should-retry"]) == (429, "true")
            assert json.loads(refused.body)["error"]["code"] == "rate_limit"
            assert await ids(at, headers=bearer(BOB)) == []
            first.release()
            assert (await first.response()).complete
            await first.returned()
            assert len(await ids(at, headers=bearer(ALICE))) == PAGE * 2
            second.disconnect()
        assert len(await ids(at, headers=bearer(ALICE))) == PAGE * 2


async def test_a_database_that_fails_at_first_is_told(monkeypatch):
    """As any error is, in a body of its own."""
    async with front() as at:
        monkeypatch.setattr(at.service.records, "read", _broken)
        reply = await at.ask("GET", "/v1/exports/generations")
    assert (reply.status, reply.complete) == (503, True)
    assert json.loads(reply.body)["error"]["code"] == "storage"


async def test_a_database_that_fails_midway_cuts_the_file(many, monkeypatch):
    """Half an export has no clean end."""
    async with front() as at:
        await record(at, *many)
        async with at.open("GET", "/v1/exports/generations") as download:
            await stuck(download)
            monkeypatch.setattr(at.service.records, "read", _broken)
            download.release()
            body = await download.rest()
        assert (download.done, download.complete) == (True, False)
    assert 0 < body.count(b"\n") < len(many)


async def _broken(work):
    raise StoreUnavailable


# -- topics ----------------------------------------------------------------------------------------------------------


async def make_topic(at, body, kind="application/json", path="jobs/one", headers=()):
    headers = {"content-type": kind, **dict(headers)}
    assert (await at.ask("PUT", f"/v1/topics/{path}", body, headers)).status in (200, 201)


async def test_a_topic_as_lines():
    """Each message with its number; JSON stays the JSON that it is."""
    async with front() as at:
        await make_topic(at, b'[{"a":1.50},[1,2],"=x",null,-5]')
        reply = await at.ask("GET", "/v1/exports/topics/jobs/one")
        assert reply.headers["content-disposition"] == 'attachment; filename="headrace-jobs-one-2027-01-15.ndjson"'
    assert reply.body.decode().splitlines() == [
        '{"number":1,"data":{"a":1.50}}',
        '{"number":2,"data":[1,2]}',
        '{"number":3,"data":"=x"}',
        '{"number":4,"data":null}',
        '{"number":5,"data":-5}',
    ]


async def test_a_topic_as_rows():
    """Texts are no formulas, and numbers are numbers."""
    async with front() as at:
        await make_topic(at, rb'[{"a":1},"=1+1","@x","plain",-5,1.5,true,null,1e999,-1e999]')
        reply = await at.ask("GET", "/v1/exports/topics/jobs/one?format=csv")
    heads, *rows = csv.reader(io.StringIO(reply.body.decode(), newline=""))
    assert heads == ["number", "data"]
    cells = ['{"a":1}', "'=1+1", "'@x", "plain", "-5", "1.5", "true", ""]
    assert [cell for _, cell in rows] == [*cells, "1e999", "'-1e999"]
    assert [number for number, _ in rows] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [("text/plain", "Grüße\n".encode(), "Grüße\n"), ("image/png", b"\x89PNG\xff", "iVBOR/8=")],
)
async def test_a_topic_of_text_or_bytes(kind, body, shown):
    """Text as text, all else as Base64."""
    async with front() as at:
        await make_topic(at, body, kind)
        reply = await at.ask("GET", "/v1/exports/topics/jobs/one")
    assert json.loads(reply.body) == {"number": 1, "data": shown}


async def test_a_long_topic_comes_in_parts_and_goes_on_where_it_ended():
    """Each message once; what is appended meanwhile is the next export's."""
    path = "/v1/exports/topics/jobs/one"
    async with front() as at:
        await make_topic(at, json.dumps([{"n": n, "fill": "x" * 100} for n in range(1000)]).encode())
        async with at.open("GET", path) as download:
            await stuck(download)
            await at.ask("POST", "/v1/topics/jobs/one", b'"more"', {"content-type": "application/json"})
            download.release()
            head = await download.head()
            lines = [json.loads(line) for line in (await download.rest()).splitlines()]
            assert download.complete
        assert [(line["number"], line["data"]["n"]) for line in lines] == [(n + 1, n) for n in range(1000)]
        offset = head.headers["stream-next-offset"]
        rest = await at.ask("GET", f"{path}?offset={offset}")
        assert json.loads(rest.body) == {"number": 1001, "data": "more"}
        done = await at.ask("GET", f"{path}?offset={rest.headers['stream-next-offset']}")
        assert (done.status, done.body, done.complete) == (200, b"", True)


async def test_a_topic_that_goes_away_midway_cuts_the_file():
    """Half of it has no clean end."""
    async with front() as at:
        await make_topic(at, json.dumps(["x" * 100] * 1000).encode())
        async with at.open("GET", "/v1/exports/topics/jobs/one") as download:
            await stuck(download)
            await at.ask("DELETE", "/v1/topics/jobs/one")
            download.release()
            await download.rest()
            assert not download.complete


async def test_only_ones_own_topics():
    """Another key's are not there; nor is what is none, in whatever way it is asked for."""
    async with front(keys=KEYS) as at:
        await make_topic(at, b"[1]", headers=bearer(ALICE))
        for method in ("GET", "HEAD"):
            for key, path, status in (
                (ALICE, "jobs/one", 200),
                (BOB, "jobs/one", 404),
                (ALICE, "jobs", 404),
                (ALICE, "jobs/../one", 400),
                (ALICE, "jobs/one?format=pdf", 400),
            ):
                reply = await at.ask(method, f"/v1/exports/topics/{path}", headers=bearer(key))
                assert reply.status == status, path
            assert (await at.ask(method, "/v1/exports/topics/jobs/one")).status == 401
        for offset, status in (("nope", 400), ("9" * 65, 400), ("0000000000000000_0000000000000009", 410)):
            reply = await at.ask("GET", f"/v1/exports/topics/jobs/one?offset={offset}", headers=bearer(ALICE))
            assert reply.status == status


# -- spreadsheets ----------------------------------------------------------------------------------------------------

HOSTILE = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '"=1',
    '=HYPERLINK("http://x","y")',
    "＝1+1",  # noqa: RUF001
    "＋1",  # noqa: RUF001
    "a,=1",
    'a"\r\n=1,"',
    "'=1",
    ";=1",
]
STARTS = set("=+-@\t\r\n＝＋－＠")  # noqa: RUF001


async def test_no_cell_is_a_formula():
    """In no column that somebody else has a say in; in NDJSON the texts stand as they are."""
    texts = ("model", "upstream_model", "reason", "conversation")
    async with front() as at:
        rows = [row(n, **dict.fromkeys(texts, text)) for n, text in enumerate(HOSTILE)]
        await record(at, *rows)
        table = await at.ask("GET", "/v1/exports/generations?format=csv")
        lines = await at.ask("GET", "/v1/exports/generations")
    read = list(csv.DictReader(io.StringIO(table.body.decode(), newline="")))
    assert len(read) == len(HOSTILE)
    for cells, text in zip(read, HOSTILE, strict=True):
        assert not [value for value in cells.values() if value[:1] in STARTS]
        for name in texts:
            assert cells[name] in (text, "'" + text)
    assert [json.loads(line)["model"] for line in lines.body.split(b"\n")[:-1]] == HOSTILE
