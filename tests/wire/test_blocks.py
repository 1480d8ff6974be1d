"""Blocks come one after another, whatever order the events come in."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ErrorDetail
from headrace.model import events
from headrace.model.events import Finished, Reasoning, Refusal, Text, ToolCall
from headrace.model.outcome import Usage
from headrace.wire.blocks import Added, Blocks, Closed, Kind, Opened
from headrace.wire.seal import Seal

ALL = frozenset(Kind)
END = Finished(reason="stop")
TRICKY = '{"a": "\\"}{\\\\", "b": ["\\\\\\"]", {"c": "\\u00e9é😀"}], "": "\\\\"}'


def told(*pieces, end=True):
    """The steps of some events, and of the answer's end."""
    blocks = Blocks(ALL)
    steps = [step for event in pieces for step in blocks.take(event)]
    return steps + (blocks.finish() if end else [])


def whole(steps):
    """The blocks that steps make, after checking that each opens, grows and closes before the next one opens."""
    made = []
    for step in steps:
        match step:
            case Opened(number, kind, id, name):
                assert number == len(made)
                made.append([kind, id, name, "", None])
            case Added(number, kind, text):
                assert (number, made[-1][0], made[-1][4]) == (len(made) - 1, kind, None)
                assert text
                made[-1][3] += text
            case Closed(number, kind, id, name, text, seal):
                assert (number, made[-1][:4]) == (len(made) - 1, [kind, id, name, text])
                assert made[-1][4] is None
                made[-1][4] = seal
    assert all(block[4] is not None for block in made)
    return [tuple(block) for block in made]


def call(number, *pieces):
    """The events of one tool call; the first has the id and the name, and no arguments."""
    return [
        ToolCall(call=number, id=f"c{number}", name=f"f{number}"),
        *(ToolCall(call=number, arguments=piece) for piece in pieces),
    ]


def made_call(number, arguments):
    """The block of a call."""
    return (Kind.CALL, f"c{number}", f"f{number}", arguments, "")


def test_runs_of_a_kind_are_blocks():
    """A new kind closes the block before it."""
    steps = told(Reasoning(text="hm"), Text(text="a"), Text(text="b"), Refusal(text="no"), Text(text="c"))

    assert steps == [
        Opened(0, Kind.REASONING),
        Added(0, Kind.REASONING, "hm"),
        Closed(0, Kind.REASONING, text="hm"),
        Opened(1, Kind.TEXT),
        Added(1, Kind.TEXT, "a"),
        Added(1, Kind.TEXT, "b"),
        Closed(1, Kind.TEXT, text="ab"),
        Opened(2, Kind.REFUSAL),
        Added(2, Kind.REFUSAL, "no"),
        Closed(2, Kind.REFUSAL, text="no"),
        Opened(3, Kind.TEXT),
        Added(3, Kind.TEXT, "c"),
        Closed(3, Kind.TEXT, text="c"),
    ]


@pytest.mark.parametrize("order", set(permutations([0, 0, 1, 1, 2, 2])))
def test_parallel_calls_in_any_order_come_one_after_another(order):
    """Each with its own arguments; the one that began first comes first."""
    pieces = {n: iter(call(n, '{"n":', f"{n}}}")) for n in range(3)}
    sent = [next(pieces[n]) for n in order] + [each for n in (2, 0, 1) for each in pieces[n]]

    made = whole(told(*sent))

    first = list(dict.fromkeys(order))
    assert made == [made_call(n, f'{{"n":{n}}}') for n in first]


@pytest.mark.parametrize("arguments", [TRICKY, "[]", '"{"', '  {"a": 1}', '{"a": {}}', "12", "null"])
def test_arguments_split_anywhere_stay_whole_beside_another_call(arguments):
    """Quotes, escapes and brackets in them mislead nobody about their end, wherever they are cut."""
    for at in range(1, len(arguments)):
        first, second = call(0, arguments[:at], arguments[at:]), call(1, "{}")
        sent = [*first[:2], second[0], *first[2:], second[1]]

        assert whole(told(*sent)) == [made_call(0, arguments), made_call(1, "{}")]


def test_arguments_in_single_characters_stay_whole_beside_another_call():
    """Each character of one call goes with one of the other, and with one of the text."""
    pairs = zip(call(0, *TRICKY)[1:], call(1, *TRICKY)[1:], strict=True)
    sent = [call(0)[0], call(1)[0], *(each for a, b in pairs for each in (a, Text(text="x"), b))]

    made = whole(told(*sent))

    assert [block for block in made if block[0] is Kind.CALL] == [made_call(0, TRICKY), made_call(1, TRICKY)]
    assert "".join(block[3] for block in made if block[0] is Kind.TEXT) == "x" * len(TRICKY)


def test_a_block_that_waited_is_told_as_soon_as_the_call_before_it_is_complete():
    """Not only at the end of the answer."""
    blocks = Blocks()
    for event in [*call(0, '{"a"'), *call(1, "{}"), Text(text="t")]:
        assert not any(isinstance(step, Opened) and step.number for step in blocks.take(event))

    steps = blocks.take(ToolCall(call=0, arguments=":1}"))

    assert [step for step in steps if not isinstance(step, Closed)] == [
        Added(0, Kind.CALL, ":1}"),
        Opened(1, Kind.CALL, "c1", "f1"),
        Added(1, Kind.CALL, "{}"),
        Opened(2, Kind.TEXT),
        Added(2, Kind.TEXT, "t"),
    ]


@pytest.mark.parametrize(
    ("sent", "arguments"),
    [
        (call(0), ["{}"]),
        ([*call(0), *call(1, "{}")], ["{}", "{}"]),
        ([*call(0), Text(text="t"), *call(1, '{"a":1}')], ["{}", '{"a":1}']),
    ],
)
def test_no_arguments_are_an_empty_object(sent, arguments):
    """It is told as a piece, too, so that the pieces make the whole."""
    assert [block[3] for block in whole(told(*sent)) if block[0] is Kind.CALL] == arguments


def test_a_call_that_is_cut_short_is_told_as_far_as_it_came():
    """And what waited for it after it."""
    assert whole(told(*call(0, '{"a": "'), Text(text="t"))) == [
        made_call(0, '{"a": "'),
        (Kind.TEXT, "", "", "t", ""),
    ]


def test_text_between_calls_stands_between_them():
    """Also where they overlap; text that is parted by a call makes two blocks."""
    sent = [*call(0, "{"), Text(text="a"), Text(text="b"), *call(1, "{"), Text(text="c"), *call(2, "{}")]
    sent += [ToolCall(call=0, arguments="}"), Text(text="d"), ToolCall(call=1, arguments="}")]

    made = whole(told(*sent))

    assert [block[1] or block[3] for block in made] == ["c0", "ab", "c1", "c", "c2", "d"]


def test_text_that_waits_does_not_join_older_text():
    """A run that began after a call stays after it, however many blocks have been told in between."""
    sent = [*call(0, "{"), *call(1, "{"), *call(2, "{"), Text(text="a"), ToolCall(call=0, arguments="}")]
    sent += [*call(3, "{"), ToolCall(call=1, arguments="}"), Text(text="b")]

    made = whole(told(*sent))

    assert [block[1] or block[3] for block in made] == ["c0", "c1", "c2", "a", "c3", "b"]


def test_a_piece_for_a_call_that_is_closed_is_left_out():
    """It was complete, and something else has begun."""
    sent = [*call(0, "{}"), Text(text="t"), ToolCall(call=0, arguments=" ")]

    assert whole(told(*sent)) == [made_call(0, "{}"), (Kind.TEXT, "", "", "t", "")]


def test_a_seal_closes_the_reasoning_that_it_is_over():
    """What is thought after it is another block; a seal alone is one without text."""
    sent = [
        Reasoning(text="a"),
        Reasoning(signature="s1"),
        Reasoning(text="b", signature="s2"),
        Reasoning(signature="s3"),
    ]

    assert whole(told(*sent)) == [
        (Kind.REASONING, "", "", "a", "s1"),
        (Kind.REASONING, "", "", "b", "s2"),
        (Kind.REASONING, "", "", "", "s3"),
    ]


def test_a_seal_that_waits_stays_with_its_text():
    """In the middle of a call as well."""
    sent = [*call(0, "{"), Reasoning(text="a"), Reasoning(signature="s"), ToolCall(call=0, arguments="}")]

    assert whole(told(*sent)) == [made_call(0, "{}"), (Kind.REASONING, "", "", "a", "s")]


def test_only_kinds_that_are_kept_are_told_whole():
    """For the others, a long answer is not held in memory."""
    blocks = Blocks(frozenset({Kind.CALL}))
    sent = [Text(text="t"), *call(0, "{}"), END]

    closed = [step for event in sent for step in blocks.take(event) if isinstance(step, Closed)]

    assert [step.text for step in closed] == ["", "{}"]


def test_the_open_block_is_known_as_far_as_it_is():
    """None before the first one, and after the end."""
    blocks = Blocks(ALL)
    assert blocks.open is None

    blocks.take(Text(text="a"))
    assert blocks.open == Closed(0, Kind.TEXT, text="a")

    blocks.take(END)
    assert blocks.open is None


def test_the_end_is_told_once():
    """And closes everything."""
    blocks = Blocks(ALL)
    blocks.take(Text(text="a"))

    assert blocks.take(END) == [Closed(0, Kind.TEXT, text="a")]
    assert blocks.finish() == []
    assert blocks.take(END) == []


@pytest.mark.parametrize(
    "event",
    [
        Text(text=""),
        Text(text="x", choice=1),
        Reasoning(text="x", choice=1),
        Refusal(text="x", choice=1),
        ToolCall(call=0, arguments="{}", choice=1),
        Finished(reason="stop", choice=1),
        events.Started(id="x"),
        events.Used(usage=Usage(input=1, output=1)),
        events.Failed(detail=ErrorDetail()),
        events.Extra(dialect="x", payload={}),
    ],
)
def test_what_is_no_part_of_choice_0_makes_no_steps(event):
    """These dialects have one choice; an empty piece opens nothing."""
    assert told(event, Text(text="t"), event) == told(Text(text="t"))


def test_a_hidden_seal_is_not_over_the_reasoning_before_it():
    """What nobody may see is a block of its own, whatever was shown before."""
    hidden, shown = str(Seal("x", "h", hidden=True)), str(Seal("x", "s"))
    made = told(Reasoning(text="t"), Reasoning(signature=hidden), Reasoning(text="u", signature=shown))
    closed = [(step.kind, step.seal) for step in made if isinstance(step, Closed)]
    assert closed == [(Kind.REASONING, ""), (Kind.REASONING, hidden), (Kind.REASONING, shown)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def answers(draw):
    """Tool calls cut anywhere and mixed with each other and with text; and what they are."""
    wholes = draw(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=4))
    arguments = [
        json.dumps(each, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))) for each in wholes
    ]
    rows = []
    for number, text in enumerate(arguments):
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
        rows.append(call(number, *(text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))))
    rows.append([Text(text=each) for each in draw(st.lists(st.text(min_size=1), max_size=4))])
    order = draw(st.permutations([n for n, row in enumerate(rows) for _ in row]))
    left = [iter(row) for row in rows]
    return [next(left[n]) for n in order], arguments, "".join(each.text for each in rows[-1])


@given(answers())
def test_any_interleaving_gives_every_call_and_all_text_verbatim(answer):
    """In one block for each call."""
    sent, arguments, text = answer

    made = whole(told(*sent))

    calls = sorted(block for block in made if block[0] is Kind.CALL)
    assert calls == [made_call(n, each) for n, each in enumerate(arguments)]
    assert "".join(block[3] for block in made if block[0] is Kind.TEXT) == text
