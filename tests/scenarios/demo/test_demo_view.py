"""Goal: the page says whose a run is and which messages an answer covers, and says nothing where that is not known.

Method: records as a world writes them, one after the other.
"""

from __future__ import annotations

from typing import Any

from relaysim.scenarios.demo.answers import answer
from relaysim.scenarios.demo.chat_view import ChatView
from relaysim.sim.backends.replies import Text, Turn
from relaysim.sim.kernel import Record, kind_of
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    MessageSent,
    MessageStored,
    Received,
    RequestSent,
    RunState,
    TextSent,
    WebhookFailed,
)


class Told:
    """A view that is told of records."""

    def __init__(self) -> None:
        self.view = ChatView({"c1": "Ana", "c2": "Bruno"})

    def tell(self, who: str, *events: Any) -> None:
        self.view.feed([Record(1.0, who, kind_of(type(each)), each) for each in events])

    def write(self, message_id: str, text: str) -> None:
        conversation = message_id.partition(".")[0]
        self.tell("customer", MessageSent(message_id=message_id, conversation=conversation, text=text, retry_of=None))

    def run(self, run_id: str, thread: str, *texts: str, copy: str = "w1") -> None:
        request = RequestSent(
            request_id=f"req_{run_id}", context="", operation="runs.create", thread_id=thread, run_id=None
        )
        self.tell(copy, request)
        self.state(run_id, thread, "queued")
        for number, text in enumerate(texts):
            stored = MessageStored(
                thread_id=thread, message_id=f"{run_id}.{number}", role="user", cause=f"req_{run_id}", text=text
            )
            self.tell("api", stored)

    def state(self, run_id: str, thread: str, state: str) -> None:
        self.tell("api", RunState(run_id=run_id, thread_id=thread, state=state, cause=f"req_{run_id}"))

    def complete(self, run_id: str, thread: str, text: str) -> None:
        self.tell("api", MessageStored(thread_id=thread, message_id="m", role="assistant", cause=run_id, text=text))
        self.state(run_id, thread, "completed")

    def send(self, conversation: str, text: str, copy: str = "w2") -> None:
        self.tell(copy, TextSent(delivery="", conversation=conversation, text=text))
        self.tell("customer", Received(conversation=conversation, text=text))

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.view.snapshot()["runs"])

    def bubbles(self, at: int) -> list[dict[str, Any]]:
        return list(self.view.snapshot()["chats"][at]["bubbles"])


def test_one_answer_covers_what_its_run_has_read() -> None:
    told = Told()
    told.write("c1.m1", "hi")
    told.write("c1.m2", "are you there?")
    told.run("run_aaaa", "t1", "hi", "are you there?")
    told.complete("run_aaaa", "t1", "yes (run aaaa)")
    told.send("c1", "yes (run aaaa)")
    *written, reply = told.bubbles(0)
    assert [(each["state"], each["answers"]) for each in written] == [("answered", 1)] * 2
    assert (reply["covers"], reply["copy"], reply["run"]) == (["hi", "are you there?"], "Copy 2", "aaaa")
    assert told.view.snapshot()["counts"] == {"written": 2, "answered": 2, "twice": 0}
    told.write("c1.m3", "hi")
    told.run("run_bbbb", "t1", "hi")
    told.complete("run_bbbb", "t1", "again (run bbbb)")
    told.send("c1", "again (run bbbb)")
    assert [each["answers"] for each in told.bubbles(0) if each["by"] == "customer"] == [1, 1, 1]


def test_what_a_run_that_is_cancelled_has_read_is_not_answered_and_the_next_run_answers_it() -> None:
    told = Told()
    told.write("c1.m1", "hi")
    told.run("run_aaaa", "t1", "hi")
    told.state("run_aaaa", "t1", "cancelled")
    told.run("run_bbbb", "t1")
    assert told.view.snapshot()["counts"]["answered"] == 0
    told.complete("run_bbbb", "t1", "yes (run bbbb)")
    assert [each["read"] for each in told.runs] == [["hi"], ["hi"]]
    told.send("c1", "yes (run bbbb)")
    assert told.view.snapshot()["counts"]["answered"] == 1


def test_whose_a_run_is_stays_open_where_two_have_written_the_same() -> None:
    told = Told()
    told.write("c1.m1", "hi")
    told.run("run_aaaa", "t1", "hi")
    assert told.runs[0]["customer"] == "Ana"
    told.write("c2.m1", "hi")
    assert told.runs[0]["customer"] == ""
    told.complete("run_aaaa", "t1", "yes (run aaaa)")
    told.send("c2", "yes (run aaaa)")
    assert told.runs[0]["customer"] == "Bruno"
    assert (told.bubbles(0)[0]["state"], told.bubbles(1)[0]["state"]) == ("sent", "answered")


def test_two_answers_to_one_message_are_told_and_a_text_of_no_run_answers_nothing() -> None:
    told = Told()
    told.write("c1.m1", "hi")
    told.send("c1", "Sorry")
    assert told.bubbles(0)[1]["covers"] == []
    assert told.view.snapshot()["counts"]["answered"] == 0
    for run, thread in (("run_aaaa", "t1"), ("run_bbbb", "t2")):
        told.run(run, thread, "hi")
        told.complete(run, thread, f"yes ({run})")
        told.send("c1", f"yes ({run})")
    assert told.view.snapshot()["counts"] == {"written": 1, "answered": 1, "twice": 1}


def test_a_webhook_counts_as_taken_once_it_is_acknowledged() -> None:
    told = Told()
    told.write("c1.m1", "hi")
    told.tell("w1", HandlingStart(delivery="c1.m1#1", message_id="c1.m1", delivery_number=1))
    told.tell("w1", HandlingEnd(delivery="c1.m1#1", outcome=None, error_class="NotAcknowledged"))
    told.tell("webhooks", WebhookFailed(delivery="c1.m1#1", worker="w1", reason="handle raised"))
    assert told.bubbles(0)[0]["state"] == "sent"
    told.tell("w2", HandlingStart(delivery="c1.m1#2", message_id="c1.m1", delivery_number=2))
    told.tell("w2", HandlingEnd(delivery="c1.m1#2", outcome=None, error_class=None))
    assert told.bubbles(0)[0]["state"] == "taken"
    lines = [each["text"] for each in told.view.snapshot()["lines"]]
    assert lines == [
        "The webhook of “hi” comes again, to Copy 2",
        "Copy 1 has not acknowledged “hi”: it did not take it",
    ]


def said_by(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": {"value": text}}], "run_id": None}


def test_the_assistant_names_what_it_has_read_since_it_last_answered() -> None:
    before = [said_by("user", "old"), said_by("assistant", "read")]
    run = {"id": "run_abcdWXYZ"}
    two = [said_by("user", "one"), said_by("user", "two")]
    assert answer(Turn([*before, *two], run)) == Text("I have read “one” and “two”. (run WXYZ)")
    many = [said_by("user", str(number)) for number in range(6)]
    assert answer(Turn(many, run)) == Text("I have read 3 more, “3”, “4” and “5”. (run WXYZ)")
    assert answer(Turn(before, run)) == Text("I have read nothing new. (run WXYZ)")
