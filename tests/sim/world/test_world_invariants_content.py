"""S12 to S15 on traces written by hand: each promise broken, each excuse, and what looks like a breach and is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from judged_story import PLAIN, JudgedStory

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.world.invariants import judge
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.observe import observe
from relaysim.sim.world.settings import RelayUnderTest

RELAY = RelayUnderTest(factory="my:bot")
LONG = "Where is parcel 4711? It should have been here on Tuesday, and nobody answers the phone."


class Chat:
    """Conversations c1 to c3 with a relay that declares nothing; every event a quarter of a second after the one before."""

    def __init__(self) -> None:
        self.story = JudgedStory()
        self.handled: dict[str, str] = {}

    def write(self, name: str, text: str = "") -> str:
        """A customer writes."""
        conversation = name.split(".")[0]
        said = text or f"My question about order {name.replace('.', '')} of today, please answer soon"
        self.story.add(f"customer:{conversation}", "message.sent", name, conversation, said, None, after=0.25)
        return said

    def deliver(self, name: str, number: int = 1) -> None:
        self.story.add("w1", "handling.start", f"{name}#{number}", name, number, after=0.25)

    def finish(self, name: str, number: int = 1, error: str | None = None) -> None:
        self.story.add("w1", "handling.end", f"{name}#{number}", None, error, after=0.25)

    def append(self, name: str, *texts: str, thread: str = "", number: int = 1, failure: str | None = None) -> None:
        """One request in the handling of a message stores texts in a thread."""
        thread = thread or f"thread_{name[1]}"
        request = self.story.leave("messages.create", thread, delivery=f"{name}#{number}")
        for each in texts:
            self.story.add("api", "message.stored", thread, f"msg_{request}", "user", request, each, after=0.25)
        if failure is None:
            self.story.serve(request)
        self.story.answer(request, 0 if failure else 200, failure)

    def reply(self, name: str, run: str, text: str, *, thread: str = "") -> None:
        """A run is created in the handling of a message, and writes."""
        thread = thread or f"thread_{name[1]}"
        request = self.story.leave("runs.create", thread, delivery=f"{name}#1")
        self.story.add("api", "run.state", run, thread, "queued", request, after=0.25)
        self.story.serve(request, 200, run)
        self.story.answer(request)
        self.story.add("api", "message.stored", thread, f"msg_{run}", "assistant", run, text, after=1.0)
        self.story.add("api", "run.state", run, thread, "completed", "time")

    def send(self, name: str, text: str, to: str = "") -> None:
        self.story.add("w1", "send", f"{name}#1", to or name.split(".")[0], text, after=0.25)

    def broken(self, apologies: frozenset[str] = frozenset()) -> dict[str, int]:
        """The breaches of S12 to S15 of a relay that declares these apologies, or nothing."""
        settings = replace(PLAIN, apologies=PLAIN.apologies | apologies)
        counts = judge(self.story.records, self.story.threads, None, settings).counts
        names = ("S12", "S13", "S14", "S15")
        return {each: counts[f"breach_{each}"] for each in names if counts[f"breach_{each}"]}

    def observed(self, **promises: Any) -> dict[str, int]:
        counts: dict[str, int] = self.seen(**promises)["counts"]
        return counts

    def seen(self, **promises: Any) -> dict[str, Any]:
        """The observation of a relay that declares this."""
        made = Promises.model_validate(promises)
        apologies = PLAIN.apologies | frozenset(made.apologies)
        settings = replace(PLAIN, promises=made, apologies=apologies, notices=frozenset(made.notices))
        return observe(self.story.records, RELAY, self.story.threads, promises=settings)


@pytest.fixture
def chat() -> Chat:
    return Chat()


def one_answered(chat: Chat, name: str = "c1.m1", reply: str = LONG) -> str:
    said = chat.write(name)
    chat.deliver(name)
    chat.append(name, said)
    chat.reply(name, f"run_{name.replace('.', '')}", reply)
    return said


# S12


def test_words_in_another_conversations_thread_are_a_breach_whatever_is_around_them(chat: Chat) -> None:
    said = chat.write("c1.m1")
    chat.deliver("c1.m1")
    chat.append("c1.m1", f"Somebody says: {said}!", thread="thread_2")
    assert chat.broken() == {"S12": 1}


def test_a_thread_of_the_relays_own_belongs_to_whose_words_it_gets_first(chat: Chat) -> None:
    for name in ("c1.m1", "c1.m2", "c2.m1"):
        said = chat.write(name)
        chat.deliver(name)
        chat.append(name, said, thread="thread_new")
        assert chat.broken() == ({"S12": 1} if name == "c2.m1" else {})


def test_asking_for_another_conversations_thread_is_a_breach_once_per_handling(chat: Chat) -> None:
    chat.write("c1.m1")
    chat.deliver("c1.m1")
    for _ in range(2):
        chat.story.ask("messages.list", "thread_2", delivery="c1.m1#1")
    chat.finish("c1.m1")
    assert chat.broken() == {"S12": 1}


@pytest.mark.parametrize("why", ["serves several", "raised", "outside", "unknown thread"])
def test_requests_that_may_be_anybodys_are_not_judged(chat: Chat, why: str) -> None:
    chat.write("c1.m1")
    said = chat.write("c2.m1")
    chat.deliver("c1.m1")
    thread = "thread_unknown" if why == "unknown thread" else "thread_2"
    chat.story.ask("runs.list", thread, delivery="" if why == "outside" else "c1.m1#1")
    if why == "serves several":
        chat.append("c1.m1", said, thread="thread_2")
    chat.finish("c1.m1", error="ValueError" if why == "raised" else None)
    assert chat.broken() == {}


def test_a_text_with_another_conversations_words_is_a_breach(chat: Chat) -> None:
    said = one_answered(chat)
    one_answered(chat, "c2.m1", "Order 17 leaves the house tomorrow in the morning")
    chat.send("c1.m1", f"{LONG}\nBy the way: Order 17 leaves the house tomorrow in the morning")
    assert chat.broken() == {"S12": 1}
    chat.send("c2.m1", f"Order 17 leaves the house tomorrow in the morning (to: {said})")
    assert chat.broken() == {"S12": 2}


ORDER = "Order 4711223 leaves the house tomorrow in the morning, said the shop"


@pytest.mark.parametrize(
    "text",
    [
        "Hello c2!",
        "By the way: parcel 4711223 has been lost.",
        "Somebody asked: order 4711223 leaves the house tomorrow in the morning...",
        "Another customer writes: leaves the house tomorrow in the morning, said the shop. Can we help you too?",
    ],
)
def test_a_number_a_name_and_eight_words_of_another_conversation_are_too_much(chat: Chat, text: str) -> None:
    one_answered(chat)
    chat.write("c2.m1", ORDER)
    chat.deliver("c2.m1")
    chat.send("c1.m1", text)
    assert chat.broken() == {"S12": 1}


@pytest.mark.parametrize("text", ["Hello c2! Parcel 4711223 has left.", f"You wrote: {ORDER}"])
@pytest.mark.parametrize("why", ["its own", "of its reply", "written later", "said before", "declared"])
def test_what_may_come_from_elsewhere_is_no_other_conversations(chat: Chat, text: str, why: str) -> None:
    if why == "said before":
        chat.send("c3.m1", text, to="c3")
    chat.write("c1.m1", f"c2 and 4711223, I mean: {ORDER}" if why == "its own" else "")
    chat.deliver("c1.m1")
    if why != "written later":
        chat.write("c2.m1", ORDER)
        chat.deliver("c2.m1")
    if why == "of its reply":
        reply = f"c2 is the shop, and: {ORDER}. Nothing else is known to me."
        chat.reply("c1.m1", "run_a", reply)
        chat.send("c1.m1", reply)
    chat.send("c1.m1", text)
    chat.write("c2.m2", ORDER)
    assert chat.broken(apologies=frozenset({text} if why == "declared" else ())) == {}


@pytest.mark.parametrize("said", ["ok", "Thank you very much!", "for 19.90 in 2026", "where is it"])
def test_what_anybody_may_say_is_nobodys(chat: Chat, said: str) -> None:
    chat.write("c2.m1", said)
    chat.write("c1.m1")
    chat.deliver("c2.m1")
    chat.deliver("c1.m1")
    chat.send("c1.m1", f"{said} - that is what we say as well.")
    assert chat.broken() == {}


# S13


def test_a_message_stored_twice_is_a_breach_also_in_another_form(chat: Chat) -> None:
    said = one_answered(chat)
    chat.append("c1.m1", said.upper())
    assert chat.broken() == {"S13": 1}


def test_a_repetition_after_an_unknown_fate_is_none(chat: Chat) -> None:
    said = chat.write("c1.m1")
    chat.deliver("c1.m1")
    chat.append("c1.m1", said, failure="ReadTimeout")
    chat.append("c1.m1", said)
    assert chat.broken() == {}


@pytest.mark.parametrize(("error", "breaches"), [(None, {"S13": 1}), ("ValueError", {})])
def test_a_redelivered_message_may_be_stored_again_only_if_its_first_handling_failed(
    chat: Chat, error: str | None, breaches: dict[str, int]
) -> None:
    said = chat.write("c1.m1")
    for number in (1, 2):
        chat.deliver("c1.m1", number)
        chat.append("c1.m1", said, number=number)
        chat.finish("c1.m1", number, error if number == 1 else None)
    assert chat.broken() == breaches


def test_history_in_a_further_thread_and_what_is_said_again_with_something_new_are_no_second_time(chat: Chat) -> None:
    first = one_answered(chat)
    second = chat.write("c1.m2")
    chat.deliver("c1.m2")
    chat.append("c1.m2", first, second, thread="thread_moved")
    chat.append("c1.m2", first, thread="thread_moved")
    third = chat.write("c1.m3")
    chat.deliver("c1.m3")
    chat.append("c1.m3", f"Before: {first!r}, {second!r}. Now: {third}", thread="thread_moved")
    assert chat.broken() == {}


def test_something_in_the_place_of_a_message_is_a_breach_and_something_beside_it_is_none(chat: Chat) -> None:
    said = chat.write("c1.m1", LONG)
    chat.deliver("c1.m1")
    chat.append("c1.m1", said[:40])
    chat.finish("c1.m1")
    assert chat.broken() == {"S13": 1}
    chat.append("c1.m1", said)
    assert chat.broken() == {}


@pytest.mark.parametrize("form", [str.upper, lambda said: said.replace("?", ""), lambda said: said + "\n" + said])
def test_a_message_that_was_changed_or_is_said_twice_in_one_text_is_a_breach(chat: Chat, form: Any) -> None:
    said = chat.write("c1.m1", LONG)
    chat.deliver("c1.m1")
    chat.append("c1.m1", form(said))
    assert chat.broken() == {"S13": 1}


def test_what_one_message_has_of_another_is_said_twice_by_the_customer(chat: Chat) -> None:
    texts = ["OK", "ok, that is fine", f"I wrote: {LONG}", LONG]
    for number, text in enumerate(texts, 1):
        chat.write(f"c1.m{number}", text)
    chat.deliver("c1.m1")
    chat.append("c1.m1", "\n".join(texts))
    assert chat.broken() == {}


@pytest.mark.parametrize(("copies", "broken"), [(1, {}), (2, {"S13": 1})])
def test_a_reply_may_quote_what_stands_beside_it_in_one_text(chat: Chat, copies: int, broken: dict[str, int]) -> None:
    """As where a relay gives the whole conversation so far in one message."""
    said = one_answered(chat)
    quoting = f"You asked: {said} It left today."
    chat.reply("c1.m1", "run_quotes", quoting)
    chat.write("c1.m2", "And when does it come?")
    chat.deliver("c1.m2")
    chat.append(
        "c1.m2",
        "\n".join(
            [*(f"Customer: {said}" for _ in range(copies)), f"You: {quoting}", "Customer: And when does it come?"]
        ),
    )
    assert {name: count for name, count in chat.broken().items() if name == "S13"} == broken


# S14


def two_delivered(chat: Chat, *, late: bool = False) -> tuple[str, str]:
    """Two messages whose webhooks cross; `late`: the first one's comes only after the second one is stored."""
    first, second = chat.write("c1.m1"), chat.write("c1.m2")
    chat.deliver("c1.m2")
    if not late:
        chat.deliver("c1.m1")
    chat.append("c1.m2", second)
    if late:
        chat.deliver("c1.m1")
    return first, second


def test_the_order_of_storing_is_that_of_writing_whatever_order_webhooks_took(chat: Chat) -> None:
    first, _ = two_delivered(chat)
    chat.append("c1.m1", first)
    assert chat.broken() == {}  # both handlings are cut off
    chat.finish("c1.m1")
    assert chat.broken() == {"S14": 1}


def test_what_was_written_at_one_instant_has_no_order(chat: Chat) -> None:
    first = chat.write("c1.m1")
    chat.story.add("customer:c1", "message.sent", "c1.m2", "c1", "And where is the other parcel, please?", None)
    for name in ("c1.m2", "c1.m1"):
        chat.deliver(name)
    chat.append("c1.m2", "And where is the other parcel, please?")
    chat.append("c1.m1", first)
    chat.finish("c1.m1")
    assert chat.broken() == {}


def test_what_had_not_arrived_cannot_come_first(chat: Chat) -> None:
    first, _ = two_delivered(chat, late=True)
    chat.append("c1.m1", first)
    chat.finish("c1.m1")
    assert chat.broken() == {}


@pytest.mark.parametrize(("stands_still", "broken"), [(True, {}), (False, {"S14": 1})])
def test_what_comes_to_a_process_that_stands_still_it_has_when_it_goes_on(
    chat: Chat, stands_still: bool, broken: dict[str, int]
) -> None:
    first, second = chat.write("c1.m1"), chat.write("c1.m2")
    if stands_still:
        chat.story.add("w2", "host.pause", 14.0, after=0.25)
    chat.story.add("w2", "handling.start", "c1.m1#1", "c1.m1", 1, after=0.25)
    chat.deliver("c1.m2")
    chat.append("c1.m2", second)
    if stands_still:
        chat.story.add("w2", "host.resume", after=0.25)
    chat.story.add("w2", "handling.end", "c1.m1#1", None, None, after=0.25)
    chat.append("c1.m1", first)
    assert chat.broken() == broken


@pytest.mark.parametrize(("stands_still", "breaches"), [(True, 0), (False, 1)])
def test_nor_is_a_reply_out_of_order_that_was_decided_on_without_it(
    chat: Chat, stands_still: bool, breaches: int
) -> None:
    first, second = chat.write("c1.m1"), chat.write("c1.m2")
    if stands_still:
        chat.story.add("w2", "host.pause", 14.0, after=0.25)
    chat.story.add("w2", "handling.start", "c1.m1#1", "c1.m1", 1, after=0.25)
    chat.deliver("c1.m2")
    chat.append("c1.m2", second)
    chat.reply("c1.m2", "run_b", "The answer to the second question is that it costs nothing")
    chat.send("c1.m2", "The answer to the second question is that it costs nothing")
    if stands_still:
        chat.story.add("w2", "host.resume", after=0.25)
    chat.append("c1.m1", first)
    chat.reply("c1.m1", "run_a", "The answer to the first question is that it leaves today")
    chat.send("c1.m1", "The answer to the first question is that it leaves today")
    assert chat.observed()["out_of_order"] == breaches


def test_within_one_text_the_order_counts_too(chat: Chat) -> None:
    first, second = chat.write("c1.m1"), chat.write("c1.m2")
    chat.deliver("c1.m1")
    chat.deliver("c1.m2")
    chat.append("c1.m2", f"{second}\n{first}")
    chat.finish("c1.m1")
    assert chat.broken() == {"S14": 1}


def test_replies_are_in_the_order_of_writing_too(chat: Chat) -> None:
    first, second = chat.write("c1.m1"), chat.write("c1.m2")
    chat.deliver("c1.m2")  # the webhooks cross
    chat.deliver("c1.m1")
    chat.append("c1.m1", first)
    chat.reply("c1.m1", "run_a", "The answer to the first question is that it leaves today")
    chat.append("c1.m2", second)
    chat.reply("c1.m2", "run_b", "The answer to the second question is that it costs nothing")
    chat.send("c1.m1", "The answer to the first question is that it leaves today")
    chat.send("c1.m2", "The answer to the second question is that it costs nothing")
    assert chat.observed()["out_of_order"] == 0
    assert chat.broken() == {}


@pytest.mark.parametrize(
    ("looks", "broken"), [((), 1), (("LRANGE waiting:{conversation}",), 0), (("LRANGE queue:{conversation}",), 1)]
)
def test_what_came_after_the_look_by_which_a_relay_decides_is_not_held_against_it(
    chat: Chat, looks: tuple[str, ...], broken: int
) -> None:
    first, second = chat.write("c1.m1"), chat.write("c1.m2")
    chat.deliver("c1.m2")
    chat.story.add("w1", "redis", "c1.m2#1", "LRANGE", "waiting:c1", "1 items")
    chat.deliver("c1.m1")
    for name, text, run in (("c1.m2", second, "run_b"), ("c1.m1", first, "run_a")):
        chat.append(name, text)
        chat.reply(name, run, f"What {run} has to say about this")
        chat.send(name, f"What {run} has to say about this")
        chat.finish(name)
    promises = {"lease": {"key": "lock:{conversation}", "seconds": 10.0, "steps": {"read_inbox": looks}}}
    seen = chat.seen(**promises if looks else {})
    assert (seen["counts"]["breach_S14"], seen["counts"]["out_of_order"]) == (broken, broken)
    for each in [*seen["details"].get("breach_S14", ()), *seen["details"].get("out_of_order", ())]:
        assert each["message"] == "c1.m1"
        assert "the relay had had it for" in each["text"]
        assert "lease.steps.read_inbox" in each["text"]


@pytest.mark.parametrize(
    ("status", "failure", "breaches"),
    [(0, "ReadTimeout", 0), (500, None, 0), (0, "ConnectError", 1), (400, None, 1)],
)
def test_an_attempt_of_unknown_fate_binds_the_next_one_whatever_has_come_since(
    status: int, failure: str | None, breaches: int
) -> None:
    story = JudgedStory()
    story.add("customer:c1", "message.sent", "c1.m1", "c1", "Question [c1.m1]", None, at=1.0)
    story.accept("c1.m2", lease=True, at=2.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    story.answer(story.leave("runs.create"), status, failure)
    story.add("w1", "handling.start", "c1.m1#1", "c1.m1", 1, at=3.0)
    story.redis("w1", "accept", "c1", delivery="c1.m1#1", reply="4 items")
    story.add("w1", "handling.end", "c1.m1#1", None, None)
    story.redis("w1", "inbox", "c1", reply="6 items")
    story.now = 4.0
    story.answer_all("run_a", "c1.m2")
    story.answer_all("run_b", "c1.m1")
    assert story.findings().counts["breach_S14"] == breaches


@pytest.mark.parametrize(
    ("left_out", "breaches"),
    [
        ((), 0),
        (("the look",), 0),  # the API took the next creation, as it does only while no run is active
        (("the look", "the creation"), 1),
        (("the failure",), 0),  # its message has ended, so that nobody waits for its answer
        (("the failure", "the end"), 1),
        (("the apology",), 1),
        (("the delay",), 1),
        (("what a look shows",), 1),
        (("what a look shows", "the look"), 1),
    ],
    ids=lambda each: (", ".join(each) or "nothing") if isinstance(each, tuple) else None,
)
def test_what_lands_after_it_was_looked_for_and_apologised_for_may_come_after_later_messages(
    left_out: tuple[str, ...], breaches: int
) -> None:
    """The relay could do nothing about it; it could about the others of these variants, in which something is left out."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=1.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    first = story.leave("runs.create")
    story.now = 10.0
    if "the failure" not in left_out:
        story.answer(first, 0, "ReadTimeout")
    if "the look" not in left_out:
        story.ask("runs.list")
    if "the apology" not in left_out:
        story.send("c1.m1")
        if "the end" not in left_out:
            story.end("friendly_apology", "c1.m1")
    story.accept("c1.m2", at=20.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    if "the creation" in left_out:
        append = story.leave("messages.create")
        story.add("api", "message.stored", "thread_1", "msg_2", "user", append, "Question [c1.m2]")
        story.serve(append)
        story.answer(append)
    else:
        story.answer_all("run_b", "c1.m2")
    if "the delay" in left_out:  # it is the relay that comes late with it
        second = story.leave("runs.create")
        story.run_lands(second, "run_a", "c1.m1")
        story.answer(second)
    else:
        story.now = 30.0
        story.run_lands(first, "run_a", "c1.m1")
    roles = ROLES._replace(shows_ends=frozenset(("runs.list",))) if "what a look shows" in left_out else ROLES
    counts = story.findings(roles=roles).counts
    assert (counts["breach_S14"], counts["residue_stored_late"]) == (breaches, 1 - breaches)


@pytest.mark.parametrize("known", [True, False], ids=["a known thread", "a thread whose owner is seen only later"])
@pytest.mark.parametrize(("looks_again", "breaches"), [(False, 0), (True, 1)])
def test_what_came_after_the_last_look_at_the_inbox_may_come_after(
    known: bool, looks_again: bool, breaches: int
) -> None:
    story = JudgedStory()
    if not known:
        del story.threads["thread_1"]
    story.add("customer:c1", "message.sent", "c1.m1", "c1", "Question [c1.m1]", None, at=1.0)
    story.accept("c1.m2", lease=True, at=2.0)
    story.redis("w1", "inbox", "c1", reply="6 items")
    story.add("w1", "handling.start", "c1.m1#1", "c1.m1", 1, at=3.0)
    story.redis("w1", "accept", "c1", delivery="c1.m1#1", reply="4 items")
    story.add("w1", "handling.end", "c1.m1#1", None, None)
    if looks_again:
        story.redis("w1", "inbox", "c1", reply="6 items")
    story.now = 4.0
    story.answer_all("run_a", "c1.m2")
    story.answer_all("run_b", "c1.m1")
    assert story.findings().counts["breach_S14"] == breaches


# S15


def test_a_reply_may_come_in_pieces_and_all_of_them_must(chat: Chat) -> None:
    one_answered(chat)
    chat.send("c1.m1", f"(1/2) {LONG[:45]}")
    assert chat.broken() == {"S15": 1}
    chat.send("c1.m1", f"(2/2) {LONG[45:]}")
    assert chat.broken() == {}
    counts = chat.observed()
    assert (counts["answered"], counts["duplicate_reply"], counts["transparency_breaches"]) == (1, 0, 0)


def strange_words(chat: Chat, reply: str, *sent: str) -> int:
    """Breaches of S15 where a run writes a reply and these texts are sent for it."""
    one_answered(chat, reply=reply)
    for each in sent:
        chat.send("c1.m1", each)
    return chat.broken().get("S15", 0)


MUCH = " ".join(f"word{number} of the answer," for number in range(400))


def _split(text: str, size: int, loses: int = 0) -> list[str]:
    return [text[first : first + size - loses] for first in range(0, len(text), size)]


@pytest.mark.parametrize(
    ("texts", "breaches"),
    [
        (_split(MUCH, 1600), 0),
        (_split(MUCH, 1600)[:2], 0),  # cut off where a channel's message ends
        ([MUCH[:4096]], 0),
        ([MUCH[:1400]], 1),  # no channel's end
        (_split(MUCH, 1600, loses=100), 1),
        ([_split(MUCH, 1600)[0], *_split(MUCH, 1600)[2:]], 1),
        (_split(MUCH, 1600)[1:], 1),
        ([MUCH[-1600:]], 1),
    ],
)
def test_only_what_lies_behind_all_that_was_sent_may_be_cut_off(chat: Chat, texts: list[str], breaches: int) -> None:
    assert strange_words(chat, MUCH, *texts) == breaches


PRICES = (
    "A room is €80.50 a night, the change is -5 % since May, the ferry costs 9 £ and takes 10-15 minutes on 2025-11-04."
)


@pytest.mark.parametrize(
    ("sent", "breaches"),
    [
        (PRICES, 0),
        (f"Hello! {PRICES} Ticket 77", 0),
        (PRICES.replace("€", "€ ").replace("-5 %", "−5%").replace("9 £", "£9"), 0),
        (PRICES.replace("-5 %", "*-5 %*"), 0),
        (PRICES.replace("€", "$"), 1),
        (PRICES.replace("£", "€"), 1),
        (PRICES.replace("-5", "5"), 1),
        (PRICES.replace("%", ""), 1),
        (PRICES.replace("%", "‰"), 1),
        (PRICES.replace("€80", "-€80"), 1),
    ],
)
def test_numbers_keep_their_signs(chat: Chat, sent: str, breaches: int) -> None:
    assert strange_words(chat, PRICES, sent) == breaches


CITED = (
    "The shop opens at nine【4:0†hours.pdf】, and the last ferry leaves at noon from the old bridge【4:1†ferries.pdf】."
)


@pytest.mark.parametrize(
    ("sent", "breaches"),
    [
        (CITED, 0),
        (re.sub("【.*?】", "", CITED), 0),
        (re.sub("【.*?】", " [1]", CITED) + "\n\n[1] hours.pdf", 0),
        (CITED.replace("【4:0†hours.pdf】", "¹").replace("【4:1†ferries.pdf】", "²"), 0),
        (re.sub("【.*】", "", CITED), 1),  # with all between the first mark and the last
        (re.sub("【.*", "", CITED), 1),
    ],
)
def test_citation_marks_may_be_left_out_or_numbered(chat: Chat, sent: str, breaches: int) -> None:
    assert strange_words(chat, CITED, sent) == breaches


FOUR = ("Your parcel left", "today, and it", "comes on", "Tuesday at noon")


@pytest.mark.parametrize(
    ("order", "breaches"),
    [
        ((0, 1, 2, 3), 0),
        ((1, 0, 2, 3), 1),
        ((3, 2, 1, 0), 1),
        ((0, 1, 3, 2), 1),  # however short it is, since all the texts together are the reply
        ((0, 1, 0, 1, 2, 3), 0),  # a worker crashed after the second, and the next one began again
        ((0, 1, 2, 3, 1), 0),
        ((1, 1, 0, 2, 3), 1),
    ],
)
def test_the_pieces_of_a_reply_come_in_their_order(chat: Chat, order: tuple[int, ...], breaches: int) -> None:
    one_answered(chat, reply=" ".join(FOUR))
    for each in order:
        chat.send("c1.m1", FOUR[each])
    assert chat.broken().get("S15", 0) == breaches


def test_words_that_a_reply_repeats_are_no_piece_in_another_order(chat: Chat) -> None:
    one_answered(chat, reply="So it is on its way, the blue one, and it is on its way, the green one")
    for each in ("So it is on its way", "the blue one, and", "it is on its way", "the green one"):
        chat.send("c1.m1", each)
    chat.send("c1.m1", "Thanks")
    assert chat.broken() == {}


NUMBERINGS: dict[str, Callable[[int, int, str], str]] = {
    "(1/4) before": lambda n, count, text: f"({n}/{count}) {text}",
    "Part 1 of 4: before": lambda n, count, text: f"Part {n} of {count}:\n{text}",
    "1. before": lambda n, _, text: f"{n}. {text}",
    "[1/4] after": lambda n, count, text: f"{text} [{n}/{count}]",
    "(1) after": lambda n, _, text: f"{text} ({n})",
    "none": lambda _n, _count, text: text,
}
SOME_WORDS = st.sampled_from(
    [
        "the",
        "The",
        "parcel",
        "(size 40,",
        "green).",
        "costs",
        "12,50",
        "€",
        "or",
        "3/4",
        "of",
        "it",
        "order",
        "4711:",
        "no.",
        "7",
    ]
)


@given(
    words=st.lists(SOME_WORDS, min_size=2, max_size=30),
    cuts=st.sets(st.integers(1, 29)),
    numbering=st.sampled_from(sorted(NUMBERINGS)),
    dropped=st.integers(0, 29),
)
@example(words=["the", "3/4"], cuts={1, 2, 3}, numbering="(1) after", dropped=0)
@example(words=["the", "the", "the", "parcel"], cuts={1, 2, 3}, numbering="(1/4) before", dropped=3)
def test_a_reply_is_recognised_however_it_is_split_and_numbered(
    words: list[str], cuts: set[int], numbering: str, dropped: int
) -> None:
    reply = " ".join(["Your", *words, "end"])
    words = reply.split()
    places = [0, *sorted(each for each in cuts if each < len(words)), len(words)]
    pieces = [" ".join(words[first:end]) for first, end in pairwise(places)]
    assume(all(re.search(r"\w", each) for each in pieces))
    sent = [NUMBERINGS[numbering](n, len(pieces), each) for n, each in enumerate(pieces, start=1)]
    left_out = dropped % len(sent)
    for texts, expected in ((sent, {}), ([*sent[:left_out], *sent[left_out + 1 :]], {"S15": 1})):
        chat = Chat()
        said = chat.write("c1.m1")
        chat.deliver("c1.m1")
        chat.append("c1.m1", said)
        chat.reply("c1.m1", "run_1", reply)
        for each in texts:
            chat.send("c1.m1", each)
        if texts:
            assert {name: count for name, count in chat.broken().items() if name == "S15"} == expected, texts
            assert chat.observed()["undeclared_texts"] == 0


@pytest.mark.parametrize(
    ("around", "breaches"),
    [
        ("-- \nYour team. Do not reply to this message.", {}),
        ("x" * 1900, {}),
        ("all rights reserved " * 120, {"S15": 1}),
        ('Traceback (most recent call last):\n  File "bot.py", line 1', {"S15": 1}),
        ("    at Object.<anonymous> (/app/bot.js:17:3)", {"S15": 1}),
    ],
)
def test_little_may_stand_around_a_reply_and_nothing_of_a_programs_insides(
    chat: Chat, around: str, breaches: dict[str, int]
) -> None:
    one_answered(chat)
    chat.send("c1.m1", f"{LONG}\n{around}")
    assert chat.broken() == breaches


def test_what_the_customer_wrote_may_stand_around_it_at_any_length(chat: Chat) -> None:
    said = chat.write("c1.m1", LONG * 40)
    chat.deliver("c1.m1")
    chat.append("c1.m1", said)
    chat.reply("c1.m1", "run_a", "It comes tomorrow between eight and ten.")
    chat.send("c1.m1", f"> {said}\n\nIt comes tomorrow between eight and ten.")
    assert chat.broken() == {}


# Answers, apologies, notices


@pytest.mark.parametrize("answered", [True, False])
def test_a_notice_is_neither_breach_nor_answer(chat: Chat, answered: bool) -> None:
    one_answered(chat)
    chat.send("c1.m1", "One moment please...")
    if answered:
        chat.send("c1.m1", LONG)
    counts = chat.observed()
    assert (counts["answered"], counts["lost"], counts["generic_failure"]) == (answered, not answered, 0)
    assert counts["transparency_breaches"] == (0 if answered else 1)


@pytest.mark.parametrize(
    ("text", "declared", "apologies"),
    [
        ("Sorry, something went wrong.", {}, 1),
        ("We are closed for today.", {}, 0),
        ("We are closed for today. :-(", {"apologies": ["We are closed for today."]}, 1),
        ("Sorry, we are closed for today.", {"notices": ["we are closed for today"]}, 0),
    ],
)
def test_an_apology_is_known_by_declaration_or_by_its_words(
    chat: Chat, text: str, declared: dict[str, Any], apologies: int
) -> None:
    one_answered(chat)
    chat.send("c1.m1", LONG)
    chat.send("c1.m1", text)
    counts = chat.observed(**declared)
    assert counts["apology_despite_cover"] == apologies


def test_words_of_an_apology_before_the_answer_are_a_notice(chat: Chat) -> None:
    one_answered(chat)
    chat.send("c1.m1", "Sorry for the wait, just a moment.")
    chat.send("c1.m1", LONG)
    assert chat.observed()["transparency_breaches"] == 0


def test_alike_messages_that_one_handling_answers_count_in_the_order_of_writing(chat: Chat) -> None:
    """The handling of the second one finds both in an inbox, and answers the first one first."""
    said = chat.write("c1.m1")
    chat.write("c1.m2", said)
    for name in ("c1.m1", "c1.m2"):
        chat.deliver(name)
    chat.finish("c1.m1")
    for number in (1, 2):
        chat.append("c1.m2", said)
        chat.reply("c1.m2", f"run_{number}", f"Reply number {number} to what you have asked")
        chat.send("c1.m2", f"Reply number {number} to what you have asked")
    chat.finish("c1.m2")
    assert chat.broken() == {}
    assert chat.observed()["transparency_breaches"] == 0


@pytest.mark.parametrize("taken_out", [True, False])
def test_what_had_been_taken_out_of_its_thread_may_be_stored_again(chat: Chat, taken_out: bool) -> None:
    """As what an API lets go with a turn that was cancelled; and only then."""
    said, more = chat.write("c1.m1"), chat.write("c1.m2")
    for name in ("c1.m1", "c1.m2"):
        chat.deliver(name)
    chat.append("c1.m1", said)
    if taken_out:
        chat.story.add("api", "message.deleted", "thread_1", "msg_w1#1", "w1#1", after=0.25)
    chat.finish("c1.m1")
    chat.append("c1.m2", said)
    chat.append("c1.m2", more)
    assert chat.broken() == ({} if taken_out else {"S13": 1})
    chat.append("c1.m2", said)
    assert chat.broken() == {"S13": 1}


# The sum


def test_each_breach_is_one_of_transparency_and_is_told_as_such(chat: Chat) -> None:
    said = one_answered(chat)
    chat.send("c1.m1", LONG)
    chat.append("c1.m1", said)
    observation = observe(chat.story.records, RELAY, chat.story.threads, promises=PLAIN)
    assert observation["counts"]["transparency_breaches"] == 1
    (told,) = observation["details"]["transparency_breaches"]
    assert told["text"] == "c1.m1 was stored in thread_1 a second time, at 2.500 s"


INTERNAL = (
    "thread_4f1a9Zc07Qy2Lm8Kd3Rw5Tb6",
    "run\\_4f1a9Zc07Qy2Lm8Kd3Rw5Tb6",
    "asst_support",
    "4f1a9Zc07Qy2Lm8Kd3Rw5Tb6",
    "sk-proj-0123456789abcdef",
    "Authorization: Bearer 0123456789abcdef",
    "redis://:secret@shop.example:6379",
)


@pytest.mark.parametrize("internal", INTERNAL)
@pytest.mark.parametrize("written_by", ["nobody", "the customer", "the run"])
def test_ids_of_the_api_and_credentials_are_no_customers_to_read(chat: Chat, internal: str, written_by: str) -> None:
    chat.write("c1.m1", f"{LONG} {internal}" if written_by == "the customer" else LONG)
    chat.deliver("c1.m1")
    chat.story.ask("runs.list", "thread_4f1a9Zc07Qy2Lm8Kd3Rw5Tb6")
    chat.append("c1.m1", f"{LONG} {internal}" if written_by == "the customer" else LONG)
    reply = "It is on its way and will be there tomorrow in the afternoon"
    reply += f" ({internal})" if written_by == "the run" else ""
    chat.reply("c1.m1", "run_b", reply)
    chat.story.threads["thread_4f1a9Zc07Qy2Lm8Kd3Rw5Tb6"] = "c1"
    chat.send("c1.m1", f"{reply}\n-- {internal}")
    assert chat.broken() == ({"S15": 1} if written_by == "nobody" else {})


@pytest.mark.parametrize("text", ["Ticket 7f3a9bc01d2e4f56a", "https://shop.example/orders", "run_away and thread_two"])
def test_references_and_addresses_of_the_shops_own_are_fine(chat: Chat, text: str) -> None:
    one_answered(chat)
    chat.send("c1.m1", text)
    assert chat.broken() == {}
