"""References of the configuration file to variables: where they may stand, and what of them is refused."""

import pytest

from headrace.config import load
from headrace.errors import ConfigError


def settings(folder, toml, env=None, dotenv=""):
    """Settings from sources that a test wrote, and no others."""
    (folder / "headrace.toml").write_text(toml)
    (folder / ".env").write_text(dotenv)
    return load(environ=env or {}, folder=folder)


def refusal(folder, toml, env=None):
    """The message with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        settings(folder, toml, env)
    return caught.value.message


def test_a_reference_in_a_list_is_the_variables_value(tmp_path):
    """Each text of the list may be one; the variable's own text is taken as it is."""
    toml = "[upstreams.x]\napi_key = '${A}'\napi_keys = ['${B}', 'plain', '${C}']\n"
    found = settings(tmp_path, toml, {"A": "first", "B": "second,${A}"}, "C=third\n").upstreams["x"]
    assert [key.get_secret_value() for key in found.api_keys] == ["second,${A}", "plain", "third"]


def test_a_reference_in_a_lists_tables_is_the_variables_value(tmp_path):
    """Lists and tables in them, as deep as a file has them."""
    toml = "[models]\na = ['${FIRST}', { 'demo/echo' = '${WEIGHT}', demo = 1 }]\n"
    found = settings(tmp_path, toml, {"FIRST": "demo", "WEIGHT": "3"}).models
    assert found == {"a": ({"demo": 1}, {"demo/echo": 3, "demo": 1})}


def test_a_text_with_commas_is_a_list_of_keys(tmp_path):
    """As a variable, and as a text that the file refers to."""
    env = {"HEADRACE_UPSTREAMS__X__API_KEY": "first", "HEADRACE_UPSTREAMS__X__API_KEYS": "second, third"}
    toml = "[upstreams.y]\napi_key = 'first'\napi_keys = '${MORE}'\n"
    found = settings(tmp_path, toml, {**env, "MORE": "second,third"}).upstreams
    for name in ("x", "y"):
        assert [key.get_secret_value() for key in found[name].api_keys] == ["second", "third"]


@pytest.mark.parametrize("text", ["a${b", "${}", "${1A}x", "$A", "x${A-b}", "${A:-b}"])
def test_what_is_no_reference_is_taken_as_it_is(tmp_path, text):
    """Only the form itself is one."""
    found = settings(tmp_path, f"[upstreams.x]\napi_key = '{text}'\n", {"A": "value"}).upstreams["x"]
    assert found.api_key.get_secret_value() == text


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ("[store]\ndata = 'redis://:${A}@host/0'", "[store] data"),
        ("[records]\nurl = 'postgresql://CANARY:${A}@host/db'", "[records] url"),
        ("[proxy.x]\nbase_url = 'https://x.example'\nheaders = { a = 'CANARY ${A}' }", "[proxy.x.headers] a"),
        ('[proxy]\nx = \'{"base_url": "${A}"}\'', "[proxy] x"),
        ("[upstreams.x]\napi_key = 'k'\napi_keys = ['${A}', 'CANARY${A}']", "[upstreams.x] api_keys"),
        ("[upstreams.x]\napi_key = 'k'\napi_keys = '${A},${A}'", "[upstreams.x] api_keys"),
        ("[upstreams.x]\napi_key = ' ${A}'", "[upstreams.x] api_key"),
        ("[upstreams.x]\napi_key = 'k'\nmodels = ['x-${NOPE}', 'CANARY-${A}']", "[upstreams.x] models"),
        ("[keys]\na = 'CANARY ${A}'", "[keys] a"),
        ("[tickets]\nsecret = '${A}${A}'", "[tickets] secret"),
        ("[server]\nport = 'CANARY ${A}'", "[server] port"),
        ("[models]\na = [{ demo = 'CANARY ${A}' }]", "[models] a"),
        ("[models]\na = 'CANARY/${A}'", "[models] a"),
    ],
)
def test_a_reference_within_a_longer_text_is_refused_without_showing_it(tmp_path, toml, place):
    """One line, which names the setting and says what a reference has to be; what else may be wrong with it is not."""
    message = refusal(tmp_path, toml, {"A": "CANARY"})
    within = "has a reference such as ${NAME} within a longer text; it must be the whole text"
    assert message == f"headrace.toml, {place}: {within}: put all of it in a variable"


def test_each_reference_of_a_list_that_is_not_set_is_told_once(tmp_path):
    """All at once, beside what is wrong elsewhere."""
    toml = "[upstreams.x]\napi_keys = ['${B}', '${A}', '${B}', '${C}']\n[server]\nport = 'x'\n"
    assert refusal(tmp_path, toml, {"C": "CANARY"}).splitlines() == [
        "headrace.toml, [upstreams.x] api_keys: refers to ${B}, which is not set",
        "headrace.toml, [upstreams.x] api_keys: refers to ${A}, which is not set",
        "headrace.toml, [server] port: expected a whole number, found 'x'",
    ]


def test_what_is_said_over_a_refused_reference_is_checked_too(tmp_path):
    """A problem of the file's hides none of the variable's."""
    lines = refusal(tmp_path, "[server]\nport = '${NOPE}'\n", {"HEADRACE_SERVER__PORT": "x"}).splitlines()
    assert lines == [
        "headrace.toml, [server] port: refers to ${NOPE}, which is not set",
        "HEADRACE_SERVER__PORT (environment): expected a whole number, found 'x'",
    ]


def test_tables_nested_beyond_reason_are_refused(tmp_path):
    """By their header, and in a list."""
    deep = ".".join(["a"] * 5000)
    assert refusal(tmp_path, f"[{deep}]\nx = 1\n") == "headrace.toml: cannot be read (RecursionError)"
    nested = f"[[server]]\n[server.{deep}]\nx = '${{A}}'\n"
    assert refusal(tmp_path, nested) == "headrace.toml, server: is nested too deeply"
