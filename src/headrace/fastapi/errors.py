"""What goes wrong in somebody else's generator, as an error that a client may be told."""

import logging
from types import TracebackType

from headrace.errors import ErrorDetail, HeadraceError, UpstreamFault

logger = logging.getLogger("headrace.fastapi")


class StreamError(Exception):
    """Raise it in a generator to tell the client what went wrong, in your words.

    ``code`` is for programs and never changes, ``message`` is for people, ``retry`` says whether asking again may help,
    ``status`` is the HTTP status where nothing has been sent yet. Make a class of each kind of error, or one on the
    spot::

        class OutOfCredit(StreamError):
            code, message, status = "out_of_credit", "There is no credit left.", 402

        raise StreamError("The year is over.", code="too_late")

    All other exceptions are told as ``internal``, without a word of their own; your log has them in full.
    """

    code: str = "failed"
    message: str = "The stream failed."
    status: int = 500
    retry: bool = False

    def __init__(
        self, message: str = "", *, code: str = "", status: int | None = None, retry: bool | None = None
    ) -> None:
        self.message = message or self.message
        self.code = code or self.code
        self.status = self.status if status is None else status
        self.retry = self.retry if retry is None else retry
        super().__init__(self.message)


class Fault(UpstreamFault):
    """The generator failed."""

    def __init__(self, error: StreamError | None = None) -> None:
        known = error or StreamError("Something went wrong on this server.", code="internal")
        super().__init__(code=known.code, status=known.status, detail=ErrorDetail(message=known.message))
        self.retryable = known.retry


class Cut(Exception):
    """A body ends here unfinished. It is raised into the server, which then breaks the connection."""


class Faults:
    """While it is entered, whatever the code of others raises becomes a Fault; the log gets it in full: it is theirs.

    A class and without state, because it is entered for every item.
    """

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let pass what is a fault already, and what is no error (a cancellation)."""
        if not isinstance(error, Exception) or isinstance(error, Fault):
            return
        if isinstance(error, StreamError):
            raise Fault(error) from error
        if isinstance(error, HeadraceError):  # of a part of ours that the generator uses: its words are ours
            known = StreamError(error.message, code=error.code, status=error.status, retry=error.retryable)
            raise Fault(known) from error
        logger.error("a generator failed", exc_info=error)
        raise Fault from error


#: See :class:`Faults`.
FAULTS = Faults()
