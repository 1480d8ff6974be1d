"""Every metric: its name, what it means, its labels, and where its value is. docs/metrics.md is held to this."""

from collections.abc import Callable
from typing import NamedTuple

from headrace.core.meters import Counter, Histograms, Meters


class Metric(NamedTuple):
    """One family. ``labels`` of counters and histograms are those of where they are counted."""

    name: str
    meaning: str
    value: Callable[[Meters], Counter | Histograms]


class Gauge(NamedTuple):
    """A value of now. Over several processes it is their sum, or the ``least`` of them."""

    name: str
    meaning: str
    least: bool = False


COUNTED = (
    Metric("headrace_streams_ended_total", "Answers that have ended, by state and reason.", lambda m: m.ended),
    Metric("headrace_tokens_total", "Tokens, by what upstreams report or an estimate.", lambda m: m.tokens),
    Metric(
        "headrace_answer_duration_seconds",
        "From the first request to an upstream to the committed end, of completed answers.",
        lambda m: m.answers,
    ),
    Metric(
        "headrace_upstream_time_to_first_token_seconds",
        "From the request to the upstream to its first records, of streamed answers.",
        lambda m: m.upstream_first,
    ),
    Metric(
        "headrace_upstream_time_between_tokens_seconds",
        "Between two arrivals of records from the upstream.",
        lambda m: m.upstream_between,
    ),
    Metric(
        "headrace_time_to_first_token_seconds",
        "From the client's request to the first records on their way to that client.",
        lambda m: m.first,
    ),
    Metric(
        "headrace_time_between_tokens_seconds",
        "Between two sends of records to the client whose request started the answer.",
        lambda m: m.between,
    ),
    Metric(
        "headrace_added_time_to_first_token_seconds",
        "What Headrace added to the time to the first token: the client's less the upstream's.",
        lambda m: m.added,
    ),
    Metric(
        "headrace_cancel_duration_seconds",
        "From a stop to the committed end of the answer, the upstream's connection closed before.",
        lambda m: m.cancels,
    ),
    Metric(
        "headrace_replays_total",
        "Readers that came back with the id of the last event that they had seen.",
        lambda m: m.replays,
    ),
    Metric("headrace_store_commit_duration_seconds", "Commits of the stream store.", lambda m: m.commits),
    Metric(
        "headrace_store_commit_failures_total",
        "Commits that the stream store did not take.",
        lambda m: m.commit_failures,
    ),
    Metric(
        "headrace_event_loop_lag_seconds",
        "How late the event loop ran a timer that is set four times a second.",
        lambda m: m.loop_lag,
    ),
    Metric("headrace_http_requests_total", "Requests, by route and class of status.", lambda m: m.requests),
    Metric(
        "headrace_upstream_requests_total",
        "Requests to upstreams and the proxy's targets, by class of status; `none` where no response came.",
        lambda m: m.upstream_requests,
    ),
    Metric(
        "headrace_log_lines_dropped_total",
        "Log lines that were dropped because nobody took them.",
        lambda m: m.log_lines_dropped,
    ),
    Metric("process_cpu_seconds_total", "CPU time, user and system.", lambda m: m.cpu),
)

GAUGES = (
    Gauge("headrace_workers", "Processes that serve."),
    Gauge("headrace_open_streams", "Answers that are being written."),
    Gauge("headrace_readers", "Replies that are reading a stream."),
    Gauge("headrace_renderings", "Streams that are being read, once for each dialect."),
    Gauge("headrace_held_bytes", "Bytes of streams that are kept in memory for their readers."),
    Gauge("headrace_tasks", "Tasks of the event loop. With nothing to do they are always as many; more is a leak."),
    Gauge("process_resident_memory_bytes", "Memory that is resident."),
    Gauge("process_open_fds", "File descriptors that are open."),
    Gauge("process_max_fds", "File descriptors that may be open."),
    Gauge("process_start_time_seconds", "When the oldest of the processes started, in Unix seconds.", least=True),
)
