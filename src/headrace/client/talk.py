"""A conversation as a terminal keeps it: for as long as the program runs."""

from typing import Any


class Talk:
    """Who is asked, what was said, and the last question, which may be asked again."""

    def __init__(self, model: str, system: str = "") -> None:
        self.model = model
        self.system = system
        self.question = ""
        self._turns: list[dict[str, Any]] = []
        #: What was said before the last question.
        self._before = 0

    def ask(self, question: str) -> list[dict[str, Any]]:
        """The messages that ask it."""
        self.question = question
        self._before = len(self._turns)
        return [*self._turns, {"role": "user", "content": question}]

    def answered(self, text: str) -> None:
        """Keep what was said to the last question, if anything was."""
        if text:
            self._turns += [{"role": "user", "content": self.question}, {"role": "assistant", "content": text}]

    def again(self) -> list[dict[str, Any]]:
        """The messages that ask the last question once more; what was said to it is forgotten."""
        del self._turns[self._before :]
        return self.ask(self.question)

    def forget(self) -> None:
        """Begin anew, with the same model and system prompt."""
        self._turns.clear()
        self.question = ""
