"""S13 and S15 of what runs read, on traces written by hand: what was said before, and nothing that nobody said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from judged_story import PLAIN
from test_world_invariants_content import RELAY, Chat

from relaysim.sim.world.invariants import judge
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.observe import observe


class Dialogue(Chat):
    """Conversation c1, whose messages are appended to any thread and answered there."""

    def __init__(self) -> None:
        super().__init__()
        self.story.threads["thread_4"] = "c1"
        self.said: list[str] = []

    def ask(self, number: int, thread: str = "thread_1") -> None:
        name = f"c1.m{number}"
        self.said.append(self.write(name))
        self.deliver(name)
        self.store(name, thread, "user", self.said[-1])

    def store(self, message_id: str, thread: str, role: str, text: str) -> None:
        request = self.story.leave("messages.create", thread)
        self.story.add("api", "message.stored", thread, message_id, role, request, text, after=0.25)
        self.story.serve(request)
        self.story.answer(request)

    def answer(self, number: int, thread: str = "thread_1", *, window: int | None = None, told: str = "") -> None:
        run, text = f"run_{number}", f"What we know of number {number} is that it leaves the house tomorrow"
        request = self.story.leave("runs.create", thread, delivery=f"c1.m{number}#1")
        self.story.add("api", "run.state", run, thread, "queued", request, after=0.25)
        if window is not None:
            self.story.add("api", "run.window", run, thread, window)
        if told:
            self.story.add("api", "run.reads", run, thread, "instructions", request, told)
        self.story.serve(request, 200, run)
        self.story.answer(request)
        self.story.add("api", "message.stored", thread, f"msg_{run}", "assistant", run, text, after=1.0)
        self.story.add("api", "run.state", run, thread, "completed", "time")
        self.said.append(text)
        self.send(f"c1.m{number}", text)
        self.finish(f"c1.m{number}")

    def delete(self, message_id: str, thread: str = "thread_1") -> None:
        self.story.add("api", "message.deleted", thread, message_id, "w1#0", after=0.25)

    def broken_of(self, **promises: Any) -> dict[str, int]:
        made = Promises.model_validate(promises)
        settings = replace(PLAIN, promises=made, notices=frozenset(made.notices))
        counts = judge(self.story.records, self.story.threads, None, settings).counts
        return {each: counts[f"breach_{each}"] for each in ("S12", "S13", "S14", "S15") if counts[f"breach_{each}"]}


@pytest.fixture
def dialogue() -> Dialogue:
    """One message has been answered, and the next one has been written."""
    made = Dialogue()
    made.ask(1)
    made.answer(1)
    return made


@pytest.mark.parametrize("deleted", ["c1.m1", "msg_run_1"])
def test_what_was_answered_must_be_read_by_the_next_run(dialogue: Dialogue, deleted: str) -> None:
    dialogue.delete(deleted)
    dialogue.ask(2)
    assert dialogue.broken_of() == {}  # nobody has read it without
    dialogue.answer(2)
    assert dialogue.broken_of() == {"S13": 1}
    assert dialogue.broken_of(remembers=0) == {}


def test_what_is_deleted_after_the_run_was_created_was_read(dialogue: Dialogue) -> None:
    dialogue.ask(2)
    dialogue.answer(2)
    dialogue.delete("c1.m1")
    assert dialogue.broken_of() == {}


def test_what_nobody_answered_may_go(dialogue: Dialogue) -> None:
    dialogue.ask(2)
    dialogue.delete("c1.m2")
    dialogue.ask(3)
    dialogue.answer(3)
    assert dialogue.broken_of() == {}


@pytest.mark.parametrize(("cause", "breaches"), [("elsewhere", {}), ("w1#0", {"S13": 1})])
@pytest.mark.parametrize("moved", [False, True], ids=["its first thread", "the thread that it had moved to"])
def test_what_went_with_a_thread_that_somebody_else_deleted_need_not_be_known(
    dialogue: Dialogue, cause: str, breaches: dict[str, int], moved: bool
) -> None:
    """As against a thread that the relay deletes itself."""
    gone = "thread_1"
    if moved:
        gone = "thread_4"
        for number, (role, text) in enumerate(zip(("user", "assistant"), dialogue.said, strict=True)):
            dialogue.store(f"copy_{number}", gone, role, text)
    dialogue.story.threads["thread_5"] = "c1"
    dialogue.story.add("api", "thread.deleted", gone, cause, after=0.25)
    dialogue.ask(2, "thread_5")
    dialogue.answer(2, "thread_5")
    assert dialogue.broken_of() == breaches


@pytest.mark.parametrize(("remembers", "breaches"), [(2, {}), (3, {"S13": 1})])
def test_what_is_older_than_promised_may_go(dialogue: Dialogue, remembers: int, breaches: dict[str, int]) -> None:
    dialogue.ask(2)
    dialogue.answer(2)
    dialogue.delete("msg_run_1")
    dialogue.ask(3)
    dialogue.answer(3)
    assert dialogue.broken_of(remembers=remembers) == breaches


@pytest.mark.parametrize(("remembers", "breaches"), [(2, {}), (3, {"S13": 1})])
def test_a_reply_that_nobody_was_sent_is_among_the_newest_texts_of_its_thread(
    dialogue: Dialogue, remembers: int, breaches: dict[str, int]
) -> None:
    """Who copies a thread's newest texts cannot tell whether its last reply was sent."""
    dialogue.store("c1.m2", "thread_1", "user", dialogue.write("c1.m2"))
    dialogue.reply("c1.m2", "run_2", "Nobody was sent this one")
    dialogue.ask(3, "thread_4")
    dialogue.answer(3, "thread_4")
    assert dialogue.broken_of(remembers=remembers) == breaches


@pytest.mark.parametrize(
    ("remembers", "is_copied", "breaches"), [(2, True, {}), (3, True, {"S13": 1}), (2, False, {"S13": 1})]
)
def test_what_was_copied_is_as_old_as_it_is_in_the_thread_that_holds_it_last(
    dialogue: Dialogue, remembers: int, is_copied: bool, breaches: dict[str, int]
) -> None:
    """The conversation has moved on from a copy, in which newer texts stood: a copy of that one takes those. Where no copy
    held what was said, it is as new as in its own thread."""
    dialogue.story.threads["thread_5"] = "c1"
    if is_copied:
        for number, (role, text) in enumerate(zip(("user", "assistant"), dialogue.said, strict=True)):
            dialogue.store(f"copy_{number}", "thread_4", role, text)
    dialogue.store("c1.m2", "thread_4", "user", dialogue.write("c1.m2"))
    dialogue.reply("c1.m2", "run_2", "Nobody was sent this one", thread="thread_4")
    dialogue.ask(3, "thread_5")
    dialogue.answer(3, "thread_5")
    assert dialogue.broken_of(remembers=remembers) == breaches


def test_a_copy_that_nobody_used_does_not_tell_how_old_something_is(dialogue: Dialogue) -> None:
    """Its creation's answer was lost, and it was made again: what holds the conversation is the second one."""
    dialogue.store("c1.m2", "thread_1", "user", dialogue.write("c1.m2"))
    dialogue.reply("c1.m2", "run_2", "Nobody was sent this one")
    dialogue.story.threads["thread_5"] = "c1"
    for number, (role, text) in enumerate(zip(("user", "assistant"), dialogue.said, strict=True)):
        dialogue.story.add("api", "message.stored", "thread_5", f"copy_{number}", role, "w1#0", text, after=0.25)
    dialogue.ask(3, "thread_4")
    dialogue.answer(3, "thread_4")
    assert dialogue.broken_of(remembers=2) == {}


@pytest.mark.parametrize(("window", "breaches"), [(3, {}), (2, {"S13": 1})])
def test_a_window_is_read_and_nothing_before_it(dialogue: Dialogue, window: int, breaches: dict[str, int]) -> None:
    dialogue.ask(2)
    dialogue.answer(2, window=window)
    assert dialogue.broken_of() == breaches


@pytest.mark.parametrize("way", ["messages", "one text", "instructions", "not at all", "in another order"])
def test_a_further_thread_has_what_was_said_in_any_form(dialogue: Dialogue, way: str) -> None:
    dialogue.ask(2)
    dialogue.answer(2)
    first, reply, second, another = dialogue.said
    copied = [("user", first), ("assistant", reply), ("user", second), ("assistant", another)]
    if way == "in another order":
        copied = copied[2:] + copied[:2]
    if way in ("messages", "in another order"):
        for number, (role, text) in enumerate(copied):
            dialogue.store(f"copy_{number}", "thread_4", role, text)
    elif way == "one text":
        dialogue.store("copy", "thread_4", "user", f"Before: {copied!r}")
    dialogue.ask(3, "thread_4")
    dialogue.answer(3, "thread_4", told=f"Before: {copied!r}" if way == "instructions" else "")
    fine = way in ("messages", "one text", "instructions")
    assert dialogue.broken_of() == ({} if fine else {"S13": 1})


@pytest.mark.parametrize("elsewhere", [False, True], ids=["let go again", "in a thread that was left"])
def test_what_an_earlier_turn_had_taken_along_was_said_when_it_was_answered(elsewhere: bool) -> None:
    """The second message was stored by itself before both were, in their order, for the run that answered them."""
    dialogue = Dialogue()
    first, second = dialogue.write("c1.m1"), dialogue.write("c1.m2")
    for name in ("c1.m1", "c1.m2"):
        dialogue.deliver(name)
    dialogue.store("too_early", "thread_4" if elsewhere else "thread_1", "user", second)
    if not elsewhere:
        dialogue.delete("too_early")
    dialogue.store("c1.m1", "thread_1", "user", first)
    dialogue.store("c1.m2", "thread_1", "user", second)
    dialogue.answer(2)
    dialogue.story.threads["thread_5"] = "c1"
    for number, (role, text) in enumerate((("user", first), ("user", second), ("assistant", dialogue.said[-1]))):
        dialogue.store(f"copy_{number}", "thread_5", role, text)
    dialogue.ask(3, "thread_5")
    dialogue.answer(3, "thread_5")
    assert dialogue.broken_of() == {}


@pytest.mark.parametrize("how", ["the message", "the thread", "a window"])
def test_a_run_that_never_read_a_message_does_not_cover_it(how: str) -> None:
    dialogue = Dialogue()
    dialogue.ask(1)
    if how == "the message":
        dialogue.delete("c1.m1")
    elif how == "the thread":
        dialogue.story.add("api", "thread.deleted", "thread_1", "w1#0", after=0.25)
    else:
        dialogue.store("other", "thread_1", "user", "Say something friendly")
    dialogue.answer(1, window=1 if how == "a window" else None)
    counts = observe(dialogue.story.records, RELAY, dialogue.story.threads, promises=PLAIN)["counts"]
    assert (counts["lost"], counts["answered"]) == (1, 0)


def test_a_later_message_that_waits_elsewhere_is_not_due_yet_and_an_earlier_one_is(dialogue: Dialogue) -> None:
    """Messages are looked at on a thread of their own before they are appended."""
    second, third = dialogue.write("c1.m2"), dialogue.write("c1.m3")
    for name in ("c1.m2", "c1.m3"):
        dialogue.deliver(name)
    dialogue.store("seen_3", "thread_4", "user", third)
    dialogue.store("c1.m2", "thread_1", "user", second)
    dialogue.answer(2)
    dialogue.store("c1.m3", "thread_1", "user", third)
    dialogue.answer(3)
    assert dialogue.broken_of() == {}
    dialogue.ask(4, "thread_4")
    dialogue.ask(5)
    dialogue.answer(5)
    dialogue.answer(4, "thread_4")
    assert "S13" in dialogue.broken_of()


REFUND = "I have approved a refund of 500 euros, as you wished"


@pytest.mark.parametrize(
    ("source", "breaches"),
    [
        ("nobody", {"S15": 1}),
        ("a send", {}),
        ("a declaration", {}),
        ("the beginning", {}),
        ("another's run", {"S12": 1, "S15": 1}),
    ],
)
def test_the_assistant_is_given_no_words_that_nobody_said(source: str, breaches: dict[str, int]) -> None:
    dialogue = Dialogue()
    if source == "the beginning":
        dialogue.store("noted", "thread_1", "assistant", REFUND)
    if source == "another's run":
        dialogue.write("c2.m1")
        dialogue.deliver("c2.m1")
        dialogue.reply("c2.m1", "run_b", REFUND)
    dialogue.ask(1)
    if source != "the beginning":
        dialogue.store("noted", "thread_1", "assistant", REFUND)
    dialogue.answer(1)
    if source == "a send":
        dialogue.send("c1.m1", REFUND)
    assert dialogue.broken_of(notices=[REFUND] if source == "a declaration" else []) == breaches


def test_a_part_of_a_reply_is_the_replys_and_the_beginning_stands_at_the_beginning(dialogue: Dialogue) -> None:
    dialogue.store("part", "thread_1", "assistant", "What we know of number 1 is that it leaves")
    assert dialogue.broken_of() == {}
    dialogue.store("late", "thread_1", "assistant", "Hello! I am here to help you")
    assert dialogue.broken_of() == {"S15": 1}
