"""The parts of the house, made from the settings: store, upstreams, records, registry, upkeep."""

import importlib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

from headrace.config import ProxyTarget as TargetSettings
from headrace.config import Settings
from headrace.config import Upstream as UpstreamSettings
from headrace.core.clock import Clock, SystemClock
from headrace.core.deadlines import Deadlines, Limits
from headrace.core.log import Kept, Log, Vault
from headrace.core.meters import Meters
from headrace.core.quotas import Quotas
from headrace.core.registry import Registry
from headrace.core.routing import Forwarding, Upstream
from headrace.core.topics import TopicLimits, Topics
from headrace.core.tracing import ClosingTracer, Tracer
from headrace.core.volume import stored_bytes
from headrace.errors import ConfigError
from headrace.faces.access.auth import Authenticator
from headrace.faces.access.key_ring import KeyRing
from headrace.faces.access.sessions import Sessions
from headrace.faces.access.tickets import Tickets, secret_in
from headrace.faces.feed import LISTENERS, Feeds
from headrace.faces.folder import Folder
from headrace.faces.relay import Bounds
from headrace.faces.service import Manners, Proxied, Service, Talks
from headrace.faces.shares import Shares
from headrace.observe.health import Probe, StoreHealth
from headrace.observe.logs import count_dropped
from headrace.observe.metrics import Metrics
from headrace.observe.overview import Board
from headrace.observe.siblings import folder_in
from headrace.observe.upstreams import CountedHttp, Known
from headrace.providers import MAKERS, PROVIDERS
from headrace.records.answers import Answers
from headrace.records.conversations import Conversations
from headrace.records.database import Database
from headrace.records.keys import Keys
from headrace.records.recorder import Recorder
from headrace.records.spending import spent
from headrace.records.taking import Taker
from headrace.stores.opening import Streams, open_accounts, open_log, open_topics
from headrace.upkeep import Upkeep
from headrace.upstreams.demo import Demo
from headrace.upstreams.http_public import is_public
from headrace.upstreams.lookout import Lookout
from headrace.upstreams.order import Order
from headrace.upstreams.routes import Table
from headrace.upstreams.target import ProxyTarget


class Parts:
    """Opened as an async context; closed in the reverse order, so that the log outlives whoever writes to it."""

    service: Service

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._stack = AsyncExitStack()
        self._known = Known()
        self._meters = Meters(self._known)
        count_dropped(self._meters.log_lines_dropped.add)

    async def __aenter__(self) -> Self:
        try:
            self.service = await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> Service:
        settings, clock = self._settings, self._clock
        log = await self._open_log()
        upstreams = [self._upstream(name, given) for name, given in settings.active.items()]
        for upstream in upstreams:
            self._stack.push_async_callback(upstream.close)
        routes = self._open_routes(upstreams)
        secret = await self._ticket_secret(log)
        tickets = Tickets(secret, clock, lifetime=settings.tickets.lifetime)
        sessions = Sessions(secret, clock)
        records = Database.of(settings)
        talks = _talks(log, records, clock)
        recorder = Recorder(log, records, clock, settings.prices, talks.taker)
        self._stack.push_async_callback(recorder.close)
        ring = await self._open_ring(records)
        quotas = await self._open_quotas(log, records)
        registry = Registry(
            log,
            clock,
            deadlines=_deadlines(settings),
            limits=_limits(settings),
            keepalive=settings.server.keep_alive,
            meters=self._meters,
            tracer=self._open_tracer(),
        )
        self._stack.push_async_callback(registry.close)
        self._stack.push_async_callback(talks.taker.close)
        topics = await self._open_topics(log)
        retention = settings.retention
        kept = Kept(frames=retention.frames, stored=retention.stored, tombstone=retention.tombstone)
        upkeep = Upkeep(registry, recorder, topics, kept, clock)
        await upkeep.start()
        self._stack.push_async_callback(upkeep.close)
        metrics = await self._open_metrics(registry)
        return Service(
            registry=registry,
            topics=topics,
            routes=routes,
            forwarders={upstream.name: upstream for upstream in upstreams if isinstance(upstream, Forwarding)},
            targets={name: self._target(name, given) for name, given in settings.proxy.items()},
            recorder=recorder,
            records=records,
            talks=talks,
            quotas=quotas,
            exports=Shares(settings.limits.exports_per_owner, "exports"),
            feeds=Feeds(registry),
            listeners=Shares(LISTENERS, "feeds"),
            tickets=tickets,
            sessions=sessions,
            protected=ring.is_protected,
            folder=self._open_folder(),
            authenticate=Authenticator(ring, tickets, sessions).of_request,
            manners=_manners(settings),
            overview=Board(registry, metrics.snapshot, self._health(log, topics, records)).looking,
            metrics=metrics if settings.metrics.enabled else None,
            metrics_key=settings.metrics.key.get_secret_value(),
        )

    def _open_routes(self, upstreams: Sequence[Upstream]) -> Table:
        settings, clock = self._settings, self._clock
        azure = next((given for given in settings.active.values() if given.kind == "azure"), None)
        routes = Table(
            upstreams,
            order=Order(clock, others=self._other_keys()),
            aliases=settings.models,
            default=settings.default_model,
            azure_model=azure.models[0] if azure and azure.models else "",
        )
        self._known.routes = routes
        lookout = Lookout(routes.open, clock)
        lookout.start()
        self._stack.push_async_callback(lookout.close)
        return routes

    async def _open_ring(self, records: Database) -> KeyRing:
        settings = self._settings
        keys = Keys(records, self._clock) if settings.records_last else None
        ring = KeyRing(settings.keys, keys, self._clock, exposed=not settings.server.loopback)
        self._stack.push_async_callback(ring.close)
        await ring.open()
        return ring

    async def _open_quotas(self, log: Log, records: Database) -> Quotas:
        clock = self._clock
        accounts = await open_accounts(self._settings.store, log, clock)
        self._stack.push_async_callback(accounts.close)
        quotas = Quotas(accounts, clock, stored=partial(stored_bytes, log), spent=partial(spent, records, clock))
        self._stack.push_async_callback(quotas.close)
        return quotas

    async def _open_log(self) -> Streams:
        settings, retention = self._settings, self._settings.retention
        keep = max(retention.frames, retention.stored) + retention.tombstone
        log = await open_log(settings.store, keep, self._clock, self._meters)
        self._stack.push_async_callback(log.close)
        return log

    async def _open_topics(self, log: Log) -> Topics:
        limits = self._settings.limits
        topics = await open_topics(self._settings.store, log, self._clock)
        self._stack.push_async_callback(topics.close)
        return Topics(
            topics, self._clock, TopicLimits(limits.topic_record_bytes, limits.topic_bytes, limits.topics_per_owner)
        )

    def _open_tracer(self) -> Tracer | None:
        settings = self._settings
        if not settings.otel.enabled:
            return None
        try:
            otel = importlib.import_module("headrace.observe.otel")
        except ModuleNotFoundError:
            raise ConfigError("[otel] needs: pip install 'headrace[otel]'") from None
        makers = {name: MAKERS[given.kind] for name, given in settings.active.items()}
        tracer: ClosingTracer = otel.Telemetry.to_collector(makers, self._meters.model)
        self._stack.push_async_callback(tracer.close)
        return tracer

    def _health(self, log: Streams, topics: Topics, records: Database) -> StoreHealth:
        probes = {
            "streams": Probe(_kind(log), log.check),
            "topics": Probe(_kind(topics.log), lambda: topics.log.list("", limit=1)),
            "records": Probe(records.kind, records.check),
        }
        return StoreHealth(probes, self._clock)

    async def _open_metrics(self, registry: Registry) -> Metrics:
        settings = self._settings
        data = settings.store.folder
        shared = data is not None and settings.server.workers > 1
        metrics = Metrics(registry, self._clock, folder_in(data) if data is not None and shared else None)
        await metrics.open()
        self._stack.push_async_callback(metrics.close)
        return metrics

    def _open_folder(self) -> Folder | None:
        root = self._settings.files.folder
        if root is None:
            return None
        folder = Folder(root, self._clock)
        self._stack.callback(folder.close)
        return folder

    def _other_keys(self) -> Mapping[str, Sequence[Upstream]]:
        """The same upstreams again, under their other keys."""
        others: dict[str, Sequence[Upstream]] = {}
        for name, given in self._settings.active.items():
            keyed = [given.model_copy(update={"api_key": key}) for key in given.api_keys]
            others[name] = [self._upstream(name, alike) for alike in keyed]
            for upstream in others[name]:
                self._stack.push_async_callback(upstream.close)
        return others

    def _upstream(self, name: str, given: UpstreamSettings) -> Upstream:
        if given.kind == "demo":
            return Demo(clock=self._clock, name=name)
        trusted = ssl.create_default_context(cafile=given.ca_file) if given.ca_file else None
        http = CountedHttp(ssl_context=trusted, connect=self._settings.deadlines.connect)
        http.count(self._meters.upstream_requests, name)
        return PROVIDERS[given.kind](name, given, http, self._clock)

    def _target(self, name: str, given: TargetSettings) -> Proxied:
        settings = self._settings
        trusted = ssl.create_default_context(cafile=given.ca_file) if given.ca_file else None
        http = CountedHttp(
            ssl_context=trusted,
            connect=settings.deadlines.connect,
            allowed=None if given.private else is_public,
            inflate=given.record,  # what is recorded is read by others, in their own time and way
        )
        http.count(self._meters.upstream_requests, f"proxy.{name}")
        self._stack.push_async_callback(http.close)
        headers = {name: value.get_secret_value() for name, value in given.headers.items()}
        bounds = Bounds(
            first=given.first or settings.deadlines.first,
            idle=given.idle or settings.deadlines.idle,
            send=settings.deadlines.send,
            body=given.max_bytes,
        )
        whole = min(given.max_bytes or settings.limits.body_bytes, settings.limits.body_bytes)
        return Proxied(ProxyTarget(given.base_url, headers, given.methods, http), bounds, given.record, whole)

    async def _ticket_secret(self, log: Log) -> bytes:
        configured = self._settings.tickets.secret.get_secret_value()
        if configured:
            return configured.encode()
        return await log.secret() if isinstance(log, Vault) else secret_in(self._settings.store.folder)


def _deadlines(settings: Settings) -> Deadlines:
    given = settings.deadlines
    return Deadlines(first=given.first, idle=given.idle, total=given.total)


def _limits(settings: Settings) -> Limits:
    given = settings.limits
    return Limits(
        stream_bytes=given.stream_bytes,
        stream_records=given.stream_records,
        open_streams=given.open_streams,
        open_streams_per_owner=given.open_streams_per_owner,
        readers_per_stream=given.readers_per_stream,
    )


def _kind(store: object) -> str:
    """What a store is called: ``sqlite`` where its module is ``headrace.stores.sqlite.topics``."""
    return type(store).__module__.split(".")[2]


def _talks(log: Log, records: Database, clock: Clock) -> Talks:
    answers = Answers(records, clock)
    return Talks(Conversations(records, clock), answers, Taker(log, answers, clock))


def _manners(settings: Settings) -> Manners:
    return Manners(
        gate=settings.server.gate,
        first=settings.deadlines.first,
        idle=settings.deadlines.idle,
        send_timeout=settings.deadlines.send,
        linger=settings.on_leave.default,
        api_chat=settings.on_leave.api_chat,
    )
