"""Starting: the one place where a face has an answer begun, or finds the one that has.

A retry finds its stream before anything else is looked at: what its request refers to may be gone by now, a model no
longer be offered, and none of that is a reason for a second answer or a refusal (P8).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headrace.core.deadlines import unhurried
from headrace.core.log import Name
from headrace.core.registry import Started
from headrace.core.routing import Call, Target, attempts
from headrace.faces.access.auth import Caller
from headrace.faces.access.limits import counted
from headrace.faces.service import Service
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES, UI
from headrace.model.leave import LeavePolicy
from headrace.model.request import Meta
from headrace.wire import estimate
from headrace.wire.json_object import objects
from headrace.wire.tokens import tokens

#: How each dialect says how many tokens an answer may have: another's word for it is one that no upstream hears. And
#: what is reserved for an answer that does not say.
_MOST_TOKENS: Mapping[str, Sequence[str]] = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    RESPONSES: ("max_output_tokens",),
    MESSAGES: ("max_tokens",),
    UI: ("maxOutputTokens",),
}
UNSAID = 1024


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An answer that a client wants. ``call`` is in the client's own words, ``dialect`` the one in which it reads.

    ``echo`` is what that dialect's encoder says again; ``kept`` is the request as it is kept, None where it is not.
    """

    call: Call
    dialect: str
    policy: LeavePolicy
    stored: bool = False
    conversation: str = ""
    echo: Mapping[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] | None = None


async def started(at: Service, who: Caller, wish: Wish, names: Sequence[Name]) -> Started:
    """Begin an answer under its names, or attach to the one that has them.

    Raises ModelNotFound, RequestError for what no upstream of the model can be asked, and as Registry.start does.
    """
    if (again := await retried(at, who, names)) is not None:
        return again
    targets = targets_of(at, who, wish.call.model)
    tries = attempts(targets, wish.call)
    meta = Meta(
        owner=who.owner,
        key=who.key,
        readers=who.grants.quota.readers_per_stream or 0,
        dialect=wish.dialect,
        created=at.registry.clock.time(),
        model=wish.call.model,
        on_leave=str(wish.policy),
        stored=wish.stored,
        conversation=wish.conversation,
        echo={"model": targets[0].model, **wish.echo},
    )
    starting = partial(at.registry.start, meta, tries, wish.policy, names)
    counting = unhurried(_counted(at, who, wish, starting)) if who.grants.quota.is_limited else None
    head, fresh = await (counting or starting())
    if fresh and wish.kept is not None:
        at.recorder.keep(head.id, who.owner, wish.kept)
    return Started(head, fresh)


async def _counted(at: Service, who: Caller, wish: Wish, start: Callable[..., Awaitable[Started]]) -> Started:
    """Begin what the key's quota has room for. What was taken of it is put right at the answer's end."""
    taken = await counted(at, who, dialect=wish.call.dialect, tokens=_reserved(wish), lasting=True)
    try:
        begun = await start(on_end=taken.ended)
    except BaseException:
        taken.give_back()
        raise
    if not begun.fresh:
        taken.give_back()
    return begun


def _reserved(wish: Wish) -> int:
    """As many tokens as an answer may use: those of its prompt, and those that the request allows for the answer."""
    limits = [tokens(wish.call.body.get(name)) for name in _MOST_TOKENS.get(wish.call.dialect, ())]
    allowed = next((limit for limit in limits if limit is not None), UNSAID)
    said = wish.echo.get("prompt_tokens")
    prompt = estimate.prompt_tokens(objects(wish.call.body.get("messages"))) if said is None else int(said)
    return prompt + allowed


async def retried(at: Service, who: Caller, names: Sequence[Name]) -> Started | None:
    """The stream of an earlier request under the same idempotency key. Raises NameTaken where that was another one."""
    head = await at.registry.named(who.owner, [name for name in names if name.kind == "idempotency"])
    return Started(head, fresh=False) if head else None


def targets_of(at: Service, who: Caller, model: str) -> Sequence[Target]:
    """The upstreams to try for a model, by the name that is asked for. Raises ModelNotFound where the key sees none."""
    return at.routes.targets(model, who.grants.sees)
