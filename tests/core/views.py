"""Two small views for tests: one that shows records as they are, one that counts what it has seen."""

from collections.abc import Sequence

from headrace.core.log import Head
from headrace.core.rendering import View
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record


def frame(record: Record, cursor: str) -> bytes:
    """One line: cursor, payload."""
    return cursor.encode() + b"|" + record.data + b"\n"


class Verbatim:
    """Records as they are; the end is told."""

    stateless = True

    def __init__(self, _: Head) -> None:
        self.format = ""

    def start(self) -> Sequence[Record]:
        return ()

    def open(self, format: str) -> None:
        self.format = format

    def record(self, record: Record) -> Sequence[Record]:
        return (record,)

    def end(self, outcome: Outcome) -> Sequence[Record]:
        return (Record("", b"END " + outcome.state.encode()),)


class Counting:
    """Record n becomes ``n % 3`` frames that tell how many records came before; only a completed end is told."""

    stateless = False

    def __init__(self, head: Head) -> None:
        self.model = head.meta.model
        self.seen = 0

    def start(self) -> Sequence[Record]:
        return (Record("", b"START " + self.model.encode()),)

    def open(self, format: str) -> None:
        pass

    def record(self, record: Record) -> Sequence[Record]:
        self.seen += 1
        return [Record("", b"%d.%d " % (self.seen, part) + record.data) for part in range(self.seen % 3)]

    def end(self, outcome: Outcome) -> Sequence[Record]:
        if outcome.state is not State.COMPLETED:
            return ()
        return (Record("", b"DONE %d" % self.seen), Record("", b"CLOSE"))


VERBATIM = View("verbatim", Verbatim, frame, ping=b"ping\n")
COUNTING = View("counting", Counting, frame, prefix="st:", ping=b"ping\n")
