"""Every parser reads all that has ever been thought of to break one, and refuses as it should, in time."""

import time
from pathlib import Path

import pytest
from tests.fuzz.mutate import Mutator
from tests.fuzz.parsers import PARSERS, Parser, finding

CORPUS = Path(__file__).parent / "corpus"
#: Bytes to which each is repeated, and seconds of the processor that a reading of so much may take.
LARGE, LONGEST = 1 << 16, 1.0


def test_every_parser_has_a_corpus_and_every_corpus_a_parser():
    assert {path.name for path in CORPUS.iterdir()} == PARSERS.keys()
    assert [path for path in CORPUS.glob("*/*") if path.stat().st_size > 1 << 13] == []


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_reads_its_corpus(name):
    """As it is, cut, doubled, and repeated until it is large: what takes time that grows with its square fails."""
    seeds = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert len(seeds) >= 4
    for seed in seeds:
        for data in (seed, seed[: len(seed) // 2], seed[1:], seed * 2, seed + b"\n" + seed):
            assert finding(name, data) == "", data
        begun = time.process_time()
        assert finding(name, seed * (LARGE // max(1, len(seed)))) == "", seed
        assert time.process_time() - begun < LONGEST, seed


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_reads_what_chance_makes_of_it(name):
    """A little of what ``scripts/fuzz`` does, and always the same."""
    mutator = Mutator([path.read_bytes() for path in sorted((CORPUS / name).iterdir())], seed=7)
    for _ in range(60):
        data = mutator.next()
        assert finding(name, data) == "", data


def test_a_finding_is_found_and_made_small(monkeypatch):
    """The search can fail: a parser that stumbles over one byte is found, by an input that is little else."""

    def stumbles(data):
        assert b"\xff" not in data

    monkeypatch.setitem(PARSERS, "sse", Parser(stumbles))
    mutator = Mutator([b"data: something that is long\n\n"], seed=1)
    found = next(data for data in iter(mutator.next, None) if finding("sse", data))
    assert mutator.smallest(found, lambda data: bool(finding("sse", data))) == b"\xff"
