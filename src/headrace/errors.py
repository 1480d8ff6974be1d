"""Every error that Headrace raises on purpose, as one tree.

::

    HeadraceError
    ├── ConfigError                     the settings cannot work as they are
    ├── RequestError                    the client is wrong (4xx)
    │   ├── Unauthorized                no key, or not one of ours
    │   ├── Forbidden                   cross-site, or a right that the key lacks
    │   ├── NotFound                    unknown, or somebody else's
    │   │   └── ModelNotFound           no upstream has this model
    │   ├── PreviousNotFound            a request goes on from an answer that is not there
    │   ├── StreamOpen                  asked for the whole of what is still growing
    │   ├── StreamGone                  was here, is deleted or expired
    │   ├── OffsetAhead                 a cursor beyond what is kept
    │   ├── HeadTooLarge                its head is over its bound
    │   ├── BodyTooLarge                its body is
    │   ├── BodyStalled                 the request stopped before its end
    │   ├── UnsupportedBody             a content type or encoding that is not read
    │   ├── HostRefused                 the Host header names a host that is not ours
    │   ├── PreconditionFailed          a condition of the request does not hold
    │   ├── RangeNotSatisfiable         nothing of the bytes asked for is there
    │   ├── NameTaken                   another request stands under this idempotency key
    │   ├── TopicConflict               a topic is not as the request takes it to be
    │   │   ├── TopicClosed             no more is appended to it
    │   │   └── SequenceConflict        a writer's sequence leaves something out, or goes back
    │   ├── ProducerFenced              the producer has begun a newer epoch elsewhere
    │   ├── TooManyStreams              the owner's share is used up
    │   └── LimitReached                a key has used what it may
    ├── UpstreamError                   the model provider is wrong
    │   ├── UpstreamUnreachable         no connection: refused, DNS, TLS
    │   ├── UpstreamTimeout             no connection or no first token in time
    │   ├── UpstreamStalled             silence in the middle of an answer
    │   ├── UpstreamRefused             an HTTP status other than 200
    │   ├── UpstreamFault               an error object inside the answer
    │   ├── UpstreamTruncated           the answer stopped before its end
    │   └── UpstreamProtocol            the answer is not of its dialect
    ├── LimitExceeded                   an answer grew over a cap of ours
    │   └── TookTooLong                 or over the time that it may take
    ├── StoreError                      the log cannot do its work
    │   ├── StoreUnavailable            full, locked, read-only, out of reach
    │   └── StoreCorrupt                what is stored is not what was written
    └── Draining                        the server is about to stop

An error carries a ``code`` (stable, for programs), a ``status`` (the HTTP status that fits) and a ``message`` (ours,
for people: never the text of another exception and never an upstream's). Each dialect renders them in its own shape.
"""

import msgspec


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An upstream's own error object after scrubbing: capped, no credentials, no URLs, no control characters."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""


class HeadraceError(Exception):
    """Something went wrong on this server.

    The root; the first line is what a client is told where there is nothing better to say. ``retryable`` says whether
    the same request may succeed later.
    """

    code: str = "internal"
    status: int = 500
    retryable: bool = False
    #: Seconds after which it may; None where nobody knows.
    retry_after: float | None = None

    def __init__(self, message: str = "", *, param: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.message = str(self)
        self.param = param


class ConfigError(HeadraceError):
    """The configuration cannot work as it is."""

    code = "config"


class RequestError(HeadraceError):
    """The request cannot be served as it is."""

    code = "invalid_request"
    status = 400


class Unauthorized(RequestError):
    """A valid API key is needed."""

    code = "invalid_api_key"
    status = 401


class Forbidden(RequestError):
    """This request is not allowed from where it comes."""

    code = "forbidden"
    status = 403


class NotFound(RequestError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    """There is no such model."""

    code = "model_not_found"


class PreviousNotFound(RequestError):
    """The previous response is not there, or its request was not kept."""

    code = "previous_response_not_found"


class StreamOpen(RequestError):
    """The answer is still being written; read it as a stream."""

    code = "stream_open"
    status = 409


class StreamGone(RequestError):
    """The stream was here and is no longer kept."""

    code = "gone"
    status = 410


class OffsetAhead(RequestError):
    """The cursor is beyond what this stream holds."""

    code = "offset_ahead"
    status = 410


class HeadTooLarge(RequestError):
    """The headers of the request are too many or too large."""

    code = "headers_too_large"
    status = 431


class BodyTooLarge(RequestError):
    """The request body is too large."""

    code = "request_too_large"
    status = 413


class BodyStalled(RequestError):
    """The request body did not come in time."""

    code = "request_timeout"
    status = 408
    retryable = True


class UnsupportedBody(RequestError):
    """The request body is of a kind that is not read here."""

    code = "unsupported_media_type"
    status = 415


class HostRefused(RequestError):
    """This server does not answer for that host."""

    code = "host_refused"
    status = 421


class PreconditionFailed(RequestError):
    """What is there is not what the request takes it to be."""

    code = "precondition_failed"
    status = 412


class RangeNotSatisfiable(RequestError):
    """Nothing of the range is there.

    ``size`` is how many bytes there are.
    """

    code = "range_not_satisfiable"
    status = 416

    def __init__(self, message: str = "", *, size: int = 0) -> None:
        super().__init__(message, param="Range")
        self.size = size


class NameTaken(RequestError):
    """Another request was made under this idempotency key."""

    code = "idempotency_mismatch"
    status = 422


class TopicConflict(RequestError):
    """The topic is not what the request takes it to be."""

    code = "topic_conflict"
    status = 409


class TopicClosed(TopicConflict):
    """The topic is closed; nothing more is appended to it.

    ``offset`` is where it ends.
    """

    code = "topic_closed"

    def __init__(self, message: str = "", *, offset: str = "") -> None:
        super().__init__(message)
        self.offset = offset


class SequenceConflict(TopicConflict):
    """The sequence number does not come after the last one.

    ``expected`` is the next one of this producer, where it is a producer's.
    """

    code = "sequence_conflict"

    def __init__(self, message: str = "", *, expected: int | None = None, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.expected = expected


class ProducerFenced(RequestError):
    """This producer has a newer epoch; what is left of an older one writes no more.

    ``epoch`` is the newer one.
    """

    code = "producer_fenced"
    status = 403

    def __init__(self, message: str = "", *, epoch: int = 0) -> None:
        super().__init__(message)
        self.epoch = epoch


class TooManyStreams(RequestError):
    """Too many answers are being written for this key."""

    code = "rate_limit"
    status = 429
    retryable = True


class LimitReached(RequestError):
    """This key has used what it may.

    ``wait`` is in how many seconds there is room again (``rate_limit``); None where no waiting helps.
    """

    code = "insufficient_quota"
    status = 429

    def __init__(self, message: str = "", *, param: str | None = None, wait: float | None = None) -> None:
        super().__init__(message, param=param)
        self.retryable = wait is not None
        self.retry_after = wait
        if self.retryable:
            self.code = "rate_limit"


class UpstreamError(HeadraceError):
    """The model provider failed.

    ``accepted`` tells whether the provider took the request on before it failed: only when it did not may another
    provider be asked, or the request's idempotency key be used again (promise P8).
    ``detail`` is the provider's own error object, scrubbed; ``retry_after`` is in seconds, capped. ``code`` and
    ``status`` are given where the provider's reason is better known than the class tells (``rate_limit`` with 429).
    """

    code = "upstream_error"
    status = 502
    retryable = True

    def __init__(
        self,
        message: str = "",
        *,
        accepted: bool = True,
        code: str | None = None,
        status: int | None = None,
        detail: ErrorDetail | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.accepted = accepted
        self.detail = detail
        self.retry_after = retry_after
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class UpstreamUnreachable(UpstreamError):
    """The model provider cannot be reached."""

    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamError):
    """The model provider did not answer in time."""

    code = "upstream_timeout"
    status = 504


class UpstreamStalled(UpstreamError):
    """The model provider fell silent in the middle of its answer."""

    code = "upstream_stalled"
    status = 504


class UpstreamRefused(UpstreamError):
    """The model provider refused the request."""

    code = "upstream_refused"


class UpstreamFault(UpstreamError):
    """The model provider reported an error in the middle of its answer."""

    code = "upstream_error"


class UpstreamTruncated(UpstreamError):
    """The model provider's answer stopped before its end."""

    code = "upstream_truncated"


class UpstreamProtocol(UpstreamError):
    """The model provider's answer could not be understood."""

    code = "upstream_protocol"


class LimitExceeded(HeadraceError):
    """The answer grew over a limit of this server."""

    code = "limit"
    status = 507


class TookTooLong(LimitExceeded):
    """The answer took longer than this server allows."""

    code = "timeout"
    status = 504


class StoreError(HeadraceError):
    """The stream store cannot do its work."""

    code = "storage"
    status = 503
    retryable = True


class StoreUnavailable(StoreError):
    """The stream store does not take writes now."""


class StoreCorrupt(StoreError):
    """What the stream store holds is not what was written."""

    status = 500
    retryable = False


class Draining(HeadraceError):
    """The server is about to stop; ask again."""

    code = "draining"
    status = 503
    retryable = True
