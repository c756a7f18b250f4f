"""What became of each message, on traces written by hand: each definition at its edge."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.kernel import Record
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.world import COUNTS, SERIES, observe
from relaysim.sim.world.judge.findings import Findings
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.outcomes import Outcomes
from relaysim.sim.world.settings import FRIENDLY_TEXT, GENERIC_TEXT, RelayUnderTest

RELAY = RelayUnderTest(factory="relaysim.relay:cancel_and_retry")
PROMISES = JudgeSettings(roles=ROLES, apologies=frozenset((FRIENDLY_TEXT, GENERIC_TEXT)))
THREADS = {"thread_1": "c1", "thread_2": "c2"}


class Story:
    """Writes a trace, one event after another, 0.25 s apart unless told otherwise."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now = 0.0
        self.requests = 0

    def add(self, entity: str, kind: str, *fields: Any, after: float = 0.25) -> None:
        self.now += after
        self.records.append(Record(self.now, entity, kind, fields))

    def message(self, name: str, *, worker: str = "w1", delivery: int = 1, retry_of: str | None = None) -> None:
        conversation = name.split(".")[0]
        if delivery == 1:
            self.add(f"customer:{conversation}", "message.sent", name, conversation, f"Question [{name}]", retry_of)
        self.add(worker, "handling.start", f"{name}#{delivery}", name, delivery)

    def request(
        self,
        name: str,
        operation: str,
        *,
        worker: str = "w1",
        status: int = 200,
        error: str | None = None,
        run: str | None = None,
        detail: str = "",
        after: float = 0.25,
        effect: tuple[Any, ...] = (),
    ) -> None:
        self.requests += 1
        request_id = f"{worker}#{self.requests}"
        thread = f"thread_{name[1]}"
        self.add(worker, "request", request_id, f"{name}#1", operation, thread, run, after=after)
        if effect:
            kind, *fields = effect
            self.add("api", kind, *[request_id if field == "CAUSE" else field for field in fields])
        self.add("api", "served", request_id, status, error, detail)
        self.add(worker, "response", request_id, status, None)

    def append(self, name: str, worker: str = "w1", after: float = 0.25) -> None:
        text = f"Question [{name}]"
        thread = f"thread_{name[1]}"
        self.request(
            name,
            "messages.create",
            worker=worker,
            after=after,
            effect=("message.stored", thread, f"msg_{name}", "user", "CAUSE", text),
        )

    def conflict(self, name: str, run: str, worker: str = "w1", after: float = 0.25) -> None:
        """Refused because of a run that is active: here since long ago, unless the story has created it."""
        if not any(record.kind == "run.state" and record.fields[0] == run for record in self.records):
            self.records.insert(0, Record(0.0, "api", "run.state", (run, f"thread_{name[1]}", "in_progress", "time")))
        error = f"Can't add messages to thread_{name[1]} while a run {run} is active."
        self.request(name, "messages.create", worker=worker, status=400, error=error, after=after)

    def create_run(self, name: str, run: str, worker: str = "w1") -> None:
        effect = ("run.state", run, f"thread_{name[1]}", "queued", "CAUSE")
        self.request(name, "runs.create", worker=worker, effect=effect)

    def cancel(self, name: str, run: str, worker: str = "w1", status: int = 200) -> None:
        effect = ("run.state", run, f"thread_{name[1]}", "cancelling", "CAUSE") if status == 200 else ()
        self.request(name, "runs.cancel", worker=worker, run=run, status=status, effect=effect, after=0.0)

    def complete(self, run: str, text: str, thread: str = "thread_1") -> None:
        self.add("api", "message.stored", thread, f"msg_{run}", "assistant", run, text)
        self.add("api", "run.state", run, thread, "completed", "time")

    def send(self, name: str, text: str, *, worker: str = "w1", to: str | None = None, after: float = 0.25) -> None:
        self.add(worker, "send", f"{name}#1", to or name.split(".")[0], text, after=after)

    def answer(self, name: str, run: str, text: str, worker: str = "w1") -> None:
        self.append(name, worker)
        self.create_run(name, run, worker)
        self.complete(run, text, f"thread_{name[1]}")
        self.send(name, text, worker=worker)

    def observe(self) -> dict[str, Any]:
        return observe(self.records, RELAY, THREADS, promises=PROMISES)

    def counts(self) -> dict[str, int]:
        """The counts that are not zero, but for the bookkeeping ones."""
        boring = {"requests", "runs", "redis_commands"}
        counts = self.observe()["counts"]
        return {name: n for name, n in counts.items() if n and name not in boring and not name.startswith("checked_")}


def test_every_count_and_series_is_always_there() -> None:
    observation = Story().observe()
    assert observation["counts"] == dict.fromkeys(COUNTS, 0)
    assert observation["series"] == {name: [] for name in SERIES}


def test_an_answered_message_succeeds() -> None:
    story = Story()
    story.message("c1.m1")
    story.answer("c1.m1", "run_a", "Reply 1")
    assert story.counts() == {"messages": 1, "answered": 1, "succeeded": 1}
    assert story.observe()["series"]["reply_seconds"] == [story.now - 0.25]


def test_a_message_without_any_text_is_lost() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    assert story.counts() == {"messages": 1, "lost": 1, "failed": 1, "transparency_breaches": 1, "breached_messages": 1}


def test_a_reply_covers_what_was_in_the_thread_when_its_run_was_created_and_nothing_later() -> None:
    story = Story()
    story.message("c1.m1")
    story.message("c1.m2", worker="w2")
    story.append("c1.m1")
    story.append("c1.m2", worker="w2")
    story.create_run("c1.m2", "run_a", worker="w2")
    story.message("c1.m3", worker="w3")
    story.append("c1.m3", worker="w3")  # not covered: the run exists already
    story.complete("run_a", "Reply 1")
    story.send("c1.m2", "Reply 1", worker="w2")
    counts = story.counts()
    assert (counts["covered"], counts["answered"], counts["lost"]) == (1, 1, 1)


def test_each_message_that_is_answered_twice_is_one_that_a_breach_hits() -> None:
    """A bot that sends everything twice hit all of its messages, and not one for each customer."""
    story = Story()
    for number in (1, 2, 3):
        story.message(f"c1.m{number}")
        story.answer(f"c1.m{number}", f"run_{number}", f"Reply {number}")
        story.send(f"c1.m{number}", f"Reply {number}")
    counts = story.counts()
    assert (counts["duplicate_reply"], counts["breached_messages"], counts["messages"]) == (3, 3, 3)


def test_an_apology_without_an_answer_is_a_failure_and_a_loss() -> None:
    story = Story()
    story.message("c1.m1")
    story.send("c1.m1", GENERIC_TEXT)
    assert story.counts() == {
        "messages": 1,
        "generic_failure": 1,
        "failed": 1,
        "lost": 1,
        "transparency_breaches": 1,
        "breached_messages": 1,
    }


def test_an_apology_for_a_message_that_a_reply_covers_is_a_breach_whichever_came_first() -> None:
    for apology_first in (True, False):
        story = Story()
        story.message("c1.m1")
        story.append("c1.m1")
        story.create_run("c1.m1", "run_a")
        story.complete("run_a", "Reply 1")
        texts = [GENERIC_TEXT, "Reply 1"] if apology_first else ["Reply 1", GENERIC_TEXT]
        for text in texts:
            story.send("c1.m1", text)
        counts = story.counts()
        assert counts["apology_despite_cover"] == 1
        assert counts["transparency_breaches"] == 1
        assert (counts["failed"], "lost" in counts) == (1, False)


@pytest.mark.parametrize(("another_is_lost", "breaches"), [(False, 1), (True, 0)])
def test_an_apology_of_no_handling_where_all_was_answered_is_a_breach(another_is_lost: bool, breaches: int) -> None:
    """Whoever was lost may have got it as a second one."""
    story = Story()
    story.message("c1.m1")
    if another_is_lost:
        story.message("c1.m2")
        story.send("c1.m2", GENERIC_TEXT)
    story.answer("c1.m1", "run_a", "Reply 1")
    story.add("w1", "send", "", "c1", GENERIC_TEXT, after=0.25)
    assert story.counts().get("apology_despite_cover", 0) == breaches


def test_an_apology_told_although_the_answer_was_ready_is_a_breach() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_a")
    story.complete("run_a", "Reply 1")
    story.send("c1.m1", GENERIC_TEXT)
    counts = story.counts()
    assert counts["answered_but_apologised"] == 1
    assert counts["transparency_breaches"] == 2  # and the message is lost


def test_a_run_that_wrote_nothing_left_no_answer_unsent() -> None:
    """As one that ended in a function call."""
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_a")
    story.add("api", "run.state", "run_a", "thread_1", "completed", "time")
    story.send("c1.m1", GENERIC_TEXT)
    assert "answered_but_apologised" not in story.counts()


def test_a_second_reply_to_the_same_messages_is_a_duplicate_and_one_to_more_is_none() -> None:
    story = Story()
    story.message("c1.m1")
    story.answer("c1.m1", "run_a", "Reply 1")
    story.create_run("c1.m1", "run_b")
    story.complete("run_b", "Reply 2")
    story.send("c1.m1", "Reply 2")
    assert story.counts()["duplicate_reply"] == 1

    story = Story()
    story.message("c1.m1")
    story.answer("c1.m1", "run_a", "Reply 1")
    story.message("c1.m2")
    story.answer("c1.m2", "run_b", "Reply 2")
    assert "duplicate_reply" not in story.counts()


def test_a_reply_to_an_earlier_message_after_one_to_a_later_message_is_out_of_order() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_a")
    story.complete("run_a", "Reply 1")
    story.message("c1.m2", worker="w2")
    story.answer("c1.m2", "run_b", "Reply 2", worker="w2")
    story.send("c1.m1", "Reply 1")
    counts = story.counts()
    assert counts["out_of_order"] == 1
    assert "duplicate_reply" not in counts


def test_a_reply_whose_run_saw_the_later_message_too_is_out_of_order_all_the_same() -> None:
    """The locks let the second message in before the first: the customer reads the answers in the wrong order."""
    story = Story()
    story.message("c1.m1")
    story.message("c1.m2", worker="w2")
    story.answer("c1.m2", "run_a", "Reply 1", worker="w2")
    story.answer("c1.m1", "run_b", "Reply 2")
    counts = story.counts()
    assert counts["out_of_order"] == 1
    assert "duplicate_reply" not in counts


def test_a_reply_sent_to_somebody_else_covers_nothing() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_a")
    story.complete("run_a", "Reply 1")
    story.send("c1.m1", "Reply 1", to="c2")
    counts = story.counts()
    assert (counts["wrong_conversation"], counts["lost"]) == (1, 1)


def test_a_reply_with_words_around_it_is_still_that_reply() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_a")
    story.complete("run_a", "Reply 1")
    story.send("c1.m1", "Here you are: Reply 1. Anything else?")
    assert story.counts()["answered"] == 1


def met(*waits: float, recovered: bool) -> Story:
    """A message that meets an active run and retries after the given waits."""
    story = Story()
    story.message("c1.m1")
    for number, wait in enumerate((0.25, *waits)):
        if recovered and number == len(waits):
            story.append("c1.m1", after=wait)
            break
        story.conflict("c1.m1", "run_x", after=wait)
        story.add("w1", "log", "c1.m1#1", "INFO", "anything", after=0.0)
    if recovered:
        story.create_run("c1.m1", "run_a")
        story.complete("run_a", "Reply 1")
        story.send("c1.m1", "Reply 1")
    return story


@pytest.mark.parametrize(
    ("waits", "count"),
    [((2.0,), "recovered_at_2"), ((2.0, 4.0), "recovered_at_3"), ((1.0, 1.0, 1.0), "recovered_later")],
)
def test_recovery_is_counted_by_attempt_and_waiting_to_the_tick(waits: tuple[float, ...], count: str) -> None:
    story = met(*waits, recovered=True)
    observation = story.observe()
    assert observation["counts"][count] == 1
    assert observation["counts"]["met_active_run"] == 1
    assert observation["series"]["wait_seconds"] == [sum(waits)]


def test_time_under_a_request_is_no_waiting() -> None:
    story = Story()
    story.message("c1.m1")
    story.conflict("c1.m1", "run_x")
    story.request("c1.m1", "runs.cancel", run="run_x", status=400, error="Cannot cancel", after=0.0)
    story.append("c1.m1", after=2.0)
    assert story.observe()["series"]["wait_seconds"] == [2.0]


def test_a_polite_ending_counts_its_wait_only_if_the_new_try_is_answered() -> None:
    for answered in (True, False):
        story = Story()
        story.message("c1.m1")
        for wait in (0.25, 2.0, 4.0):
            story.conflict("c1.m1", "run_x", after=wait)
        story.send("c1.m1", FRIENDLY_TEXT, after=8.0)
        story.message("c1.m2", retry_of="c1.m1")
        if answered:
            story.answer("c1.m2", "run_a", "Reply 1")
        observation = story.observe()
        assert observation["counts"]["friendly_failure"] == 1
        assert observation["counts"]["not_recovered"] == 1
        assert observation["series"]["polite_wait_seconds"] == [14.0 if answered else -1.0]


LINES = [
    "⚠️ [OpenAI] Active run detected during message creation (attempt 1/3)",
    "🔄 [OpenAI] Attempting to cancel run run_x",
    "✅ [OpenAI] Run run_x cancellation requested",
    "⏳ [OpenAI] Waiting 2000ms before retry...",
    "✅ [OpenAI] Message created successfully (attempt 2)",
]


@pytest.mark.parametrize("broken", [None, *range(5), "reworded", "swapped", "extra"])
def test_log_lines_must_be_the_promised_ones_in_their_order(broken: object) -> None:
    lines = list(LINES)
    if isinstance(broken, int):
        del lines[broken]
    elif broken == "reworded":
        lines[3] = lines[3].replace("2000ms", "2 s")
    elif broken == "swapped":
        lines[0], lines[1] = lines[1], lines[0]
    elif broken == "extra":
        lines.append("[OpenAI] Failed to create message after 3 attempts")
    story = Story()
    story.message("c1.m0", worker="w9")
    story.create_run("c1.m0", "run_x", worker="w9")
    story.message("c1.m1")
    story.conflict("c1.m1", "run_x")
    story.cancel("c1.m1", "run_x")
    story.append("c1.m1", after=2.0)
    for line in lines:
        story.add("w1", "log", "c1.m1#1", "INFO", line, after=0.0)
    assert story.observe()["counts"]["log_mismatch"] == (0 if broken is None else 1)


def test_a_breach_tells_which_run_was_cancelled_whose_it_was_and_what_the_customer_received() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_x")
    story.message("c1.m2", worker="w2")
    story.conflict("c1.m2", "run_x", worker="w2")
    story.cancel("c1.m2", "run_x", worker="w2")
    (served,) = (record for record in story.records if record.kind == "served" and record.fields[0] == "w2#4")
    story.send("c1.m1", GENERIC_TEXT)
    observation = story.observe()
    assert observation["counts"]["foreign_cancels"] == 1
    first = observation["details"]["transparency_breaches"][0]
    assert first["run"] == "run_x"
    assert first["answering"] == "c1.m1"
    assert first["cancelled_by"] == "c1.m2#1"
    assert first["cancelled_at_seconds"] == served.time
    assert first["received"] == [GENERIC_TEXT]
    assert "w1's run_x was answering c1.m1 when w2, handling c1.m2, cancelled it" in first["text"]


def test_a_lost_message_tells_all_that_its_customer_received_after_it() -> None:
    story = Story()
    story.message("c1.m1")
    story.append("c1.m1")
    story.create_run("c1.m1", "run_a")
    story.message("c1.m2", worker="w2")
    story.add("w2", "send", "c1.m2#1", "c1", "One moment please ...")
    story.add("w2", "handling.end", "c1.m2#1", None, "KeyError")
    story.complete("run_a", "Reply 1")
    story.send("c1.m1", "Reply 1")
    story.message("c1.m3")
    (second, third) = story.observe()["details"]["lost"]
    assert second["text"] == (
        "c1.m2 was never answered; w2's handling of it ended with KeyError; after it, the customer received "
        "'One moment please ...' and the answer to c1.m1"
    )
    assert third["text"] == "c1.m3 was never answered; after it, the customer received nothing"


def test_appends_that_no_handling_sent_are_refused_too() -> None:
    story = Story()
    story.message("c1.m1")
    story.conflict("c1.m1", "run_left")
    story.records = [
        record._replace(fields=(record.fields[0], "", *record.fields[2:])) if record.kind == "request" else record
        for record in story.records
    ]
    counts = story.observe()["counts"]
    assert (counts["conflicts"], counts["met_active_run"]) == (1, 0)


@pytest.mark.parametrize(
    ("breaches", "expected"),
    [
        ([], 0),
        ([("c1", "c1.m1"), ("c1", "c1.m1")], 1),
        ([("c1", "c1.m1"), ("c1", "c1.m2"), ("c2", "c2.m1")], 3),
        ([("c1", None)], 1),
        ([("c1", None), ("c1", "c1.m1")], 1),
        ([("c1", None), ("c2", None)], 2),
    ],
)
def test_messages_with_a_breach_are_counted_once_each(breaches: list[tuple[str, str | None]], expected: int) -> None:
    findings = Findings()
    for conversation, message in breaches:
        findings.breach("S13", "it is there twice", conversation=conversation, message=message)
    findings.breach("S9", "this is none of them", conversation="c9", message="c9.m1")
    outcomes = Outcomes(Chronicle(ROLES), "wait", {}, 0.0)
    outcomes.counts["messages"] = 6
    outcomes.add_breaches(findings.counts, findings.breached)
    assert outcomes.counts["transparency_breaches"] == len(breaches)
    assert outcomes.counts["breached_messages"] == expected
