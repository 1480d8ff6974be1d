"""The folder whose files are served, as a value: the table ``[files]``."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from headrace.config.fields import Value


def _expanded(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) and value else value or None


class Files(Value):
    """Files below `/v1/files/`."""

    folder: Annotated[Path | None, BeforeValidator(_expanded)] = None
    """The folder whose files are served to everybody who may ask; never what is hidden in it, nor what a link leads to.
    Unset: `/v1/files` passes through to an upstream."""
