"""Which of an answer's tool calls a piece of one belongs to, whatever a server says of it."""

from typing import Any


class CallNumbers:
    """Numbers of one choice's tool calls, dense and from 0, in the order of their first pieces.

    A piece says ``index`` where the server keeps to the dialect. Some leave it out (a piece with a known ``id`` goes on
    with that call, one with another id or a name begins the next), some leave gaps, some call every one 0.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        #: The first call with an id: looked up for each piece, however many calls there are.
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}

    def number(self, piece: dict[str, Any]) -> tuple[int, bool]:
        """The number of the call that the piece belongs to, and whether it is the first of that call."""
        id = piece.get("id")
        id = id if isinstance(id, str) else ""
        index = piece.get("index")
        known = self._known(index if isinstance(index, int) else None, id, bool(function_of(piece).get("name")))
        if known is not None:
            if id and not self._ids[known]:
                self._ids[known] = id
                self._by_id[id] = min(known, self._by_id.get(id, known))
            return known, False
        self._ids.append(id)
        number = len(self._ids) - 1
        self._by_id.setdefault(id, number)
        if isinstance(index, int):
            self._by_index[index] = number
        return number, True

    def _known(self, index: int | None, id: str, named: bool) -> int | None:
        if index is not None:
            number = self._by_index.get(index)
            another = number is not None and id and named and self._ids[number] not in {"", id}
            return None if another else number
        if id:
            return self._by_id.get(id)
        return None if named or not self._ids else len(self._ids) - 1


def function_of(piece: dict[str, Any]) -> dict[str, Any]:
    """The ``function`` of a tool call or a piece of one; empty where there is none."""
    function = piece.get("function")
    return function if isinstance(function, dict) else {}
