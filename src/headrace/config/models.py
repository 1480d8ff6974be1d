"""Other names for models, as settings: who is asked for each, in which order and in which shares."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from headrace.config.fields import table, texts


def _choices(value: object) -> object:
    """A model, a list of them, or tables of shares: as a list of tables, in which a model alone has all of it."""
    found = texts(value)
    if isinstance(found, dict):
        found = [found]
    if isinstance(found, list | tuple):
        return [{choice: 1.0} if isinstance(choice, str) else choice for choice in found]
    return found


#: Models that share what is asked, each with its weight.
Shares = dict[str, Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]]
Choices = Annotated[tuple[Shares, ...], BeforeValidator(_choices)]
Models = Annotated[dict[str, Choices], BeforeValidator(table)]
