"""An append to a topic, and the judgement whether it may be made.

A producer numbers its appends, so that a repetition is told from news; a newer epoch of it shuts out what is left of an
older one. ``Stream-Seq`` is simpler: each text must be greater than the last.
"""

from collections.abc import Sequence
from typing import NamedTuple

from headrace.core.topic_log import Note, TopicHead
from headrace.errors import ProducerFenced, RequestError, SequenceConflict, TopicClosed, TopicConflict

#: Of how many producers a topic remembers the state; who wrote longest ago is forgotten first.
MOST_PRODUCERS = 256


class Producer(NamedTuple):
    """Who appends, since which restart, and for the how manieth time since."""

    id: str
    epoch: int
    sequence: int


class Append(NamedTuple):
    """What shall be appended. ``kind`` is the content type without parameters; ``closed`` makes it the last."""

    kind: str = ""
    records: Sequence[bytes] = ()
    closed: bool = False
    producer: Producer | None = None
    sequence: str = ""


class Appended(NamedTuple):
    """How the topic stands after an append. ``producer`` has its last sequence; ``repeated`` was made before."""

    head: TopicHead
    producer: Producer | None = None
    repeated: bool = False


def judge(head: TopicHead, asked: Append) -> Note | Appended:
    """What is to be remembered of an append that may be made, or what came of it when it was made before.

    Raises ProducerFenced, TopicClosed, TopicConflict, SequenceConflict and RequestError.
    """
    repeated = _repeated(head, asked.producer)
    if repeated is not None:
        return Appended(head, repeated, repeated=True)
    if head.closed:
        if asked.records or not asked.closed:
            raise TopicClosed(offset=str(head.offset))
        return Appended(head, asked.producer, repeated=True)
    if asked.records and asked.kind != head.topic.kind:
        raise TopicConflict("The topic has another content type.", param="Content-Type")
    return Note(_counted(head.note, asked.producer), _sequence(head.note, asked.sequence))


def _repeated(head: TopicHead, producer: Producer | None) -> Producer | None:
    """A producer with the last sequence that was accepted, where it says again what it has said."""
    if producer is None or producer.id not in head.note.producers:
        return None
    epoch, last = head.note.producers[producer.id]
    if producer.epoch < epoch:
        raise ProducerFenced(epoch=epoch)
    if producer.epoch > epoch or producer.sequence > last:
        return None
    return producer._replace(sequence=last)


def _counted(note: Note, producer: Producer | None) -> dict[str, tuple[int, int]]:
    """The producers with this one's count, last."""
    known = dict(note.producers)
    if producer is None:
        return known
    epoch, last = known.pop(producer.id, (producer.epoch, -1))
    if producer.epoch > epoch:
        if producer.sequence:
            raise RequestError("A producer's new epoch begins with sequence 0.", param="Producer-Seq")
    elif producer.sequence != last + 1:
        raise SequenceConflict("The producer has left out a sequence.", expected=last + 1, param="Producer-Seq")
    if len(known) >= MOST_PRODUCERS:
        del known[next(iter(known))]
    known[producer.id] = (producer.epoch, producer.sequence)
    return known


def _sequence(note: Note, sequence: str) -> str:
    if not sequence:
        return note.sequence
    if sequence <= note.sequence:
        raise SequenceConflict("The sequence is not greater than the last one.", param="Stream-Seq")
    return sequence
