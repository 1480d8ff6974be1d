"""A conversation: what is asked with what was said before."""

from headrace.client.talk import Talk


def said(messages):
    return [message["content"] for message in messages]


def test_what_was_said_goes_with_the_next_question():
    """Also what there is of an answer that was stopped; a question that nothing came of is left out."""
    talk = Talk("m")
    assert said(talk.ask("one")) == ["one"]
    talk.answered("ONE")
    talk.ask("lost")
    talk.answered("")
    assert said(talk.ask("two")) == ["one", "ONE", "two"]


def test_the_last_question_is_asked_again():
    """Once more and once more, without what was said to it."""
    talk = Talk("m")
    talk.ask("one")
    talk.answered("ONE")
    talk.ask("two")
    talk.answered("TWO")
    for answer in ("", "TWO again"):
        assert said(talk.again()) == ["one", "ONE", "two"]
        talk.answered(answer)
    assert said(talk.ask("three")) == ["one", "ONE", "two", "TWO again", "three"]


def test_what_is_forgotten_is_not_asked_again():
    talk = Talk("m", "Be brief.")
    talk.ask("one")
    talk.answered("ONE")
    talk.forget()
    assert (talk.question, talk.system) == ("", "Be brief.")
    assert said(talk.ask("two")) == ["two"]
