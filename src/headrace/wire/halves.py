"""Halves of surrogate pairs, which servers written in JavaScript cut in two between frames."""

from collections.abc import Hashable

from headrace.wire.json_object import healed


class Halves:
    """Pieces of texts made whole: half a pair at the end of one waits for the other half in the next.

    ``key`` tells apart the texts of an answer that grow at the same time.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, str] = {}

    def join(self, key: Hashable, piece: object) -> str:
        """What of a piece can be said now; nothing where it is no text."""
        if not isinstance(piece, str) or not piece:
            return ""
        if piece.isascii() and key not in self._held:
            return piece
        piece = self._held.pop(key, "") + piece
        if "\ud800" <= piece[-1] <= "\udbff":
            self._held[key] = piece[-1]
            piece = piece[:-1]
        return healed(piece)
