"""Following one answer to its end, over however many connections that takes: all that is decided, and no network.

A connection is made for ``asked()``, and given up where no head comes in ``silence()``; what it says goes into
``replied`` and ``received``; when it is over, however it ended, ``pause`` says how long to wait before the next one.
That goes on until there is an ``outcome``. So the sync and the async client are loops of a few lines.
"""

from collections.abc import Iterator
from urllib.parse import quote

from headrace.client.exchange import Asked, Head, Reply, again, stranger
from headrace.client.outcome import Outcome, of_error
from headrace.client.patience import Patience
from headrace.model import events
from headrace.model.events import Event
from headrace.model.outcome import State, Usage
from headrace.model.record import Record
from headrace.wire import sse
from headrace.wire.bounds import SizeExceeded
from headrace.wire.chat.decoder import Decoder
from headrace.wire.chat.encoder import DONE
from headrace.wire.openai_errors import scrub

#: Bytes that are read of a reply that is no stream.
_MOST_OF_REFUSAL = 1 << 16


class Following:
    """One answer: what to ask for, and what comes of it. Each event comes once.

    ``start`` is the question that starts it, which a server that is asked again knows by its idempotency key; it is
    asked until there is a stream. ``id`` is the stream's, or one of its names. ``after`` is the cursor after which to
    go on. A reader who does not ``participate`` is not somebody for whom the answer goes on.
    """

    def __init__(
        self,
        id: str,
        *,
        start: Asked | None = None,
        after: str = "",
        participate: bool = True,
        patience: Patience | None = None,
    ) -> None:
        self.id = id
        #: What has been handed out: the id of the last event of which nothing is missing.
        self.cursor = after
        self.outcome: Outcome | None = None
        self._start = start
        self._participate = participate
        self._patience = patience or Patience()
        self._joined_later = bool(after)
        #: All has been seen before: it is read once more, for its end alone.
        self._only_end = False
        self._decoder = Decoder()
        self._frames = sse.Decoder()
        self._head: Head | None = None
        self._body = b""
        self._reason = ""
        self._usage: Usage | None = None

    def goes_on(self) -> bool:
        """Whether there is no outcome yet."""
        return self.outcome is None

    def asked(self) -> Asked:
        """What the next connection asks for."""
        self._frames, self._head, self._body = sse.Decoder(), None, b""
        if self._start is not None:
            return self._start
        query = "?as=chat&participate=1" if self._participate else "?as=chat"
        cursor = "" if self._only_end else self.cursor
        headers = {"last-event-id": cursor} if cursor else {}
        return Asked("GET", f"/v1/streams/{quote(self.id, safe='')}{query}", headers=headers)

    def silence(self) -> float:
        """Seconds for which to wait for the head of the reply to that; a body may be silent for longer."""
        return self._patience.asked()

    def replied(self, head: Head) -> None:
        """The head of a reply. Raises Refused where it is of no Headrace."""
        self._head = head
        if head.status != 200:
            return
        if not head.headers.get("content-type", "").startswith("text/event-stream"):
            raise stranger(head.status)
        self._find_id()
        self._start = None
        self._patience.heard()

    def received(self, data: bytes) -> Iterator[Event]:
        """The events that a piece of the body completes. Raises Refused for what cannot be of a Headrace."""
        if self._head is None or self._head.status != 200:
            self._body += data[: _MOST_OF_REFUSAL - len(self._body)]
            return
        self._patience.heard()
        try:
            frames = self._frames.feed(data)
        except SizeExceeded:
            raise stranger(200) from None
        for frame in frames:
            if self.outcome is None:
                self._patience.succeeded()
                yield from self._told(frame)

    def pause(self) -> float:
        """Seconds to wait before the next connection, now that this one is over.

        Raises Unreachable where the server stayed away for too long, Gone where the stream is not there, Refused where
        the server does not do what it is asked.
        """
        head = self._head
        if head is None or head.status == 200:
            return self._patience.pause()
        if head.status == 204:  # said of a cursor alone: nothing comes after it
            if self._start is not None or self._only_end:
                raise stranger(204)
            self._only_end = True
            return 0.0
        if head.status >= 400 and self._find_id():
            self.outcome = of_error(scrub(self._body))  # an answer that failed before its first word
            return 0.0
        pause = again(Reply(head.status, head.headers, self._body), self._patience)
        if pause is None:
            raise stranger(head.status)
        return pause

    def _told(self, frame: sse.Frame) -> Iterator[Event]:
        """The events of one frame. Its cursor counts once the last of them is taken."""
        cursor = frame.id.rpartition(":")[2] or self.cursor
        found = [] if frame.data == DONE else self._decoder.decode(Record(frame.event, frame.data))
        shown = [event for event in found if self._shows(event)]
        yield from shown[:-1]
        self.cursor = self.cursor if self._only_end else cursor
        if shown:
            yield shown[-1]
        if frame.data == DONE:
            self.outcome = Outcome(state=State.COMPLETED, reason=self._reason or "stop", usage=self._usage)

    def _shows(self, event: Event) -> bool:
        """Note what an event says of the end, and whether it is one for the reader."""
        match event:
            case events.Failed():
                self.outcome = of_error(event.detail, self._usage)
                return False
            case events.Finished(choice=0):
                self._reason = event.reason
            case events.Used():
                self._usage = event.usage
            case events.Started():
                return not (self._joined_later or self._only_end)
        return not self._only_end

    def _find_id(self) -> bool:
        """Take the stream's own id from where the server says it can be rejoined."""
        assert self._head is not None  # noqa: S101 - both callers have looked
        place = self._head.headers.get("location", "").partition("?")[0]
        self.id = place.rpartition("/")[2] or self.id
        return bool(place)
