"""The settings that a command runs with, or its end where they cannot be."""

from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from headrace.config import Settings, load
from headrace.errors import ConfigError
from headrace.shell import end
from headrace.supervisor import BAD_CONFIG

Config = Annotated[str | None, typer.Option(help="The configuration file; else ./headrace.toml where there is one.")]
Data = Annotated[str | None, typer.Option(help="The data folder, or memory:")]


def settings_of(config: str | None, flags: Mapping[str, str | int | None]) -> Settings:
    """The settings, from all their sources; what is wrong with them ends the command."""
    try:
        return load(flags, config=config)
    except ConfigError as error:
        refuse(error)


def refuse(error: ConfigError) -> NoReturn:
    """End a command that cannot run with its settings."""
    end(error.message, BAD_CONFIG)
