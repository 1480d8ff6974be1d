"""The list of models, in the shape of whoever asks."""

import pytest
from anthropic.types import ModelInfo
from openai.types import Model
from tests.faces.front import ALICE, KEYS, Fake, bearer, front

from headrace.core.routing import ModelCard

ANTHROPIC = {"anthropic-version": "2023-06-01"}


class Known(Fake):
    """An upstream with five models, of which one says when it was made."""

    async def models(self):
        return [ModelCard(id=f"m{i}", owned_by=self.name, created=1_700_000_000 if i == 3 else 0) for i in range(5)]


async def listed(at, query=""):
    """A page of Anthropic's list without the demo's models."""
    return await at.json("GET", f"/v1/models{query}", headers=ANTHROPIC)


def ids(page):
    return [model["id"] for model in page["data"]]


async def test_openai_clients_get_openais_shape():
    async with front(Known()) as at:
        page = await at.json("GET", "/v1/models")
        one = await at.json("GET", "/v1/models/m3")
    assert page["object"] == "list"
    assert [Model.model_validate(each, strict=True).id for each in page["data"]][:5] == ["m0", "m1", "m2", "m3", "m4"]
    assert one == {"id": "m3", "object": "model", "created": 1_700_000_000, "owned_by": "fake"}
    assert one in page["data"]


async def test_anthropic_clients_get_anthropics_shape():
    """Asked by the header that their SDKs always send; what is not known is null, or the epoch."""
    async with front(Known()) as at:
        page = await listed(at)
        one = await at.json("GET", "/v1/models/m3", headers=ANTHROPIC)
        deep = await at.json("GET", "/v1/models/demo/echo", headers=ANTHROPIC)
    assert "object" not in page
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "m0", ids(page)[-1])
    for each in page["data"]:
        ModelInfo.model_validate(each)
    assert one in page["data"]
    assert (one["type"], one["display_name"], one["created_at"]) == ("model", "m3", "2023-11-14T22:13:20Z")
    assert page["data"][0]["created_at"] == "1970-01-01T00:00:00Z"
    assert deep["id"] == "demo/echo"


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("?limit=2", ["m0", "m1"], True),
        ("?limit=2&after_id=m1", ["m2", "m3"], True),
        ("?limit=2&before_id=m4", ["m2", "m3"], True),
        ("?limit=4&before_id=m4", ["m0", "m1", "m2", "m3"], False),
        ("?after_id=m1&before_id=m4", ["m2", "m3"], False),
        ("?limit=2&before_id=m0", [], False),
    ],
)
async def test_a_page_is_what_was_asked_for(query, expected, more):
    async with front(Known()) as at:
        page = await listed(at, query)
    assert (ids(page), page["has_more"]) == (expected, more)
    assert (page["first_id"], page["last_id"]) == ((expected[0], expected[-1]) if expected else (None, None))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_one_after_another_are_the_whole_list(size):
    """In both directions."""
    async with front(Known()) as at:
        whole = ids(await listed(at))
        for way, edge in (("after_id", "last_id"), ("before_id", "first_id")):
            found, query = [], "" if way == "after_id" else f"&before_id={whole[-1]}"
            while True:
                page = await listed(at, f"?limit={size}{query}")
                found = found + ids(page) if way == "after_id" else ids(page) + found
                if not page["has_more"]:
                    break
                query = f"&{way}={page[edge]}"
            assert found == (whole if way == "after_id" else whole[:-1])


@pytest.mark.parametrize("query", ["?after_id=none", "?before_id=none", "?limit=0", "?limit=1001", "?limit=x"])
async def test_a_page_that_is_nowhere_is_refused(query):
    async with front(Known()) as at:
        told = await at.json("GET", f"/v1/models{query}", headers=ANTHROPIC, status=400)
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert told["error"]["param"] in query


@pytest.mark.parametrize("headers", [{}, ANTHROPIC])
async def test_no_such_model_in_the_askers_own_shape(headers):
    async with front(Known()) as at:
        told = await at.json("GET", "/v1/models/none", headers=headers, status=404)
    assert told["error"]["code"] == "model_not_found"
    assert (told.get("type") == "error") == bool(headers)


async def test_a_key_is_needed_where_there_are_keys():
    """And its absence is told in the asker's own shape."""
    async with front(Known(), keys=KEYS) as at:
        told = await at.json("GET", "/v1/models", headers=ANTHROPIC, status=401)
        assert (told["type"], told["error"]["type"]) == ("error", "authentication_error")
        assert (await at.json("GET", "/v1/models", status=401))["error"]["code"] == "invalid_api_key"
        assert (await at.ask("GET", "/v1/models", headers=ANTHROPIC | {"x-api-key": ALICE})).status == 200
        assert (await at.ask("GET", "/v1/models", headers=ANTHROPIC | bearer(ALICE))).status == 200
