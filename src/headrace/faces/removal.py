"""The removal of an answer: of all that is kept of it, but for what it has cost."""

from headrace.core.log import Head
from headrace.faces.service import Service


async def remove(at: Service, head: Head) -> None:
    """Stop a stream, have it counted, and remove what is kept of it. Raises StoreError."""
    if head.outcome is None:
        await at.registry.cancel(head)
    await at.recorder.settle()
    await at.registry.delete(head)
    await at.recorder.forget(head.meta.owner, head.id)
