"""A disk whose machine stops: what was not synced is lost, in part, torn and out of order.

::

    with Disk("cut", chance, at=40) as disk:
        log = await SqliteLog(before, vfs=disk.name, boot="first").open()
        ...                             # the power fails in the 40th write, sync or truncation; this goes on unaware
        disk.write_to(after)            # the files as they are found when the machine is on again
"""

import random
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import apsw

#: What a disk writes whole or not at all.
SECTOR = 512

Change = tuple[Literal["write", "truncate"], int, bytes]


class _Content:
    """A file: what the disk surely has, and what it was told since."""

    def __init__(self) -> None:
        self._durable = bytearray()
        self._pending: list[Change] = []

    def change(self, kind: Literal["write", "truncate"], at: int, data: bytes = b"") -> None:
        self._pending.append((kind, at, data))

    def sync(self) -> None:
        for change in self._pending:
            _apply(self._durable, *change)
        self._pending = []

    def after_cut(self, chance: random.Random) -> bytes:
        """Some of the unsynced writes have reached the disk, some of them torn between two sectors."""
        content = bytearray(self._durable)
        for kind, at, data in self._pending:
            fate = chance.random()
            if fate < 0.4:
                _apply(content, kind, at, data)
            elif fate < 0.5 and len(data) > SECTOR:
                _apply(content, kind, at, data[: SECTOR * chance.randrange(1, len(data) // SECTOR + 1)])
        return bytes(content)


def _apply(content: bytearray, kind: str, at: int, data: bytes) -> None:
    if kind == "truncate":
        del content[at:]
        return
    content.extend(bytes(max(0, at + len(data) - len(content))))
    content[at : at + len(data)] = data


class _File(apsw.VFSFile):
    """A file on the real disk that tells what is done to it."""

    def __init__(self, disk: "Disk", content: _Content, name: Any, flags: list[int]) -> None:  # noqa: ANN401
        super().__init__("", name, flags)
        self._disk = disk
        self._content = content

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's names, here and below
        super().xWrite(data, offset)
        self._content.change("write", offset, bytes(data))
        self._disk.touched()

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._content.change("truncate", newsize)
        self._disk.touched()

    def xSync(self, flags: int) -> None:  # noqa: N802
        del flags  # the real disk need not: a thousand cuts would take an hour of waiting for it
        self._disk.touched()
        self._content.sync()


class Disk(apsw.VFS):
    """The real disk, with a memory of what was synced. Use as a context; SQLite knows it by ``name``.

    The power fails in the change number ``at``, of all files together, or else when :meth:`write_to` is called;
    ``on_cut`` is called then, in whatever thread makes the change.
    """

    def __init__(
        self, name: str, chance: random.Random, *, at: int = 0, on_cut: Callable[[], object] = lambda: None
    ) -> None:
        self.name = name
        self._chance = chance
        self._left = at
        self._on_cut = on_cut
        self._files: dict[str, _Content] = {}
        self._found: dict[str, bytes] | None = None
        super().__init__(name, base="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unregister()

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: ANN401, D102, N802
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        return _File(self, self._files.setdefault(path.name, _Content()), name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: D102, N802
        super().xDelete(name, syncdir)
        self._files.pop(Path(name).name, None)

    def touched(self) -> None:
        """One more change."""
        self._left -= 1
        if self._left == 0:
            self._cut()

    def _cut(self) -> None:
        self._on_cut()
        files = list(self._files.items())
        self._found = {name: content.after_cut(self._chance) for name, content in files}

    def write_to(self, folder: Path) -> None:
        """The files as they are found when the machine is on again."""
        if self._found is None:
            self._cut()
        folder.mkdir()
        for name, data in (self._found or {}).items():
            (folder / name).write_bytes(data)
