"""The flow: what an answer brings goes into the log in its order, from the callback of whatever brings it."""

import asyncio

import pytest

from headrace.core.flow import Flow, Stopped
from headrace.core.log import Appended
from headrace.errors import HeadraceError, StoreUnavailable, UpstreamTruncated
from headrace.model.record import Record


class Pushed:
    """An answer that a test brings: records, and what is raised. The end is noted when the last ones are taken."""

    def __init__(self) -> None:
        self.ended = False
        self.coming: list[list[Record] | Exception] = []
        self.news = None
        self._whole = False

    def listen(self, news) -> None:
        self.news = news

    def take(self):
        if not self.coming:
            return None
        found = self.coming.pop(0)
        if isinstance(found, Exception):
            raise found
        self.ended = self._whole and not self.coming
        return found

    def bring(self, *found, ended: bool = False) -> None:
        """Several may come at once; the last may be the end."""
        self.coming += found
        self._whole = ended
        self.news()


class Put:
    """Where the records go. While ``busy`` an append is under way that they have to wait for."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.busy: asyncio.Future[Appended] | None = None
        self.raises: BaseException | None = None

    def __call__(self, records):
        if self.busy is not None and not self.busy.done():
            return self.busy
        if self.raises is not None:
            raise self.raises
        self.records += records
        return None


def record(text: str) -> Record:
    return Record("", text.encode())


A, B, C, D = map(record, "abcd")


async def test_everything_comes_in_its_order_and_the_last_is_returned():
    answer, put = Pushed(), Put()
    answer.coming = [[A]]
    flow = Flow(answer, put)
    assert put.records == [A], "what had come before it listened"
    answer.bring([], [B], [C])
    assert put.records == [A, B, C]
    answer.bring([D], ended=True)
    assert put.records == [A, B, C]
    assert await flow.over == [D]
    assert answer.news is None


async def test_an_append_that_is_not_committed_holds_the_next_records():
    """One append under way at a time; what comes meanwhile stays where it is."""
    answer, put = Pushed(), Put()
    flow = Flow(answer, put)
    put.busy = asyncio.get_running_loop().create_future()
    answer.bring([A])
    answer.bring([B])
    answer.bring([C], ended=True)
    assert (put.records, len(answer.coming)) == ([], 2)
    put.busy.set_result(Appended(True, 1))
    assert await flow.over == [C]
    assert put.records == [A, B]


@pytest.mark.parametrize("where", ["answer", "put"])
@pytest.mark.parametrize("error", [UpstreamTruncated(), StoreUnavailable()])
async def test_what_ends_it_is_raised(where, error):
    answer, put = Pushed(), Put()
    flow = Flow(answer, put)
    if where == "put":
        put.raises = error
    answer.bring(*([[A]] if where == "put" else [[A], error]))
    with pytest.raises(type(error)):
        await flow.over
    assert put.records == ([] if where == "put" else [A])
    assert answer.news is None


async def test_a_stop_is_raised():
    answer, put = Pushed(), Put()
    flow = Flow(answer, put)
    put.raises = Stopped()
    answer.bring([A])
    with pytest.raises(Stopped):
        await flow.over


async def test_what_nobody_foresaw_fails_the_answer_and_is_told():
    """The task that waits is not left waiting; whoever brought the news gets the exception, which is a bug."""
    answer, put = Pushed(), Put()
    flow = Flow(answer, put)
    put.raises = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        answer.bring([A])
    with pytest.raises(HeadraceError):
        await flow.over


async def test_nothing_moves_once_it_was_given_up():
    """The task was cancelled: what comes then goes nowhere."""
    answer, put = Pushed(), Put()
    flow = Flow(answer, put)
    flow.over.cancel()
    answer.bring([A])
    assert put.records == []
