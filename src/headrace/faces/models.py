"""The models that can be asked for, in the OpenAI shape."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from headrace.core.routing import ModelCard
from headrace.errors import ModelNotFound
from headrace.faces.auth import Caller, caller
from headrace.faces.service import Service, service

router = APIRouter(prefix="/v1/models", tags=["Models"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]


@router.get("", summary="List the models")
async def index(at: Asked, _: Asker) -> dict[str, Any]:
    """List the models, those of all upstreams and the configured names."""
    return {"object": "list", "data": [_card(card) for card in await at.routes.models()]}


@router.get("/{id:path}", summary="Show a model")
async def show(id: str, at: Asked, _: Asker) -> dict[str, Any]:
    """Show one model."""
    for card in await at.routes.models():
        if card.id == id:
            return _card(card)
    raise ModelNotFound(f"There is no model {id!r}." if id.isprintable() and len(id) < 100 else "")


def _card(card: ModelCard) -> dict[str, Any]:
    return {"id": card.id, "object": "model", "created": card.created, "owned_by": card.owned_by}
