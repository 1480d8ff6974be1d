"""Looks for inputs that a parser stumbles over: changes its corpus by chance, and adds what it finds.

``scripts/fuzz SECONDS SEED``: each parser in turn, until the time is over. A finding stays in the corpus for good.
"""

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.parsers import PARSERS, finding

CORPUS = Path(__file__).parent / "corpus"
LARGEST = 1 << 14

#: What parsers look for, and what they forget.
WORDS = (
    *(bytes([byte]) for byte in b"\0\r\n\t \x0b\x1b\x7f\x85\xa0\xff-01./\\%:;,=*\"'@#?&[]{}_"),
    *(text.encode() for text in ("\u2028", "\ufffd", "\u202e", "\ufeff", "\u0663", "\u00e9", "\U0001f600")),
    *(b"\xed\xa0\x80", b"\xc0\xaf", b"\r\r\n\n", b"9" * 19, b"18446744073709551616", b"9" * 5000, b"1e999", b"NaN"),
    *(b"-1", b"00", b"..", b"..;", b"//", b"==", b"%00", b"%2e", b"%252e", b"%ff", b"W/", b"[[[[", b"[" * 2000),
    *(b'{"":', b"data:", b"id:", b"event:", b"retry:", b"bytes=", b"Bearer ", b"ticket="),
)


class Mutator:
    """Makes inputs out of inputs; the same ones for the same seed."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._seeds = list(seeds)
        self._random = random.Random(seed)
        self._ways = (self._insert, self._delete, self._repeat, self._flip, self._splice, self._swap)

    def next(self) -> bytes:
        """Another one."""
        data = self._random.choice(self._seeds)
        for _ in range(self._random.choice((1, 1, 2, 3, 5, 8))):
            data = self._random.choice(self._ways)(data)[:LARGEST]
        return data

    def smallest(self, data: bytes, fails: Callable[[bytes], bool]) -> bytes:
        """What is left of an input when no part of it can be left out any more."""
        size = len(data) // 2
        while size:
            parts = [data[:at] + data[at + size :] for at in range(0, len(data), size)]
            found = next((part for part in parts if fails(part)), None)
            data, size = (data, size // 2) if found is None else (found, min(size, len(found) // 2) or 1)
            if not data:
                break
        return data

    def _place(self, data: bytes) -> tuple[int, int]:
        start = self._random.randint(0, len(data))
        return start, self._random.randint(start, min(len(data), start + self._random.choice((1, 4, 64))))

    def _insert(self, data: bytes) -> bytes:
        start, _ = self._place(data)
        return data[:start] + self._random.choice(WORDS) + data[start:]

    def _delete(self, data: bytes) -> bytes:
        start, stop = self._place(data)
        return data[:start] + data[stop:]

    def _repeat(self, data: bytes) -> bytes:
        start, stop = self._place(data)
        return data[:stop] + data[start:stop] * self._random.choice((1, 2, 16, 300)) + data[stop:]

    def _flip(self, data: bytes) -> bytes:
        start, stop = self._place(data)
        return data[:start] + self._random.randbytes(stop - start) + data[stop:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return data[: self._place(data)[0]] + other[self._place(other)[0] :]

    def _swap(self, data: bytes) -> bytes:
        start, stop = self._place(data)
        return data[:start] + self._random.choice(WORDS) + data[stop:]


def search(name: str, seconds: float, seed: int) -> tuple[int, list[Path]]:
    """How many inputs a parser was given, and the findings that are new."""
    mutator = Mutator([path.read_bytes() for path in sorted((CORPUS / name).iterdir())], seed)
    tried, found, known = 0, [], set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutator.next()
        tried += 1
        wrong = finding(name, data)
        if wrong and wrong.partition(":")[0] not in known:
            known.add(wrong.partition(":")[0])
            found.append(_kept(name, mutator.smallest(data, lambda part: bool(finding(name, part)))))
    return tried, found


def _kept(name: str, data: bytes) -> Path:
    path = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def main() -> None:
    """Search all parsers, or those that are named; findings end it with 1."""
    arguments = argparse.ArgumentParser(description="Look for inputs that a parser stumbles over.")
    arguments.add_argument("seconds", type=float, nargs="?", default=60.0, help="for all together")
    arguments.add_argument("seed", type=int, nargs="?", default=0)
    arguments.add_argument("--only", choices=sorted(PARSERS), action="append")
    asked = arguments.parse_args()
    names = asked.only or list(PARSERS)
    findings = 0
    for name in names:
        tried, found = search(name, asked.seconds / len(names), asked.seed)
        sys.stdout.write(f"{name}: {tried} inputs, {len(found)} findings\n")
        for path in found:
            sys.stdout.write(f"  {path}: {finding(name, path.read_bytes())[:200]}\n")
        findings += len(found)
    sys.exit(findings > 0)


if __name__ == "__main__":
    main()
