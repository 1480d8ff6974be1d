"""Chat in a terminal: questions are typed, answers grow; Ctrl-C stops an answer and not the program."""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from headrace.client.blocking import Answer, Client
from headrace.client.errors import ClientError, Gone
from headrace.client.growing import faint
from headrace.client.outcome import Outcome
from headrace.client.patience import TO_STOP
from headrace.client.showing import Showing
from headrace.client.talk import Talk
from headrace.client.visible import visible
from headrace.model.outcome import State
from headrace.wire.json_object import healed

with contextlib.suppress(ImportError):
    import readline  # noqa: F401  (gives input() its line editing and its history)

HELP = """\
/model NAME    ask another model       /models   list them
/system TEXT   set the system prompt   /new      forget what was said
/retry         ask the same again      /quit     leave (as does Ctrl-D)
Ctrl-C stops an answer. A line that ends in \\ goes on in the next."""

_COMMAND = re.compile(r"/([a-z]*)(?:\s+(.*))?", re.DOTALL)
#: How an answer ended that was stopped here.
_STOPPED = Outcome(state=State.CANCELLED, reason="cancelled")


class Terminal:
    """A conversation on a terminal. ``open`` makes a client, given what waits for a server and for how many seconds."""

    def __init__(
        self,
        open: Callable[[Callable[[float], None], float | None], Client],
        talk: Talk,
        console: Console,
        *,
        read: Callable[[str], str] = input,
    ) -> None:
        self._client = open(self._wait, None)
        self._stopper = open(time.sleep, TO_STOP)
        self._talk = talk
        self._console = console
        self._read = read
        self._waiting = False
        #: The last answer was stopped here.
        self.stopped = False
        self._commands: dict[str, Callable[[str], None]] = {
            "model": self._model,
            "models": self._models,
            "system": self._system,
            "new": self._new,
            "retry": self._retry,
            "help": lambda _: self._say(HELP),
        }

    def run(self) -> None:
        """Talk until the user leaves. Ctrl-C never ends it."""
        self._say(f"{self._talk.model} · /help says what can be done, Ctrl-D leaves")
        going_on = True
        while going_on:
            try:
                going_on = self._turn()
            except KeyboardInterrupt:
                self._console.print()

    def _turn(self) -> bool:
        """Read a line and do what it says; whether the user stays."""
        line = self._line()
        if line is None:
            return False
        if (command := _COMMAND.fullmatch(line.strip())) is None:
            if line.strip():
                self._ask(self._talk.ask(line))
        elif command[1] in ("quit", "exit"):
            return False
        else:
            self._commands.get(command[1], self._unknown)((command[2] or "").strip())
        return True

    def answer(self, messages: Sequence[dict[str, Any]]) -> Outcome | None:
        """Ask, and show the answer. Returns how it ended; None where there is none, which has been said."""
        answer = self._client.chat(self._talk.model, messages, system=self._talk.system)
        with answer, Showing(self._console) as showing:
            outcome = self._shown(answer, showing)
        if outcome is not None:
            showing.end(outcome)
        self._talk.answered(showing.text)
        return outcome

    def _ask(self, messages: Sequence[dict[str, Any]]) -> None:
        self._console.print()
        self.answer(messages)
        self._console.print()

    def _shown(self, answer: Answer, showing: Showing) -> Outcome | None:
        self._waiting = self.stopped = False
        try:
            for item in answer:
                self._waiting = False
                showing.take(item)
        except KeyboardInterrupt:
            self.stopped = True
            self._stop(answer.id)
            return _STOPPED
        except ClientError as error:
            self._wrong(str(error))
        return answer.outcome

    def _stop(self, id: str) -> None:
        try:
            self._stopper.cancel(id)
        except Gone:
            pass  # it had not begun
        except ClientError as error:
            self._wrong(f"It may go on: {error}")

    def _wait(self, seconds: float) -> None:
        """Wait for a server that is away; say so, once each time."""
        if not self._waiting:
            self._waiting = True
            self._say("The connection was lost, or the server is busy; going on as soon as it answers.")
        time.sleep(seconds)

    def _line(self) -> str | None:
        """What is typed, over several lines where each but the last ends in a backslash; None at its end."""
        lines: list[str] = []
        while True:
            try:
                line = healed(self._read("… " if lines else "> "))
            except EOFError:
                self._console.print()
                return None
            except UnicodeDecodeError:
                self._wrong("That is not text.")
                return ""
            lines.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                return "\n".join(lines)

    def _model(self, name: str) -> None:
        self._talk.model = name or self._talk.model
        self._say(f"The model is {self._talk.model}.")

    def _models(self, _: str) -> None:
        try:
            for name in self._client.models():
                self._say(f"{'*' if name == self._talk.model else ' '} {name}")
        except ClientError as error:
            self._wrong(str(error))

    def _system(self, text: str) -> None:
        self._talk.system = text
        self._say("The system prompt is set." if text else "There is no system prompt.")

    def _new(self, _: str) -> None:
        self._talk.forget()
        self._say("What was said is forgotten.")

    def _retry(self, _: str) -> None:
        if self._talk.question:
            self._ask(self._talk.again())
        else:
            self._say("Nothing has been asked.")

    def _unknown(self, _: str) -> None:
        self._say(HELP)

    def _say(self, text: str) -> None:
        self._console.print(faint(text))

    def _wrong(self, text: str) -> None:
        self._console.print(Text(visible(text), style="red"))
