"""Bounds on what a peer may make us hold in memory."""

from headrace.errors import UpstreamProtocol

#: Bytes that one event or one line may have.
MAX_EVENT_SIZE = 1 << 20


class SizeExceeded(UpstreamProtocol):
    """The model provider sent more in one piece than this server takes."""

    code = "limit"
    retryable = False
