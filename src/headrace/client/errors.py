"""What goes wrong between a client and its server, as one tree.

::

    ClientError
    ├── Unreachable         the server has not answered for as long as it was waited for
    ├── Refused             it has answered, and does not do what it was asked for
    │   └── Gone            there is no such stream: never was, no longer kept, or somebody else's
    └── Unfinished          the answer has ended, or was left, and not as completed

Each carries a stable ``code`` and the HTTP ``status`` of what was said; 0 where nothing was. Messages are the
server's, in one line without control characters, and never hold a key or a prompt.
"""

from headrace.client.outcome import Outcome


class ClientError(Exception):
    """It did not go well."""

    code: str = "client"

    def __init__(self, message: str = "", *, code: str = "", status: int = 0) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.code = code or self.code
        self.status = status


class Unreachable(ClientError):
    """The server does not answer."""

    code = "unreachable"


class Refused(ClientError):
    """The server does not do what it was asked for."""

    code = "refused"


class Gone(Refused):
    """There is no such stream, or not as much of it as the cursor says."""

    code = "not_found"


class Unfinished(ClientError):
    """The answer has ended, and not as completed.

    ``outcome`` tells how, ``text`` is what there is of it. Where the reader had left before its end, and so nobody
    knows that, the outcome is ``open`` with the reason ``left``.
    """

    def __init__(self, outcome: Outcome, text: str = "") -> None:
        super().__init__(outcome.message, code=outcome.reason)
        self.outcome = outcome
        self.text = text
