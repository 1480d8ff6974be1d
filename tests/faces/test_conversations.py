"""Conversations: made, found, changed, exported and deleted by their owner."""

import json

import pytest
from tests.faces.front import ALICE, BOB, KEYS, Fake, bearer, front, script
from tests.faces.test_conversation_answers import asked, begin, ended

LIST = "/api/conversations"


async def ids(at, query=""):
    return [each["id"] for each in (await at.json("GET", LIST + query))["data"]]


async def make(at, *names):
    for name in names:
        at.clock.step_wall(1)
        await at.json("POST", LIST, {"id": name, "title": f"Talk {name}"}, status=201)


async def test_a_conversation_is_made_once():
    """A retry under the same id is the same one; another owner cannot have it, and learns nothing of it."""
    async with front(keys=KEYS) as at:
        body = {"id": "c1", "title": " One\n title ", "settings": {"model": "m", "system": "x", "top_p": 0.5}}
        made = await at.json("POST", LIST, body, bearer(ALICE), 201)
        assert (made["id"], made["title"], made["leaf"]) == ("c1", "One title", None)
        assert made["settings"] == body["settings"]
        again = await at.json("POST", LIST, {"id": "c1", "title": "Other"}, bearer(ALICE), 200)
        assert again == made
        refused = await at.json("POST", LIST, {"id": "c1"}, bearer(BOB), 422)
        assert refused["error"]["param"] == "id"
        own = await at.json("POST", LIST, b"", bearer(BOB), 201)
        assert len(own["id"]) > 20


async def test_the_list_is_paged_with_the_latest_change_first():
    async with front() as at:
        await make(at, "a", "b", "c", "d")
        at.clock.step_wall(1)
        await at.json("PATCH", f"{LIST}/a", {"title": "Renamed"})
        first = await at.json("GET", f"{LIST}?limit=2")
        assert ([each["id"] for each in first["data"]], first["has_more"]) == (["a", "d"], True)
        assert await ids(at, "?limit=2&before=d") == ["c", "b"]
        assert await ids(at, "?before=b") == []


async def test_conversations_of_one_moment_are_paged_too():
    async with front() as at:
        for name in "abc":
            await at.json("POST", LIST, {"id": name}, status=201)
        seen = []
        while page := await ids(at, f"?limit=1&before={seen[-1]}" if seen else "?limit=1"):
            seen += page
        assert seen == ["c", "b", "a"]


async def test_search_finds_titles_and_messages():
    """Whatever the case, and with the letters that SQL has a meaning for as they are."""
    async with front(Fake(script("The ANSWER is 100%_sure"))) as at:
        await make(at, "a", "b")
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(text="重要的问题"), status=201)
        await ended(at, where)
        assert await ids(at, "?search=talk") == ["b", "a"]
        assert await ids(at, "?search=answer") == ["c1"]
        assert await ids(at, "?search=100%25_s") == ["c1"]
        assert await ids(at, "?search=1000") == []
        assert await ids(at, "?search=a_k") == []
        assert await ids(at, "?search=%E9%87%8D%E8%A6%81") == ["c1"]


async def test_what_changes_is_what_is_given():
    async with front(Fake(script("Hi"))) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(), status=201)
        await ended(at, where)
        changed = await at.json("PATCH", where, {"leaf": "u1"})
        assert (changed["leaf"], changed["title"]) == ("u1", "Hello")
        assert "messages" not in changed
        changed = await at.json("PATCH", where, {"settings": {"temperature": 1}})
        assert changed["settings"] == {"temperature": 1}
        missing = await at.json("PATCH", where, {"leaf": "none"}, status=404)
        assert missing["error"]["param"] == "leaf"


async def test_deleting_one_stops_its_answers_and_keeps_nothing():
    upstream = Fake(script("Hi"))
    async with front(upstream) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(), status=201)
        await ended(at, where)
        assert await at.json("DELETE", where) == {"id": "c1", "deleted": True}
        assert (await at.ask("GET", where)).status == 404
        assert (await at.ask("DELETE", where)).status == 404
        assert (await at.ask("GET", f"/v1/streams/{reply['stream']}")).status == 410
        assert (await at.ask("POST", f"{where}/answers", asked())).status == 404
        assert await at.service.recorder.generation("local", reply["stream"]) is None
        assert await at.service.talks.conversations.messages("local", "c1") == []


async def test_an_export_is_saved_by_the_browser():
    """Markdown has the branch that was shown last, JSON has all."""
    async with front(Fake(script("Hi"))) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(text="Hello <b>you</b>"), status=201)
        await ended(at, where)
        await at.json("POST", f"{where}/answers", {"id": "a2", "parent": "u1", "model": "fake"}, status=201)
        await ended(at, where)
        text = await at.ask("GET", f"{where}/export")
        assert text.headers["content-disposition"].startswith("attachment;")
        assert text.headers["content-type"] == "text/markdown; charset=utf-8"
        assert text.body.decode().count("## fake\n\nHi\n") == 1
        assert "## User\n\nHello <b>you</b>\n" in text.body.decode()
        whole = await at.ask("GET", f"{where}/export?format=json")
        assert "attachment" in whole.headers["content-disposition"]
        assert json.loads(whole.body) == await at.json("GET", where)
        assert (await at.ask("GET", f"{where}/export?format=pdf")).status == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"id": "a/b"}, "id"),
        ({"title": "x" * 201}, "title"),
        ({"title": 1}, "title"),
        ({"settings": []}, "settings"),
        ({"settings": {"max_tokens": 0}}, "settings.max_tokens"),
        ({"settings": {"system": "x" * 100_001}}, "settings.system"),
        (b"{", None),
    ],
)
async def test_what_is_wrong_is_named(body, param):
    async with front() as at:
        assert (await at.json("POST", LIST, body, status=400))["error"]["param"] == param
        assert await ids(at) == []


async def test_what_is_kept_is_there_after_a_restart(tmp_path):
    async with front(Fake(script("Hi")), folder=tmp_path) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(), status=201)
        before = await ended(at, where)
    async with front(folder=tmp_path) as at:
        assert await at.json("GET", where) == before
