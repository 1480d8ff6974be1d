"""The machine stops: what was not synced is lost, in part and out of order, and the folder is opened again."""

import random
from pathlib import Path

import apsw
import pytest

from headrace.errors import NotFound
from headrace.stores.sqlite import SqliteLog
from headrace.testing.contract import DONE, meta, numbered, read_all

SECTOR = 512


class _Content:
    """A file: what the disk surely has, and what it was told since."""

    def __init__(self):
        self.durable = bytearray()
        self.pending = []

    @staticmethod
    def _apply(content, kind, at, data):
        if kind == "truncate":
            del content[at:]
            return
        content.extend(bytes(max(0, at + len(data) - len(content))))
        content[at : at + len(data)] = data

    def sync(self):
        for change in self.pending:
            self._apply(self.durable, *change)
        self.pending = []

    def after_cut(self, chance):
        """Some of the unsynced writes have reached the disk, one of them perhaps torn between two sectors."""
        content = bytearray(self.durable)
        for kind, at, data in self.pending:
            fate = chance.random()
            if fate < 0.4:
                self._apply(content, kind, at, data)
            elif fate < 0.5 and len(data) > SECTOR:
                self._apply(content, kind, at, data[: SECTOR * chance.randrange(1, len(data) // SECTOR + 1)])
        return bytes(content)


class _File(apsw.VFSFile):
    def __init__(self, content, name, flags):
        super().__init__("", name, flags)
        self._content = content

    def xWrite(self, data, offset):  # noqa: N802  (SQLite's names)
        super().xWrite(data, offset)
        self._content.pending.append(("write", offset, bytes(data)))

    def xTruncate(self, newsize):  # noqa: N802
        super().xTruncate(newsize)
        self._content.pending.append(("truncate", newsize, b""))

    def xSync(self, flags):  # noqa: N802
        super().xSync(flags)
        self._content.sync()


class Disk(apsw.VFS):
    """The real disk, with a memory of what was synced."""

    def __init__(self):
        self.files = {}
        super().__init__("headrace-power-cut", base="")

    def xOpen(self, name, flags):  # noqa: N802
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        return _File(self.files.setdefault(path.name, _Content()), name, flags)

    def xDelete(self, name, syncdir):  # noqa: N802
        super().xDelete(name, syncdir)
        self.files.pop(Path(name).name, None)

    def image(self, folder, chance):
        """The files as they are found when the machine is on again."""
        folder.mkdir()
        for name, content in self.files.items():
            (folder / name).write_bytes(content.after_cut(chance))


async def write_until_the_cut(log, chance):
    """Random appends, checkpoints and compactions; returns how far each stream was acknowledged."""
    acknowledged = {}
    for n in range(chance.randrange(2, 60)):
        name = f"s{chance.randrange(4)}"
        if name not in acknowledged:
            await log.create(name, meta(created=float(n)))
            acknowledged[name] = 0
        tail, count = acknowledged[name], chance.randrange(1, 6)
        done = await log.append(name, tail, numbered(tail + 1, tail + count, size=chance.choice([10, 3000])))
        acknowledged[name] = done.tail
        step = chance.random()
        if step < 0.05:
            await log._place.upkeep.checkpoint(reset=chance.random() < 0.5)
        elif step < 0.1 and name == "s3":
            await log.append(name, acknowledged[name], (), DONE)
            await log._place.upkeep.tidy()
            acknowledged[name] = -acknowledged[name]
            break
    return acknowledged


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "power"])
async def test_a_power_cut_costs_a_suffix_at_most_and_nothing_under_power(tmp_path, durability):
    """Thirty cuts at random moments: no hole, no wrong bytes; under ``power`` nothing acknowledged; the epoch tells."""
    lost = 0
    for seed in range(30):
        chance = random.Random(seed)
        disk = Disk()
        log = await SqliteLog(
            tmp_path / f"{seed}-before", durability=durability, boot="first", vfs="headrace-power-cut"
        ).open()
        acknowledged = await write_until_the_cut(log, chance)
        disk.image(tmp_path / f"{seed}-after", chance)
        await log.close()
        log = await SqliteLog(tmp_path / f"{seed}-after", durability=durability, boot="second").open()
        assert log.epoch == (2 if durability == "process" else 1)
        for name, tail in acknowledged.items():
            try:
                records, _ = await read_all(log, name)
            except NotFound:
                records = []
            data = [record.data.rstrip(b".") for record in records]
            assert data == [record.data for record in numbered(1, len(records))]
            lost += abs(tail) - len(records)
        await log.close()
    if durability == "power":
        assert lost == 0
    else:
        assert lost > 0, "the simulation lost nothing, so it has proved nothing"
