"""Which upstream serves which model name.

A name is looked up in this order; the first that knows it wins:

1. the ``[models]`` table: a name of ours to one or more targets, tried in their order or by their shares. Where it
   leads to the demo only, the other rules come first: the sample configuration's stand-ins never hide a real model;
2. ``upstream/model``: one upstream by its name, with whatever model name follows;
3. the models that an upstream was configured with, or has told when it was asked (:meth:`Table.models`);
4. the demo's own names;
5. a real upstream without configured models whose maker's names look like it (``claude-…`` is Anthropic's);
6. the only real upstream, if it has no configured models: it may know a name that it has not told (yet).

A name of the demo (``demo``, ``demo/…``) is never sent to a real upstream by the last two.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from headrace.core.clock import SystemClock
from headrace.core.routing import ModelCard, Target, Upstream, everything
from headrace.errors import ConfigError, ModelNotFound
from headrace.upstreams.demo import MODELS as DEMO_MODELS
from headrace.upstreams.demo import Demo
from headrace.upstreams.order import Order, Shares

#: Names that an error lists at most, and characters of the name that was asked for.
LISTED = 20
SHOWN = 80
#: Model names that a default is not taken from: they are for something else than chat.
_NO_CHAT = re.compile(r"embed|whisper|tts|dall-e|image|audio|realtime|moderation|transcribe|babbage|davinci|instruct")


@runtime_checkable
class Knowing(Protocol):
    """An ability of upstreams: tell model names without asking anybody."""

    configured: Sequence[str]

    def known(self) -> Sequence[str]:
        """The names configured, else those told last."""


@runtime_checkable
class Recognising(Protocol):
    """An ability of upstreams: tell their maker's models by their names."""

    def likely(self, model: str) -> bool:
        """Whether a name looks like one of its maker's, told or not."""


class Table:
    """:class:`~headrace.core.routing.Routes` over upstreams in the order of the configuration.

    ``aliases`` is the ``[models]`` table: for each name its choices, one after the other, each of targets and their
    weights. A target in it is any name that the other rules find, mostly ``upstream/model``. ``default`` is the
    configured default model, then ``azure_model`` is asked. Raises ConfigError for two upstreams of one name, and for
    an alias or a default that leads nowhere.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        order: Order | None = None,
        aliases: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
        default: str = "",
        azure_model: str = "",
    ) -> None:
        self._order = order or Order(SystemClock())
        self._upstreams = {upstream.name: upstream for upstream in upstreams}
        if len(self._upstreams) != len(upstreams):
            raise ConfigError("Two upstreams have the same name.")
        self._demo = next((upstream for upstream in upstreams if isinstance(upstream, Demo)), None)
        self._real = [upstream for upstream in upstreams if upstream is not self._demo]
        #: Looked up once: to ask for an ability takes long, and each request asks.
        self._knowing = [upstream for upstream in self._real if isinstance(upstream, Knowing)]
        #: Real upstreams that may have models that nobody has told of.
        self.open = [upstream for upstream in self._real if _is_open(upstream)]
        self._recognising = [upstream for upstream in self.open if isinstance(upstream, Recognising)]
        self._aliases = {alias: self._choices_of(alias, choices) for alias, choices in (aliases or {}).items()}
        self._default = default or azure_model
        if self._default and self._find(self._default) is None:
            raise ConfigError(f"No upstream has the default model {self._default!r}.")

    def targets(self, model: str, sees: Callable[[str], bool] = everything) -> Sequence[Target]:
        """The upstreams to try, in order. Raises ModelNotFound, which lists what there is.

        To whoever does not see a model by the name that is asked for it is not there.
        """
        found = self._find(model) if sees(model) else None
        if found is None:
            asked = "".join(char for char in model[:SHOWN] if char.isprintable())
            raise ModelNotFound(f"There is no model {asked!r} here. {self._offer(sees)}", param="model")
        return self._order.of(found)

    async def models(self) -> Sequence[ModelCard]:
        """Everything that can be asked for by name: aliases first, then each upstream's, each name once."""
        cards = {alias: ModelCard(id=alias, owned_by=_owner(choices)) for alias, choices in self._aliases.items()}
        for upstream in [*self._real, *([self._demo] if self._demo else [])]:
            for card in await upstream.models():
                cards.setdefault(card.id, card)
        return list(cards.values())

    async def default(self) -> str:
        """The configured default, else AZURE_OPENAI_MODEL, else the first real upstream's first model, else demo.

        An upstream without configured models is asked for them; of those that it tells, the first that looks like one
        for chat counts. Raises ModelNotFound where there is nothing at all.
        """
        if self._default:
            return self._default
        for upstream in self._real:
            names = [card.id for card in await upstream.models()]
            if names:
                return next((name for name in names if not _NO_CHAT.search(name)), names[0])
        if self._demo is not None:
            return DEMO_MODELS[0]
        raise ModelNotFound(f"Name a model. {self._offer()}", param="model")

    def names(self) -> Sequence[str]:
        """The names that are known now, without asking anybody."""
        names = [*self._aliases, *(name for upstream in self._knowing for name in upstream.known())]
        return list(dict.fromkeys([*names, *(DEMO_MODELS if self._demo else ())]))

    def targeted(self) -> frozenset[str]:
        """Models as their upstreams name them: those that aliases lead to, and those that are known now."""
        return frozenset(
            [*self.names(), *(target.model for choices in self._aliases.values() for target in _all(choices))]
        )

    def _find(self, model: str) -> Sequence[Shares] | None:
        """The table's choices; but a name that it gives to the demo alone is a real upstream's where one has it."""
        found = self._aliases.get(model)
        if found is None or all(target.upstream is self._demo for target in _all(found)):
            direct = self._direct(model)
            return [[(target, 1.0)] for target in direct] if direct else found
        return found

    def _direct(self, model: str) -> Sequence[Target] | None:
        """The rules below the table. A demo name comes before a prefix, for both have a slash."""
        if self._demo is not None and model in DEMO_MODELS:
            return [Target(self._demo, model)]
        prefix, slash, rest = model.partition("/")
        upstream = self._upstreams.get(prefix)
        if slash and rest and upstream is not None and upstream is not self._demo:
            return [Target(upstream, rest)]
        for upstream in self._knowing:
            if model in upstream.known():
                return [Target(upstream, model)]
        return self._guessed(model) if model and not _is_demo(model) else None

    def _guessed(self, model: str) -> Sequence[Target] | None:
        """An upstream that may have a model which nobody has told of."""
        for upstream in self._recognising:
            if upstream.likely(model):
                return [Target(upstream, model)]
        return [Target(upstream, model) for upstream in self.open] if len(self._real) == 1 else None

    def _choices_of(self, alias: str, choices: Sequence[Mapping[str, float]]) -> Sequence[Shares]:
        found = [
            [(target, weight) for name, weight in shares.items() for target in self._target_of(alias, name)]
            for shares in choices
        ]
        if not any(found):
            raise ConfigError(f"The model {alias!r} leads nowhere.")
        return found

    def _target_of(self, alias: str, name: str) -> Sequence[Target]:
        found = self._direct(name)
        if found is None:
            raise ConfigError(f"The model {alias!r} leads to {name!r}, which no upstream has.")
        return found

    def _offer(self, sees: Callable[[str], bool] = everything) -> str:
        names = [name for name in self.names() if sees(name)]
        if not names:
            return "No model is known yet."
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        return f"There are: {', '.join(names[:LISTED])}{more}."


def _all(choices: Sequence[Shares]) -> Iterator[Target]:
    return (target for shares in choices for target, _ in shares)


def _owner(choices: Sequence[Shares]) -> str:
    return next(_all(choices)).upstream.name


def _is_open(upstream: Upstream) -> bool:
    """Whether an upstream may have models that nobody has told of."""
    return not (isinstance(upstream, Knowing) and upstream.configured)


def _is_demo(model: str) -> bool:
    return model == "demo" or model.startswith("demo/")
