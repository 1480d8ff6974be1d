"""Settings: which source wins, what is refused, and in which words."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from headrace.config import Key, Settings, environment, exposure, load, warnings
from headrace.config.values import ProfileName, Upstream
from headrace.errors import ConfigError
from headrace.model.leave import KEEP, LeavePolicy
from headrace.upstreams.profile import PROFILES

ROOT = Path(__file__).parents[1]
STRONG = "hr_0123456789abcdef"


def settings(folder, toml="", env=None, dotenv="", flags=None):
    """Settings from sources that a test wrote, and no others."""
    if toml:
        (folder / "headrace.toml").write_text(toml)
    if dotenv:
        (folder / ".env").write_text(dotenv)
    return load(flags, environ=env or {}, folder=folder)


def refusal(*args, **kwargs):
    """The message with which settings are refused."""
    with pytest.raises(ConfigError) as caught:
        settings(*args, **kwargs)
    return caught.value.message


# -- what wins -----------------------------------------------------------------------------------------------------


def test_nothing_configured_is_a_demo_server_on_loopback(tmp_path):
    """No file, no variable: everything has its default."""
    found = settings(tmp_path)
    assert found == Settings()
    assert (found.server.host, found.server.port, found.server.loopback) == ("127.0.0.1", 8003, True)
    assert list(found.active) == ["demo"]
    assert warnings(found) == []


def test_the_stronger_source_wins(tmp_path):
    """Flags over the environment over .env over the file."""
    toml = "[server]\nport = 1\nworkers = 2\nkeep_alive = 3\ndrain = 4\n"
    dotenv = "HEADRACE_PORT=11\nHEADRACE_WORKERS=12\nHEADRACE_SERVER__KEEP_ALIVE=13\n"
    env = {"HEADRACE_PORT": "21", "HEADRACE_WORKERS": "22"}
    server = settings(tmp_path, toml, env, dotenv, {"port": 31, "workers": None}).server
    assert (server.port, server.workers, server.keep_alive, server.drain) == (31, 22, 13.0, 4.0)


def test_config_names_the_file_and_so_does_the_variable(tmp_path):
    """``--config`` wins over ``HEADRACE_CONFIG``."""
    (tmp_path / "a.toml").write_text("server.port = 1")
    (tmp_path / "b.toml").write_text("server.port = 2")
    env = {"HEADRACE_CONFIG": "b.toml"}
    assert load(environ=env, folder=tmp_path).server.port == 2
    assert load(environ=env, folder=tmp_path, config="a.toml").server.port == 1
    assert load(environ={}, folder=tmp_path, config=tmp_path / "b.toml").server.port == 2


def test_an_empty_variable_is_not_set_and_hides_the_one_in_dotenv(tmp_path):
    """``OPENAI_API_KEY= headrace serve`` turns a provider off that .env turns on."""
    assert "openai" in settings(tmp_path, dotenv="OPENAI_API_KEY=x\n").active
    assert "openai" not in settings(tmp_path, env={"OPENAI_API_KEY": ""}).active


def test_flags_reach_worker_processes_as_variables(tmp_path):
    """What ``environment`` returns means the same as the flags."""
    flags = {"port": 9, "data": "memory:", "deadlines.idle": 7, "host": None}
    assert settings(tmp_path, env=environment(flags)) == settings(tmp_path, flags=flags)


def test_what_kubernetes_sets_beside_a_service_of_our_name_is_not_ours(tmp_path):
    """A pod next to a service "headrace" starts."""
    env = {
        "HEADRACE_SERVICE_HOST": "10.0.0.1",
        "HEADRACE_SERVICE_PORT": "8003",
        "HEADRACE_SERVICE_PORT_HTTP": "8003",
        "HEADRACE_PORT": "tcp://10.0.0.1:8003",
        "HEADRACE_PORT_8003_TCP": "tcp://10.0.0.1:8003",
        "HEADRACE_PORT_8003_TCP_ADDR": "10.0.0.1",
    }
    assert settings(tmp_path, env=env) == Settings()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("deadlines.total", "90", 90.0),
        ("deadlines.total", "1.5h", 5400.0),
        ("deadlines.total", "250ms", 0.25),
        ("retention.stored", "30d", 2_592_000.0),
        ("limits.body_bytes", "64KiB", 65_536),
        ("limits.body_bytes", "1gib", 1 << 30),
        ("limits.body_bytes", "12", 12),
        ("on_leave.default", "keep", KEEP),
        ("on_leave.default", "linger=2.5", LeavePolicy(2.5)),
        ("cors.origins", "https://a.example, https://B.example", ("https://a.example", "https://b.example")),
        ("models", '{"a": {"demo": 3, "demo/echo": 1}}', {"a": ({"demo": 3, "demo/echo": 1},)}),
        (
            "models",
            '{"a": "demo", "b": ["demo/echo", "demo"]}',
            {"a": ({"demo": 1},), "b": ({"demo/echo": 1}, {"demo": 1})},
        ),
    ],
)
def test_values_as_text(tmp_path, key, value, expected):
    """What a variable can hold, a file can hold too, in the same words."""
    table, _, field = key.partition(".")
    for found in (settings(tmp_path, flags={key: value}), settings(tmp_path, env=environment({key: value}))):
        assert (getattr(getattr(found, table), field) if field else getattr(found, table)) == expected


@pytest.mark.parametrize(("data", "folder"), [("./x", Path("x")), ("sqlite:/var/x", Path("/var/x")), ("memory:", None)])
def test_where_streams_are_kept(tmp_path, data, folder):
    """A folder, with or without its scheme, or memory."""
    assert settings(tmp_path, env={"HEADRACE_DATA": data}).store.folder == folder


# -- keys ----------------------------------------------------------------------------------------------------------


def test_keys_from_the_variable_have_names_or_get_one(tmp_path):
    """``name=key``, or a key alone, named after its digest; base64 padding is no name."""
    keys = settings(
        tmp_path, env={"HEADRACE_API_KEYS": f"alice={STRONG}, c2VjcmV0a2V5MTIzNDU2==,hr_unnamed_key_12"}
    ).keys
    assert next(iter(keys)) == "alice"
    assert keys["alice"] == Key.model_validate(STRONG)
    assert [re.fullmatch("key-[0-9a-f]{12}", name) is not None for name in keys] == [False, True, True]


def test_an_unnamed_key_keeps_its_name_wherever_it_stands(tmp_path):
    """The owner of streams does not depend on the order of the keys."""
    first = settings(tmp_path, env={"HEADRACE_API_KEYS": "hr_one_one_one_one,hr_two_two_two_two"}).keys
    second = settings(tmp_path, env={"HEADRACE_API_KEYS": "hr_two_two_two_two,hr_one_one_one_one"}).keys
    assert first == second


def test_keys_in_the_file_may_carry_a_policy_and_refer_to_the_environment(tmp_path):
    """A table with ``secret``; ``${NAME}`` is the variable's value."""
    toml = '[keys]\nalice = "${A}"\nbob = { secret = "hr_bob_bob_bob_bob", on_leave = "keep" }\n'
    keys = settings(tmp_path, toml, {"A": STRONG}).keys
    assert keys["alice"] == Key.model_validate(STRONG)
    assert keys["bob"].on_leave == KEEP


def test_settings_show_no_secret(tmp_path):
    """Neither as text nor as JSON."""
    env = {
        "HEADRACE_API_KEYS": "alice=CANARY-client-key-1",
        "OPENAI_API_KEY": "CANARY-upstream",
        "AZURE_OPENAI_API_KEY": "CANARY-azure",
        "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com",
        "ANTHROPIC_API_KEY": "CANARY-anthropic",
        "ANTHROPIC_AUTH_TOKEN": "CANARY-anthropic-token",
        "HEADRACE_TICKETS__SECRET": "CANARY-ticket-secret",
    }
    found = settings(tmp_path, env=env)
    assert "CANARY" not in f"{found!r} {found}" + found.model_dump_json(exclude={"keys": {"alice": {"digest"}}})
    assert found.upstreams["openai"].api_key.get_secret_value() == "CANARY-upstream"


# -- providers -----------------------------------------------------------------------------------------------------


def test_an_openai_key_alone_is_an_upstream(tmp_path):
    """Nothing else is needed."""
    env = {
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": "http://vllm:8000/v1/",
        "OPENAI_ORG_ID": "o",
        "OPENAI_PROJECT_ID": "p",
    }
    assert list(settings(tmp_path, env={"OPENAI_API_KEY": "k"}).active) == ["openai", "demo"]
    found = settings(tmp_path, env=env).upstreams["openai"]
    assert (found.base_url, found.organization, found.project) == ("http://vllm:8000/v1", "o", "p")


def test_the_older_name_of_openais_address_counts_where_the_newer_is_missing(tmp_path):
    """``OPENAI_API_BASE`` under ``OPENAI_BASE_URL``."""
    env = {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "https://old/v1"}
    assert settings(tmp_path, env=env).upstreams["openai"].base_url == "https://old/v1"
    env["OPENAI_BASE_URL"] = "https://new/v1"
    assert settings(tmp_path, env=env).upstreams["openai"].base_url == "https://new/v1"


@pytest.mark.parametrize("name", ["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_BASE"])
def test_an_azure_key_and_an_endpoint_are_an_upstream(tmp_path, name):
    """Its model is the default where none is configured."""
    env = {"AZURE_OPENAI_API_KEY": "k", name: "https://x.openai.azure.com/", "AZURE_OPENAI_MODEL": "gpt-x"}
    found = settings(tmp_path, env={**env, "AZURE_OPENAI_API_VERSION": "2024-10-21"})
    azure = found.upstreams["azure"]
    assert (azure.kind, azure.base_url, azure.api_version, azure.models, found.default_model) == (
        "azure",
        "https://x.openai.azure.com",
        "2024-10-21",
        ("gpt-x",),
        "gpt-x",
    )
    assert settings(tmp_path, 'default_model = "demo"', env).default_model == "demo"


@pytest.mark.parametrize("field", ["api_key", "auth_token"])
def test_an_anthropic_key_or_token_alone_is_an_upstream(tmp_path, field):
    """In the environment or in ``.env``, with an address where there is one."""
    name = f"ANTHROPIC_{field.upper()}"
    found = settings(tmp_path, env={name: "k"})
    assert list(found.active) == ["anthropic", "demo"]
    assert getattr(found.upstreams["anthropic"], field).get_secret_value() == "k"
    found = settings(tmp_path, dotenv=f"{name}=k\nANTHROPIC_BASE_URL=https://x/\n").upstreams["anthropic"]
    assert (found.kind, found.base_url) == ("anthropic", "https://x")


def test_an_address_alone_is_no_upstream(tmp_path):
    """Without a credential nothing is sent to it."""
    env = {"ANTHROPIC_BASE_URL": "https://x", "OPENAI_BASE_URL": "https://y"}
    assert list(settings(tmp_path, env=env).active) == ["demo"]


def test_the_ambient_key_never_joins_a_token_of_ones_own(tmp_path):
    """An upstream with a token of its own takes nothing from ``ANTHROPIC_*``."""
    toml = '[upstreams.anthropic]\nkind = "anthropic"\nauth_token = "own"\n'
    env = {"ANTHROPIC_API_KEY": "ambient", "ANTHROPIC_BASE_URL": "https://elsewhere"}
    found = settings(tmp_path, toml, env).upstreams["anthropic"]
    assert (found.api_key.get_secret_value(), found.base_url) == ("", "")


def test_the_apis_of_an_upstream_are_a_list_or_a_text(tmp_path):
    """As a variable they have commas."""
    assert settings(tmp_path, '[upstreams.x]\napi_key = "k"\napis = ["responses", "chat"]\n').upstreams["x"].apis == (
        "responses",
        "chat",
    )
    env = {"OPENAI_API_KEY": "k", "HEADRACE_UPSTREAMS__OPENAI__APIS": "chat"}
    assert settings(tmp_path, env=env).upstreams["openai"].apis == ("chat",)


def test_every_profile_can_be_configured_by_its_name():
    """The names in the settings are those that there are."""
    assert set(get_args(ProfileName)) == {"", *PROFILES}


@pytest.mark.parametrize(
    "table", ['base_url = "http://127.0.0.1:11434/v1"', 'api_key = "other"', 'kind = "azure"\nbase_url = "https://x"']
)
def test_a_providers_key_never_goes_to_an_address_configured_for_another(tmp_path, table):
    """An upstream with an address, key or kind of its own takes nothing from ``OPENAI_*``."""
    toml = f"[upstreams.openai]\n{table}\n" + ('api_key = "own"\n' if "azure" in table else "")
    found = settings(tmp_path, toml, {"OPENAI_API_KEY": "ambient", "OPENAI_BASE_URL": "https://elsewhere/v1"})
    assert found.upstreams["openai"].api_key.get_secret_value() != "ambient"
    assert found.upstreams["openai"].base_url != "https://elsewhere/v1"


def test_other_fields_of_an_upstream_may_stand_beside_the_providers_variables(tmp_path):
    """A table without address and key is completed."""
    found = settings(tmp_path, '[upstreams.openai]\nmodels = ["gpt-4o"]\n', {"OPENAI_API_KEY": "k"}).upstreams["openai"]
    assert (found.models, found.api_key.get_secret_value()) == (("gpt-4o",), "k")


def test_the_demo_can_be_turned_off(tmp_path):
    """``enabled = false`` is as if it were not there."""
    assert settings(tmp_path, "[upstreams.demo]\nenabled = false\n").active == {}


# -- what is refused, and in which words ---------------------------------------------------------------------------

MESSAGES = [
    ("[server]\nport = 'eighty'", "[server] port", "expected a whole number, found 'eighty'"),
    ("[server]\nport = 70000", "[server] port", "expected less than or equal to 65535, found 70000"),
    ("[server]\nprot = 1", "[server] prot", "unknown key 'prot'; did you mean 'port'?"),
    ("[servr]\nport = 1", "[servr] port", "unknown key 'servr'; did you mean 'server'?"),
    ("[cors]\nx = 1", "[cors] x", "unknown key 'x'; known are origins, credentials, max_age"),
    ("server = 3", "server", "expected a table, found 3"),
    (
        "[server]\nhosts = ['http://x']",
        "[server] hosts",
        "expected host names without scheme and port, found 'http://x'",
    ),
    (
        "[store]\ndata = 'mysql:x'",
        "[store] data",
        "expected a folder, 'sqlite:FOLDER', 'redis://HOST:PORT/DB' or 'memory:'",
    ),
    ("[store]\ndurability = 'off'", "[store] durability", "expected 'process' or 'power', found 'off'"),
    ("[deadlines]\nidle = 'soon'", "[deadlines] idle", "expected a number, found 'soon'"),
    ("[deadlines]\nidle = 0", "[deadlines] idle", "expected greater than 0, found 0"),
    ("[deadlines]\nidle = inf", "[deadlines] idle", "expected less than or equal to 316224000, found inf"),
    (
        "[on_leave]\ndefault = 'stay'",
        "[on_leave] default",
        "expected 'cancel', 'keep' or 'linger=SECONDS' (at most a day)",
    ),
    ("[keys]\na = 'two words'", "[keys] a", "expected a key of printable ASCII characters without spaces"),
    ("[keys.a]\nsekret = 'x'", "[keys.a] sekret", "expected the key as text, or a table with 'secret'"),
    ("[keys]\n'a b' = 'x'", "[keys] a b", "expected names of up to 64 letters, digits, '.', '_' and '-'"),
    ("[keys]\na = 'same'\nb = 'same'", "[keys] b", "the API keys 'a' and 'b' are the same; each owner needs its own"),
    (
        "[upstreams.x]\nkind = 'opnai'",
        "[upstreams.x] kind",
        "expected 'openai', 'azure', 'anthropic' or 'demo', found 'opnai'",
    ),
    (
        "[upstreams.x]\nkind = 'openai'",
        "[upstreams.x] kind",
        "an upstream of kind 'openai' needs api_key, or base_url where no key is needed",
    ),
    (
        "[upstreams.x]\nkind = 'azure'\nbase_url = 'https://x'",
        "[upstreams.x] kind",
        "an upstream of kind 'azure' needs api_key",
    ),
    (
        "[upstreams.x]\nbase_url = 'ftp://x'",
        "[upstreams.x] base_url",
        "expected a URL such as https://host/v1, without query and fragment",
    ),
    (
        "[upstreams.x]\nbase_url = 'https://u:p@x'",
        "[upstreams.x] base_url",
        "expected a URL without user and password (use api_key)",
    ),
    ("[upstreams.x]\nbase_url = 'http://localhost:8003/v1'", "[upstreams.x] base_url", "is this server itself"),
    (
        "[upstreams.x]\nbase_url = 'http://h/v1'\napi_keys = ['k']",
        "[upstreams.x] api_keys",
        "are further ones; the first is api_key",
    ),
    ("[upstreams.x]\napi_key = '${NOPE}'", "[upstreams.x] api_key", "refers to ${NOPE}, which is not set"),
    ("[upstreams.x]\napi_keys = ['k', '${NOPE}']", "[upstreams.x] api_keys", "refers to ${NOPE}, which is not set"),
    ("[models]\na = [{ '${A}' = '${NOPE}' }]", "[models] a", "refers to ${NOPE}, which is not set"),
    (
        "[upstreams.x]\nkind = 'anthropic'",
        "[upstreams.x] kind",
        "an upstream of kind 'anthropic' needs api_key, or base_url where no key is needed",
    ),
    (
        "[upstreams.x]\nkind = 'openai'\nauth_token = 'x'",
        "[upstreams.x] kind",
        "an upstream of kind 'openai' needs api_key, or base_url where no key is needed",
    ),
    (
        "[upstreams.x]\nkind = 'anthropic'\napi_key = 'x'\napi_version = 'newest'",
        "[upstreams.x] api_version",
        "expected a date such as 2023-06-01",
    ),
    (
        "[upstreams.x]\napi_key = 'x'\napis = ['chat', 'rest']",
        "[upstreams.x] apis",
        "expected 'chat' or 'responses', found 'rest'",
    ),
    (
        "[upstreams.x]\napi_key = 'x'\nmax_tokens = 0",
        "[upstreams.x] max_tokens",
        "expected greater than or equal to 1, found 0",
    ),
    ("[models]\na = 'nix/b'", "[models] a", "no upstream has 'nix/b'; upstreams are demo"),
    ("[models]\na = []", "[models] a", "expected at least one model for 'a'"),
    (
        "[models]\ngpt-4.1 = 'demo'",
        "[models.gpt-4] 1",
        "expected a number, found 'demo' (a name with dots needs quotes)",
    ),
    (
        "[cors]\norigins = ['*']\ncredentials = true",
        "[cors] credentials",
        "origins = '*' with credentials would let every web page act for your users; name the origins",
    ),
    (
        "[cors]\norigins = ['null']",
        "[cors] origins",
        "expected origins such as https://app.example.com, or '*', found 'null'",
    ),
    (
        "[cors]\norigins = ['https://a/']",
        "[cors] origins",
        "expected origins such as https://app.example.com, or '*', found 'https://a/'",
    ),
    (
        "[server]\nworkers = 2\n[store]\ndata = 'memory:'",
        "[server] workers",
        "'memory:' belongs to one process; more workers need a data folder or Redis",
    ),
    ("[files]\nfolder = 'nope'", "[files] folder", "there is no such folder"),
    ("[files]\nfolder = '.'", "[files] folder", "the data folder lies in it, and would be served"),
    (
        "[files]\nfolder = '.'\n[store]\ndata = '..'",
        "[files] folder",
        "it lies in the data folder, where nothing but streams may be",
    ),
    ("[server]\ntls_key = 'nope.pem'", "[server] tls_key", "tls_certificate is needed beside it"),
    ("[tickets]\nsecret = 'short'", "[tickets] secret", "expected at least 16 characters"),
    ("a = = 3", "", "is not valid TOML: Invalid value (at line 1, column 5)"),
]


@pytest.mark.parametrize(("toml", "place", "text"), MESSAGES, ids=[toml for toml, _, _ in MESSAGES])
def test_a_problem_is_told_with_its_place(tmp_path, toml, place, text):
    """The file, the table, the key, what was expected and what was found."""
    where = f"headrace.toml, {place}" if place else "headrace.toml"
    assert f"{where}: {text}" in refusal(tmp_path, toml).splitlines()


def test_every_problem_is_told_at_once(tmp_path):
    """One start, all problems, each under the source it came from."""
    message = refusal(
        tmp_path,
        "[server]\ndrain = 'x'\n[store]\ndurabilty = 'power'\n",
        {"HEADRACE_PORT": "x", "HEADRACE_LIMITS__BODY": "1"},
        "HEADRACE_ON_LEAVE__DEFAULT=y\nAZURE_OPENAI_API_KEY=z\n",
        {"workers": 0},
    )
    azure = "is set, but neither AZURE_OPENAI_ENDPOINT nor AZURE_OPENAI_API_BASE says where the resource is"
    assert sorted(message.splitlines()) == [
        "--workers: expected greater than or equal to 1, found 0",
        f"AZURE_OPENAI_API_KEY (.env): {azure}",
        "HEADRACE_LIMITS__BODY (environment): unknown key 'body'; did you mean 'body_bytes'?",
        "HEADRACE_ON_LEAVE__DEFAULT (.env): expected 'cancel', 'keep' or 'linger=SECONDS' (at most a day)",
        "HEADRACE_PORT (environment): expected a whole number, found 'x'",
        "headrace.toml, [server] drain: expected a number, found 'x'",
        "headrace.toml, [store] durabilty: unknown key 'durabilty'; did you mean 'durability'?",
    ]


@pytest.mark.parametrize(
    "toml",
    [
        "[upstreams.x]\napi_keey = 'CANARY-1'",
        "[upstreams.x]\napi_key = ['CANARY-1']",
        "[upstreams.x]\nauth_token = ['CANARY-1']",
        "[upstreams.x]\napi_key = 8675309",
        "[upstreams.x]\napi_keys = 8675309",
        "[upstreams.x]\napi_keys = [['CANARY-1']]",
        "[proxy.x]\nbase_url = 'https://x.example'\nheaders = { a = 8675309 }",
        "[upstreams.x]\nbase_url = 'CANARY-1'",
        "[upstreams.x]\nbase_url = 'https://me:CANARY-1@host'",
        "[keys]\na = 'CANARY 1'",
        "[keys.a]\nsecret = 'CANARY-1-CANARY-1'\nx = 1",
        "[tickets]\nsecret = 'CANARY-1'",
        "[server]\nport = 'sk-CANARY-1'",
        "[upstreams.x]\nkind = 'CANARY1CANARY2CANARY3CANARY4'",
    ],
)
def test_a_message_never_shows_a_secret(tmp_path, toml):
    """Nor what stands where a secret belongs, nor what looks like one."""
    message = refusal(tmp_path, toml)
    assert "CANARY" not in message
    assert "8675309" not in message


def test_a_file_that_is_named_must_be_there(tmp_path):
    """Without a name, no file is needed."""
    assert refusal(tmp_path, env={"HEADRACE_CONFIG": "nope.toml"}) == "nope.toml: there is no such file"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "myhost"])
def test_beyond_loopback_a_key_is_needed_and_the_line_that_fixes_it_works(tmp_path, host):
    """The message ends with a variable that can be copied."""
    env = {"HEADRACE_HOST": host}
    fix = exposure(settings(tmp_path, env=env)).splitlines()[-1].strip()
    name, _, value = fix.partition("=")
    assert name == "HEADRACE_API_KEYS"
    found = settings(tmp_path, env={**env, name: value})
    assert (list(found.keys), exposure(found)) == (["me"], "")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_no_key_is_needed(tmp_path, host):
    """Only this machine can connect."""
    found = settings(tmp_path, env={"HEADRACE_HOST": host})
    assert found.server.loopback
    assert exposure(found) == ""


def test_a_weak_key_is_refused_beyond_loopback_and_warned_of_on_it(tmp_path):
    """Fewer than 16 characters."""
    env = {"HEADRACE_API_KEYS": "me=short"}
    assert warnings(settings(tmp_path, env=env)) == ["The API key 'me' is shorter than 16 characters."]
    message = refusal(tmp_path, env={**env, "HEADRACE_HOST": "0.0.0.0"})
    assert message == (
        "HEADRACE_API_KEYS (environment): the API key 'me' needs at least 16 characters to listen beyond this machine"
    )


def test_warnings_name_what_should_not_stay(tmp_path):
    """Plain HTTP to another machine, memory, any host."""
    toml = "[upstreams.x]\nbase_url = 'http://far/v1'\n[upstreams.y]\nbase_url = 'http://127.0.0.1:1/v1'\n"
    found = settings(tmp_path, toml, {"HEADRACE_DATA": "memory:", "HEADRACE_SERVER__HOSTS": "*"})
    assert [line.split()[0:3] for line in warnings(found)] == [
        ["Streams", "are", "kept"],
        ["Any", "Host", "header"],
        ["The", "upstream", "'x'"],
    ]


# -- the examples --------------------------------------------------------------------------------------------------


def _example() -> tuple[str, dict]:
    """The example's text, and its tables with every commented setting taken in."""
    text = (ROOT / "headrace.example.toml").read_text()
    return text, tomllib.loads(re.sub(r"(?m)^#(?=[\[a-z])", "", text))


def test_the_example_is_valid_and_lets_found_snippets_run(tmp_path):
    """Other people's model names lead to the demo."""
    found = load(environ={}, folder=tmp_path, config=ROOT / "headrace.example.toml")
    assert found.models == dict.fromkeys(
        ("dummy_model", "gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5-20250929"), ({"demo": 1.0},)
    )
    assert found.model_copy(update={"models": {}}) == Settings()


def test_the_example_holds_every_setting_with_its_default():
    """A new field without a line in the example fails here, and so does a stale default."""
    text, tables = _example()
    read = Settings.model_validate({**tables, "upstreams": {}})
    for name, field in Settings.model_fields.items():
        value = getattr(read, name)
        assert name in tables, name
        if not isinstance(value, BaseModel):
            continue
        assert value == field.default
        missing = set(type(value).model_fields) - set(tables[name])
        assert all(getattr(value, absent) is None and f"{absent} = " in text for absent in missing), missing


def test_the_example_holds_every_field_of_upstreams_and_keys():
    """Under a name that stands for any."""
    text, tables = _example()
    missing = set(Upstream.model_fields) - set(tables["upstreams"]["NAME"])
    assert missing == {"ca_file", "include_usage", "done_marker"}
    of_keys = {*Key.model_fields, "secret"} - {"digest", "weak"}
    assert all(f"{name} = " in text for name in (*missing, *of_keys))
    assert Upstream.model_validate(tables["upstreams"]["NAME"]) == Upstream()


def test_the_example_of_dotenv_is_valid_and_changes_nothing(tmp_path):
    """Copied as it is, it means the defaults."""
    assert settings(tmp_path, dotenv=(ROOT / ".env.example").read_text()) == Settings()
