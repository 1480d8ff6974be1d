"""How far a key reaches: its routes and its models, told in each client's own words."""

import json

import pytest
from fastapi.routing import APIRoute
from tests.faces.front import MESSAGES, Fake, bearer, front, script

from headrace.config import Key
from headrace.errors import Forbidden
from headrace.faces.access.reach import check
from headrace.model.grants import ROUTES, Grants

ALL, SOME = "hr_all_all_all_all_all", "hr_some_some_some_some"


def keys(**grants):
    """A key of alice's that may do everything, and one that may not."""
    return {"alice": Key.model_validate(ALL), "bob": Key.model_validate({"secret": SOME, **grants})}


@pytest.mark.parametrize("tags", [[], ["New face"]])
def test_what_does_not_stand_in_the_table_is_closed(tags):
    """But to keys that are good for everything."""
    route = APIRoute("/new", lambda: None, tags=tags)
    check(Grants(), {"route": route})
    for grants in (Grants(routes=ROUTES), Grants(routes=())):
        with pytest.raises(Forbidden):
            check(grants, {"route": route})


CHAT = {"model": "fake", "messages": MESSAGES}
#: A request to each face that starts answers.
REQUESTS = {
    "chat": ("POST", "/v1/chat/completions", CHAT),
    "responses": ("POST", "/v1/responses", {"model": "fake", "input": "x"}),
    "messages": ("POST", "/v1/messages", {**CHAT, "max_tokens": 9}),
    "ui": ("POST", "/api/chat", {"id": "c", "messages": []}),
    "simple": ("POST", "/chat", {"model": "fake", "message": "x"}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_refusal_is_in_the_words_of_the_client(name):
    """Each dialect's own error, and nothing was started."""
    method, target, body = REQUESTS[name]
    async with front(fake := Fake(lambda _: script("a")), keys=keys(routes=["topics"])) as at:
        reply = await at.ask(method, target, body, bearer(SOME))
        assert reply.status == 403
        assert b"not good for this route" in reply.body
        assert reply.headers["x-should-retry"] == "false"
        if name == "ui":
            assert reply.headers["headrace-error"] == "forbidden"
        elif name == "messages":
            assert json.loads(reply.body)["error"]["type"] == "permission_error"
        else:
            assert json.loads(reply.body)["error"]["code"] == "forbidden"
        assert fake.calls == []


# -- models ----------------------------------------------------------------------------------------------------------

LIMITED = {"models": ["demo/e*", "good"]}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}),
        ("/v1/responses", {"input": "x"}),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 9}),
        ("/v1/messages/count_tokens", {"messages": MESSAGES}),
        ("/api/chat", {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "x"}]}]}),
        ("/chat", {"message": "x"}),
        ("/infer", {"message": "x"}),
        ("/v1/embeddings", {"input": "x"}),
    ],
)
@pytest.mark.parametrize("model", ["fake", "demo", "fake/x", "none"])
async def test_a_model_that_a_key_does_not_see_is_not_there(target, body, model):
    """Whether it exists or not, in the same words; the list has what the key sees and nothing else."""
    async with front(fake := Fake(lambda _: script("a")), keys=keys(**LIMITED)) as at:
        raw = json.dumps({**body, "model": model}).encode()
        headers = {**bearer(SOME), "content-type": "application/json", "content-length": str(len(raw))}
        reply = await at.ask("POST", target, raw, headers)
        assert reply.status == 404, reply.body
        told = reply.body.decode().replace('\\"', '"')
        assert f"There is no model '{model}' here. There are: demo/echo" in told
        assert "fake" not in told.replace(f"'{model}'", "")
        assert fake.calls == []


async def test_a_model_that_a_key_sees_answers():
    """By the name that is asked for."""
    async with front(Fake(lambda _: script("a")), keys=keys(**LIMITED)) as at:
        body = {"model": "demo/echo", "messages": MESSAGES}
        assert (await at.ask("POST", "/v1/chat/completions", body, bearer(SOME))).status == 200


async def test_the_default_model_is_no_way_round():
    """Where a request names none, the key has to see the one that stands in."""
    given = {"keys": keys(models=["demo/echo"]), "default_model": "fake"}
    async with front(fake := Fake(lambda _: script("a")), **given) as at:
        reply = await at.ask("POST", "/chat", {"message": "x"}, bearer(SOME))
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (404, "model_not_found")
        assert (await at.ask("POST", "/chat", {"message": "x"}, bearer(ALL))).status == 200
        assert len(fake.calls) == 1


async def test_the_list_of_models_has_those_that_a_key_sees():
    """In both shapes, and one by one."""
    async with front(Fake(), keys=keys(**LIMITED)) as at:
        known = [card["id"] for card in (await at.json("GET", "/v1/models", headers=bearer(ALL)))["data"]]
        seen = [id for id in known if id.startswith("demo/e")]
        assert 0 < len(seen) < len(known)
        for shape in ({}, {"anthropic-version": "2023-06-01"}):
            found = await at.json("GET", "/v1/models", headers={**bearer(SOME), **shape})
            assert [card["id"] for card in found["data"]] == seen
        assert (await at.ask("GET", "/v1/models/demo/echo", headers=bearer(SOME))).status == 200
        assert (await at.ask("GET", "/v1/models/demo", headers=bearer(SOME))).status == 404


@pytest.mark.parametrize(
    ("method", "body", "more"),
    [
        ("POST", b'{"input": "x"}', {"content-type": "application/json"}),
        ("POST", b'{"model": "good"}', {"content-type": "text/plain"}),
        ("POST", b'{"model": "good"}', {"content-type": "multipart/form-data; boundary=x"}),
        ("POST", b"[1]", {"content-type": "application/json"}),
        ("GET", b"", {}),
    ],
)
async def test_a_call_that_names_no_model_is_not_passed_on_for_a_key_with_models(method, body, more):
    """Nobody could tell what it would reach; naming an upstream does not help."""
    async with front(Fake(), keys=keys(**LIMITED)) as at:
        for header in ({}, {"headrace-upstream": "fake"}):
            reply = await at.ask(method, "/v1/audio/voices", body, {**bearer(SOME), **more, **header})
            assert (reply.status, json.loads(reply.body)["error"]["code"]) == (403, "forbidden"), reply.body
