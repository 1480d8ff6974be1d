"""The models that can be asked for, in the shape of whoever asks: OpenAI's or Anthropic's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from headrace.core.routing import ModelCard
from headrace.errors import ModelNotFound, RequestError
from headrace.faces.access.auth import Caller, caller
from headrace.faces.failures import MESSAGES, family_of
from headrace.faces.service import Service, service

router = APIRouter(prefix="/v1/models", tags=["Models"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]

#: Where one page of Anthropic's list begins or ends.
Place = Annotated[str, Query(description="With `anthropic-version`: a model of the page before or after.")]

#: What Anthropic tells of a model and nobody here knows.
_UNKNOWN = ("capabilities", "deprecated_at", "line", "max_input_tokens", "max_tokens", "retires_at")
#: The last second that RFC 3339 can say.
_LAST_SECOND = 253402300799


@router.get("", summary="List the models")
async def index(
    request: Request,
    at: Asked,
    who: Asker,
    *,
    limit: Annotated[int, Query(ge=1, le=1000, description="With `anthropic-version`: models on a page.")] = 1000,
    after_id: Place = "",
    before_id: Place = "",
) -> dict[str, Any]:
    """List the models that the key may ask for, those of all upstreams and the configured names.

    In OpenAI's shape, all of them; with a header `anthropic-version` in Anthropic's, in pages.
    """
    cards = await _seen(at, who)
    if family_of(request.scope) is MESSAGES:
        return _page(cards, limit, after_id, before_id)
    return {"object": "list", "data": [_openai(card) for card in cards]}


@router.get("/{id:path}", summary="Show a model")
async def show(request: Request, id: str, at: Asked, who: Asker) -> dict[str, Any]:
    """Show one model, in OpenAI's shape or, with a header `anthropic-version`, in Anthropic's."""
    for card in await _seen(at, who):
        if card.id == id:
            return _anthropic(card) if family_of(request.scope) is MESSAGES else _openai(card)
    raise ModelNotFound(f"There is no model {id!r}." if id.isprintable() and len(id) < 100 else "")


async def _seen(at: Service, who: Caller) -> list[ModelCard]:
    return [card for card in await at.routes.models() if who.grants.sees(card.id)]


def _page(cards: Sequence[ModelCard], limit: int, after: str, before: str) -> dict[str, Any]:
    """The models after one, or before another, as many as there may be on a page."""
    low = _place(cards, after, "after_id") + 1 if after else 0
    high = _place(cards, before, "before_id") if before else len(cards)
    backwards = bool(before and not after)
    found = list(cards[low:high])
    data = [_anthropic(card) for card in (found[-limit:] if backwards else found[:limit])]
    return {
        "data": data,
        "has_more": len(found) > limit,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _place(cards: Sequence[ModelCard], id: str, param: str) -> int:
    for place, card in enumerate(cards):
        if card.id == id:
            return place
    raise RequestError(f"'{param}' is not a model that is listed here.", param=param)


def _openai(card: ModelCard) -> dict[str, Any]:
    return {"id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by}


def _anthropic(card: ModelCard) -> dict[str, Any]:
    created = datetime.fromtimestamp(min(card.created, _LAST_SECOND), UTC)
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        **dict.fromkeys(_UNKNOWN),
    }
