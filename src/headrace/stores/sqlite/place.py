"""The data folder as one process has it open: its own log file, those of other workers, and the shared file."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from headrace.core.clock import Clock
from headrace.errors import NotFound, StoreError
from headrace.stores.sqlite.commit import GroupCommit
from headrace.stores.sqlite.connection import Durability, check_sqlite, store_errors
from headrace.stores.sqlite.file import SCHEMA_VERSION, Lock, Reader, Row
from headrace.stores.sqlite.orphan import BUSY_MS, Orphan, lock_path
from headrace.stores.sqlite.shared import Shared, Signal
from headrace.stores.sqlite.upkeep import Upkeep
from headrace.stores.sqlite.view import Loaded, View
from headrace.stores.sqlite.writer import Writer
from headrace.stores.tail import Tail

#: Seconds between two looks at what other processes have committed.
POLL = 0.01
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def machine_boot() -> str:
    """What changes with each start of this machine; where that is not known, what changes each time."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"unknown-{id(object())}"


def log_path(folder: Path, number: int) -> Path:
    """Where a worker's log file is."""
    return folder / f"log-{number}.db"


def log_numbers(folder: Path) -> list[int]:
    """The workers' files that there are."""
    return sorted(int(path.stem[4:]) for path in folder.glob("log-*.db") if path.stem[4:].isdigit())


class _Opened(NamedTuple):
    """What the opening thread brings back."""

    number: int
    lock: Lock
    writer: Writer
    own: View
    loaded: Loaded
    shared: Shared
    epoch: int


def _lost(folder: Path, durability: Durability, boot: str, vfs: str) -> bool:
    """Whether a file was open when the machine stopped, without having been written through to the disk."""
    for number in log_numbers(folder):
        reader = Reader(log_path(folder, number), durability, vfs)
        try:
            facts = [reader.fact(key) for key in ("clean", "boot", "durability")]
        finally:
            reader.close()
        if facts[0] == 0 and facts[1] != boot and facts[2] == "process":
            return True
    return False


def _take_number(folder: Path) -> tuple[int, Lock]:
    number = 1
    while (lock := Lock.take(lock_path(log_path(folder, number)))) is None:
        number += 1
    lock.mark()
    return number, lock


def _open(folder: Path, durability: Durability, boot: str, vfs: str) -> _Opened:
    check_sqlite()
    with store_errors(), ExitStack() as undo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lost = _lost(folder, durability, boot, vfs)
        shared = Shared(folder / "shared.db", durability, busy_ms=BUSY_MS, vfs=vfs)
        undo.callback(shared.abandon)
        epoch = shared.epoch(boot, lost)
        number, lock = _take_number(folder)
        undo.callback(lock.release)
        path = log_path(folder, number)
        # The loop never waits for a lock; a commit in a thread may.
        busy_ms = BUSY_MS if durability == "power" else 0
        writer = Writer(path, durability, boot=boot, busy_ms=busy_ms, vfs=vfs)
        undo.callback(writer.db.close)  # and nothing more: the file does not count as whole
        shared.clear(number, 1 << 62)
        own = View(path, number, durability, vfs)
        undo.callback(own.reader.close)
        found = _Opened(number, lock, writer, own, own.load(own.reader), shared, epoch)
        undo.pop_all()
        return found


class Place:
    """All files that one process has open. Made on the event loop by :meth:`open`, after any fork."""

    def __init__(self, folder: Path, durability: Durability, clock: Clock, boot: str, vfs: str, found: _Opened) -> None:
        self.folder = folder
        self.durability: Durability = durability
        self.boot = boot
        self.vfs = vfs
        self.clock = clock
        self.number = found.number
        self.epoch = found.epoch
        self.shared = found.shared
        self.own = found.own
        self.own.apply(found.loaded)
        for tail in self.own.live.values():
            tail.inherited = tail.outcome is None
        self.views: dict[int, View] = {}
        self.lock = found.lock
        self._writer = found.writer
        self.commit = GroupCommit(found.writer, self.own, threaded=durability == "power", now=clock.time)
        self.upkeep = Upkeep(found.own.path, durability, found.own, self.commit, found.shared, vfs)
        self.on_signal: Callable[[Signal], None] = lambda _: None
        self._heard = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(POLL, self._poll)
        self.tasks: set[asyncio.Task[None]] = {asyncio.create_task(self.upkeep.run())}

    @classmethod
    async def open(cls, folder: Path, durability: Durability, clock: Clock, boot: str, vfs: str) -> "Place":
        """Take a file that nobody holds, or a new one. Raises StoreError."""
        boot = boot or machine_boot()
        return cls(folder, durability, clock, boot, vfs, await asyncio.to_thread(_open, folder, durability, boot, vfs))

    # --- other workers

    def _poll(self) -> None:
        self._timer = self._loop.call_later(POLL, self._poll)
        try:
            with store_errors():
                signals = self.shared.poll(self.number, self._heard)
        except StoreError:
            signals = []
        for signal in signals:
            self._heard = signal.number
            self.on_signal(signal)
        if signals:
            self.spawn(self.shared.done(self.number, self._heard))
        for view in self.views.values():
            try:
                view.poll()
            except StoreError:
                # Those who wait are told by their own next read.
                for tail in view.waited:
                    tail.call_wakes()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run something beside; a store that does not work now is no news to anybody in there."""

        async def run() -> None:
            with suppress(StoreError):
                await work

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def others(self) -> list[int]:
        """The numbers of all files but the own one."""
        return [number for number in log_numbers(self.folder) if number != self.number]

    async def discover(self) -> bool:
        """Look for files of workers that have started since; whether there are any."""
        news = False
        for number in self.others():
            if number not in self.views:
                view = await asyncio.to_thread(self._view, number)
                if view is not None and number not in self.views:
                    self.views[number] = view
                    news = True
        return news

    def _view(self, number: int) -> View | None:
        path = log_path(self.folder, number)
        for _ in range(2):
            with store_errors():
                view = View(path, number, self.durability, self.vfs)
                version = view.reader.schema()
                if version == SCHEMA_VERSION:
                    return view
                view.close()
            if version == 0:
                return None  # it is being made
            # Whoever takes an older file brings it up to date.
            orphan = Orphan.take(path, self.durability, self.boot, self.vfs)
            if orphan is None:
                break
            orphan.close()
        raise StoreError(f"{path.name} has schema version {version}; this Headrace knows {SCHEMA_VERSION}.")

    async def find(self, id: str) -> tuple[View, Tail | Row]:
        """Where a stream is: live, or as its table holds it. As new as the files. Raises NotFound."""
        found = self._find_own(id) or await self._find_elsewhere(id)
        if found is None and await self.discover():
            found = await self._find_elsewhere(id)
        if found is None:
            raise NotFound
        return found

    def _find_own(self, id: str) -> tuple[View, Tail | Row] | None:
        tail = self.own.live.get(id)
        if tail is not None:
            return self.own, tail
        with store_errors():
            row = self.own.reader.find(id)
        # A row that is hot but not live was committed this moment, and is not yet published.
        return (self.own, row) if row is not None and (row.compact or row.head.gone) else None

    async def _find_elsewhere(self, id: str) -> tuple[View, Tail | Row] | None:
        for view in sorted(self.views.values(), key=lambda view: id not in view.live):
            await view.fresh()
            tail = view.live.get(id)
            if tail is not None:
                return view, tail
            with store_errors():
                row = view.reader.find(id)
            if row is not None and (row.compact or row.head.gone):
                return view, row
        return None

    # --- the end

    async def close(self) -> None:
        """Commit what is under way, mark the file as whole, and let go of everything."""
        self._timer.cancel()
        await self.commit.close()
        tasks, self.tasks = self.tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self.upkeep.close)
        for view in (self.own, *self.views.values()):
            view.close()
        try:
            with store_errors():
                await asyncio.to_thread(self._writer.close)
        finally:
            self.lock.release()
            await self.shared.close()
