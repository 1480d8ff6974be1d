"""The room for connections: how many there may be, and who makes room for one more."""

from typing import Protocol


class Guest(Protocol):
    """A connection."""

    def make_room(self) -> bool:
        """End at once; nothing of a request has been read that is not answered. False where that cannot be."""


class Room:
    """Room for ``most`` connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        #: Those of which nothing is read or answered; the one that has rested longest first.
        self._resting: dict[Guest, None] = {}

    def admit(self) -> bool:
        """Whether there is room for one more, which is taken then, until it is given back.

        Where there is none, who has rested longest is closed: any idle connection may be, and its client knows.
        """
        while self._taken >= self._most:
            longest = next(iter(self._resting), None)
            if longest is None:
                return False
            del self._resting[longest]
            if longest.make_room():
                break
        self._taken += 1
        return True

    def give_back(self) -> None:
        """One is gone, or has never begun."""
        self._taken -= 1

    def rests(self, guest: Guest) -> None:
        """Nothing is read or answered of it now."""
        self._resting[guest] = None

    def works(self, guest: Guest) -> None:
        """It does not rest any more, or is gone."""
        self._resting.pop(guest, None)
