"""Settings: ``headrace.toml``, ``.env``, the environment and flags, validated with exact messages."""

from headrace.config.checks import exposure, warnings
from headrace.config.files import Files
from headrace.config.keys import Key, KeyGrants
from headrace.config.loading import environment, load
from headrace.config.prices import Price
from headrace.config.records import Records
from headrace.config.stores import Store
from headrace.config.targets import ProxyTarget
from headrace.config.values import (
    Cors,
    Deadlines,
    Limits,
    OnLeave,
    Retention,
    Server,
    Settings,
    Tickets,
    Upstream,
)

__all__ = [
    "Cors",
    "Deadlines",
    "Files",
    "Key",
    "KeyGrants",
    "Limits",
    "OnLeave",
    "Price",
    "ProxyTarget",
    "Records",
    "Retention",
    "Server",
    "Settings",
    "Store",
    "Tickets",
    "Upstream",
    "environment",
    "exposure",
    "load",
    "warnings",
]
