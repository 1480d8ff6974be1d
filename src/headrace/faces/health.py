"""Whether the process lives, and whether it should be given work."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse

from headrace.core.log import Health
from headrace.errors import StoreError
from headrace.faces.service import Service, service

router = APIRouter(tags=["Health"])

Asked = Annotated[Service, Depends(service)]


@router.get("/health")
@router.get("/healthz", include_in_schema=False)
async def health() -> dict[str, str]:
    """Tell that the process lives. Needs no key."""
    return {"status": "ok"}


@router.get("/ready")
@router.get("/readyz", include_in_schema=False)
async def ready(at: Asked) -> JSONResponse:
    """Tell whether new work is taken: 503 while draining, and where the store takes no writes. Needs no key."""
    if at.registry.draining:
        return JSONResponse({"status": "draining"}, 503)
    if isinstance(at.registry.log, Health):
        try:
            await at.registry.log.check()
        except StoreError as error:
            return JSONResponse({"status": "unavailable", "reason": error.code}, 503)
    return JSONResponse({"status": "ready"})
