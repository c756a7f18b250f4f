"""How many notices are too many, which come when nobody waits, and what of errors a run may have written.

Bots that do such things are in tests/bots; this is the arithmetic.
"""

from __future__ import annotations

from typing import Any

import pytest
from judged_story import answered_story
from test_world_limits import HANDED, WRITTEN, counts

from relaysim.sim.trace.schema import HandlingEnd, HandlingStart, MessageSent, TextFate, TextSent
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.settings import Limits

WAIT = "One moment please."
ANSWERED = (10.0, "w1", TextSent("c1.m1#1", "c1", "Sorry."))


def notices(count: int, *, at: float = 1.0, every: float = 0.0, text: str = WAIT, delivery: str = "c1.m1#1") -> Any:
    return [(at + number * every, "w1", TextSent(delivery, "c1", text)) for number in range(count)]


@pytest.mark.parametrize(
    ("events", "over"),
    [
        ([*notices(5), ANSWERED], 0),
        ([*notices(7), ANSWERED], 2),
        ([*notices(7, every=20.0), (130.0, *ANSWERED[1:])], 0),  # it had waited for two minutes
        ([*notices(8, every=20.0), (150.0, *ANSWERED[1:])], 1),
        ([(0.2, "w2", HandlingStart("c1.m1#2", "c1.m1", 2)), *notices(9), ANSWERED], 0),  # two deliveries
        ([*notices(7, delivery=""), ANSWERED], 2),  # outside of its handling, as in a queue's consumer
        ([ANSWERED, *notices(1, at=310.0)], 0),
        ([ANSWERED, *notices(2, at=310.5)], 2),
        ([*notices(2, at=4000.0)], 0),  # nobody has answered yet, which is judged elsewhere
        ([*notices(1, at=0.05)], 1),  # nobody had handed the message over
    ],
)
def test_notices_are_counted_for_each_message_and_while_somebody_waits(events: list[Any], over: int) -> None:
    ended = (1000.0, "w1", HandlingEnd("c1.m1#1", None, None))
    assert counts([*WRITTEN, HANDED, *events, ended], apologies=frozenset({"Sorry."}))["over_notices"] == over


SECOND = [
    (5.0, "customer:c1", MessageSent("c1.m2", "c1", "Again [c1.m2]", None)),
    (5.1, "w2", HandlingStart("c1.m2#1", "c1.m2", 1)),
]


@pytest.mark.parametrize(
    ("events", "over"),
    [
        # The handling of the first message has the lock, answers the first at 10 s, and goes on for the second.
        ([*notices(5), ANSWERED, *notices(5, at=20.0)], 0),
        ([*notices(5), ANSWERED, *notices(6, at=20.0)], 1),
        ([*notices(10, at=6.0), ANSWERED], 0),  # both wait
        ([*notices(60, at=6.0), ANSWERED], 50),
        ([*notices(10), ANSWERED], 5),  # nobody else waits yet
        ([*notices(5, at=6.0, delivery="c1.m2#1"), *notices(5, at=20.0), ANSWERED], 0),
        ([*notices(5, at=6.0), *notices(5, at=7.0, delivery="c1.m2#1"), *notices(1, at=20.0), ANSWERED], 1),
        # The first five move to the first message, which waited too, and make room on the second.
        ([*notices(5, at=6.0, delivery="c1.m2#1"), ANSWERED, *notices(5, at=20.0, delivery="c1.m2#1")], 0),
    ],
)
def test_a_notice_counts_for_any_message_that_waits_when_it_comes(events: list[Any], over: int) -> None:
    found = counts([*WRITTEN, HANDED, *SECOND, *events], apologies=frozenset({"Sorry."}))
    assert found["over_notices"] == over


def test_the_limits_are_the_scenarios_and_a_declared_notice_may_be_late() -> None:
    late = [*WRITTEN, HANDED, ANSWERED, *notices(1, at=400.0, text="This chat is closed.")]
    known = {"apologies": frozenset({"Sorry."})}
    assert counts(late, **known)["over_notices"] == 1
    assert counts(late, **known, limits=Limits(notice_seconds=390.0))["over_notices"] == 0
    declared = counts(late, **known, notices=frozenset({"This chat is closed."}))
    assert (declared["over_notices"], declared["undeclared_texts"], declared["notices"]) == (0, 0, 1)
    few = counts([*WRITTEN, HANDED, *notices(2), ANSWERED], **known, limits=Limits(notices_per_message=1))
    assert few["over_notices"] == 1


@pytest.mark.parametrize(
    ("text", "undeclared"),
    [
        ("Your order has been cancelled.", 1),
        ("Your ticket is open, Maria.", 0),
        ("Your ticket is open. AB-4711", 0),  # what changes is left out of the declaration where it stands at an end
        ("Your ticket AB-4711 is open.", 1),
        ("Hello Maria, your ticket is open.", 0),
        ("Your ticket is open. Your order has been cancelled.", 1),
        (WAIT, 0),
    ],
)
def test_a_text_is_declared_with_a_name_beside_it_and_no_more(text: str, undeclared: int) -> None:
    found = counts(
        [*WRITTEN, HANDED, *notices(1, text=text), ANSWERED],
        promises=Promises(notices=["Your ticket is open."]),
        notices=frozenset({"Your ticket is open."}),
    )
    assert found["undeclared_texts"] == undeclared


def test_a_notice_that_never_arrived_is_none() -> None:
    sent = notices(1, text="Your order has been cancelled.")
    refused = (1.0, "w1", TextFate("c1.m1#1", "c1", "refused"))
    assert counts([*WRITTEN, HANDED, *sent, refused])["undeclared_texts"] == 0


@pytest.mark.parametrize(
    ("sent", "broken"),
    [
        ("Your log says “ValueError: no blue ones” and Connection error.", {}),
        ("<p>Your log says “ValueError: no blue ones” and\nConnection error.</p>", {}),
        ("Your log says “ValueError: no blue ones” and Connection error.\nBadRequestError: no", {"S15": 1}),
        ("Error code: 400 - Your log says “ValueError: no blue ones” and Connection error.", {"S15": 1}),
        ("and says Connection error your log blue ones no ValueError", {"S15": 1}),
    ],
)
def test_a_run_may_write_of_errors_and_a_relay_may_not_add_one(sent: str, broken: dict[str, int]) -> None:
    story = answered_story()
    story.create_run("run_b", epoch=1)
    story.add(
        *("api", "message.stored", "thread_1", "msg_b", "assistant", "run_b"),
        "Your log says “ValueError: no blue ones” and Connection error.",
    )
    story.add("w1", "send", "", "c1", sent)
    assert {name: count for name, count in story.broken().items() if name == "S15"} == broken


def test_a_declared_text_may_have_such_words_and_nothing_beside_them() -> None:
    for sent, breaches in (("Connection error.", 0), ("Connection error. ValueError", 1)):
        story = answered_story()
        story.add("w1", "send", "", "c1", sent)
        assert story.broken(notices=frozenset({"Connection error."})).get("S15", 0) == breaches


def test_what_the_api_said_when_it_refused_is_an_error_in_whatever_words() -> None:
    story = answered_story()
    request = story.leave("messages.create")
    story.add("api", "served", request, 400, "The blue thread is being painted, dear colleague", "")
    story.answer(request, 400)
    story.add("w1", "send", "", "c1", "We wait, since “the blue thread is being painted, dear colleague”.")
    assert story.broken().get("S15") == 1
