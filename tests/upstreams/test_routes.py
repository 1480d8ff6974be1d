"""Which upstream serves which name."""

import pytest

from headrace.core.routing import Routes, Target
from headrace.errors import ConfigError, ModelNotFound
from headrace.testing.fake_upstream import FakeUpstream
from headrace.upstreams.anthropic import Anthropic
from headrace.upstreams.demo import Demo
from headrace.upstreams.openai import OpenAI
from headrace.upstreams.routes import Table


def told(name: str, *models: str) -> OpenAI:
    return OpenAI(name=name, base_url="http://127.0.0.1:9/v1", models=models)


def names(targets: list[Target]) -> list[tuple[str, str]]:
    return [(target.upstream.name, target.model) for target in targets]


def in_order(aliases: dict[str, list[str]]) -> dict[str, list[dict[str, float]]]:
    """Names that lead to targets, one after the other."""
    return {alias: [{target: 1.0} for target in targets] for alias, targets in aliases.items()}


DEMO = Demo()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("both", [("one", "a"), ("two", "c")]),
        ("gpt-4o", [("demo", "demo")]),
        ("one/anything/at-all", [("one", "anything/at-all")]),
        ("b", [("one", "b")]),
        ("c", [("one", "c")]),
        ("two/c", [("two", "c")]),
        ("demo", [("demo", "demo")]),
        ("demo/echo", [("demo", "demo/echo")]),
        ("vendor/model", [("two", "vendor/model")]),
    ],
)
def test_a_name_finds_its_targets(model: str, expected: list[tuple[str, str]]):
    """Aliases come first, then prefixes, then the upstreams in their order."""
    aliases = {"both": ["a", "two/c"], "gpt-4o": ["demo"], "b": ["one/b"]}
    table = Table([DEMO, told("one", "a", "b", "c"), told("two", "c", "vendor/model")], aliases=in_order(aliases))
    assert names(list(table.targets(model))) == expected


@pytest.mark.parametrize("model", ["", "gpt-4o", "demo/unknown", "one/", "/a", "x" * 500, "a\r\nb\x1b[0m"])
def test_an_unknown_name_is_told_what_there_is(model: str):
    table = Table([DEMO, told("one", "a")])
    with pytest.raises(ModelNotFound) as caught:
        table.targets(model)
    assert "a, demo, demo/echo" in str(caught.value)
    assert caught.value.param == "model"
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_the_list_of_names_is_capped():
    table = Table([told("one", *(f"m{n}" for n in range(100)))])
    with pytest.raises(ModelNotFound, match="m19 and 80 more"):
        table.targets("nope")


def test_the_only_upstream_without_a_list_takes_any_name():
    """Its list may not be known yet, and servers know names that they do not list."""
    table = Table([DEMO, told("one")])
    assert names(list(table.targets("gpt-9"))) == [("one", "gpt-9")]
    with pytest.raises(ModelNotFound):
        table.targets("demo/typo")


def test_of_two_upstreams_without_a_list_none_takes_any_name():
    with pytest.raises(ModelNotFound):
        Table([told("one"), told("two")]).targets("gpt-9")


@pytest.mark.parametrize(
    ("model", "upstream"),
    [
        ("claude-sonnet-4-5", "anthropic"),
        ("gpt-9", "openai"),
        ("o3-mini", "openai"),
        ("ft:gpt-4o:mine", "openai"),
        ("text-embedding-3-small", "openai"),
        ("openai/claude-x", "openai"),
        ("told", "local"),
        ("llama3", None),
        ("oh-no", None),
        ("demo/claude-x", None),
    ],
)
def test_a_makers_name_finds_its_upstream_before_any_list_is_known(model: str, upstream: str | None):
    """With the keys of two providers both families work from the first request on."""
    table = Table([DEMO, OpenAI(api_key="k"), Anthropic(api_key="k"), told("local", "told")])
    if upstream is None:
        with pytest.raises(ModelNotFound):
            table.targets(model)
    else:
        assert table.targets(model)[0].upstream.name == upstream


def test_an_upstream_with_configured_models_has_no_others():
    """Whatever its maker calls its models."""
    table = Table([Anthropic(api_key="k", models=["claude-a"]), told("local")])
    with pytest.raises(ModelNotFound):
        table.targets("claude-b")
    assert table.targets("claude-a")[0].upstream.name == "anthropic"


def test_a_stand_in_never_hides_a_makers_model():
    """The sample configuration's names for the demo lead to the provider as soon as there is its key."""
    aliases = {"claude-sonnet-4-5-20250929": ["demo"], "gpt-4o": ["demo"]}
    table = Table([DEMO, OpenAI(api_key="k"), Anthropic(api_key="k")], aliases=in_order(aliases))
    assert [table.targets(name)[0].upstream.name for name in aliases] == ["anthropic", "openai"]


def test_without_the_demo_its_names_are_unknown():
    with pytest.raises(ModelNotFound):
        Table([told("one", "a")]).targets("demo")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (Table([DEMO, told("one", "a")], default="a", azure_model="one/b"), "a"),
        (Table([DEMO, told("one", "a", "b")], azure_model="b"), "b"),
        (Table([DEMO, told("one"), told("two", "c")]), "c"),
        (Table([DEMO]), "demo"),
    ],
)
async def test_the_default_model(table: Routes, expected: str):
    """The configured one, else Azure's, else the first real upstream's, else the demo."""
    assert await table.default() == expected
    assert table.targets(expected)


async def test_without_any_model_there_is_no_default():
    with pytest.raises(ModelNotFound):
        await Table([]).default()


async def test_the_default_is_a_model_for_chat():
    """Of what an upstream tells, names of embedding or image models are passed over."""
    assert await Table([DEMO, told("one", "dall-e-3", "text-embedding-3-small", "gpt-x")]).default() == "gpt-x"


def test_a_stand_in_never_hides_a_real_model():
    """The sample configuration's names for the demo are a real upstream's where one has them."""
    aliases = {"gpt-4o": ["demo"], "mine": ["demo"]}
    table = Table([DEMO, told("one", "gpt-4o")], aliases=in_order(aliases))
    assert table.targets("gpt-4o")[0].upstream.name == "one"
    assert table.targets("mine")[0].upstream is DEMO
    assert Table([DEMO], aliases=in_order(aliases)).targets("gpt-4o")[0].upstream is DEMO


async def test_all_models_are_listed_once():
    table = Table([DEMO, FakeUpstream(models=["a", "b"]), told("one", "b", "c")], aliases=in_order({"mine": ["one/c"]}))
    cards = await table.models()
    assert [card.id for card in cards][:4] == ["mine", "a", "b", "c"]
    assert [card.owned_by for card in cards][:4] == ["one", "fake", "fake", "one"]
    assert cards[4].id == "demo"


@pytest.mark.parametrize(
    "options",
    [{"default": "nope"}, {"azure_model": "nope"}, {"aliases": in_order({"x": ["nope"]})}, {"aliases": {"x": []}}],
)
def test_what_leads_nowhere_is_a_mistake_of_the_configuration(options: dict[str, object]):
    with pytest.raises(ConfigError):
        Table([DEMO, told("one", "a")], **options)


def test_two_upstreams_of_one_name_are_a_mistake():
    with pytest.raises(ConfigError):
        Table([told("one"), told("one")])
