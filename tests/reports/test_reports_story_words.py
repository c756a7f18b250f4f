"""Goal: each line of a story is true of its trace: what an append holds, how a message ends, who waits, who has a lock."""

from __future__ import annotations

from typing import Any

from report_samples import RUN_A, THREAD, Tape

from relaysim.reports.timeline import render_timeline
from relaysim.sim.backends.threads.operations import ROLES


def told(tape: Tape, focus: str | None = None) -> str:
    return "\n".join(render_timeline(tape.sorted(), 160, focus, lines_max=40, roles=ROLES))


def message(tape: Tape, at: float, name: str, worker: str, text: str) -> None:
    tape.add(at, "customer:c1", "message.sent", name, "c1", text, None)
    tape.add(at + 0.1, worker, "handling.start", f"d{name}", name, 1)


def append(tape: Tape, at: float, worker: str, delivery: str, *texts: str, thread: str = THREAD) -> None:
    def store(request: str) -> None:
        for index, text in enumerate(texts):
            tape.add(at + 0.1, "api", "message.stored", thread, f"msg_{at}_{index}", "user", request, text)

    tape.call(at, worker, delivery, "messages.create", within=store)


def answer(tape: Tape, at: float, worker: str, delivery: str, text: str, **sent: Any) -> None:
    """A run of one second, whose text is sent."""
    created = ("api", "run.state", RUN_A, THREAD, "queued")
    tape.call(at, worker, delivery, "runs.create", within=lambda request: tape.add(at + 0.1, *created, request))
    tape.add(at + 1.0, "api", "message.stored", THREAD, "msg_reply", "assistant", RUN_A, text)
    tape.add(at + 1.0, "api", "run.state", RUN_A, THREAD, "completed", "time")
    tape.add(at + 2.0, worker, "send", delivery, "c1", text)
    tape.add(at + 2.2, "customer:c1", "received", "c1", text)


def test_an_append_is_told_by_its_words_and_a_message_ends_as_it_did() -> None:
    tape = Tape()
    message(tape, 0.0, "m1", "w1", "hello there")
    tape.add(0.2, "w1", "handling.end", "dm1", None, None)
    message(tape, 1.0, "m2", "w2", "anybody home")
    message(tape, 1.1, "m4", "w4", "just hurry")
    tape.add(1.3, "w4", "send", "dm4", "c1", "Sorry, something went wrong")
    tape.add(1.4, "w4", "handling.end", "dm4", None, None)
    append(tape, 1.5, "w2", "dm2", "hello there\nanybody home\njust hurry")
    answer(tape, 2.0, "w2", "dm2", "Here I am")
    message(tape, 3.0, "m3", "w3", "and a third one")
    append(tape, 3.2, "w3", "dm3", "and a")
    tape.add(3.6, "w3", "handling.end", "dm3", None, None)
    tape.add(5.0, "w2", "handling.end", "dm2", None, None)
    tape.add(6.0, "w1", "handling.start", "again", "m1", 2)
    tape.add(6.5, "w1", "handling.end", "again", None, None)
    story = "\n".join(told(tape, each) for each in ("dm1", "dm2", "dm3", "dm4", "again"))
    assert "w2 m2     appended m1, m2 and m4 to the thread" in story
    assert "w3 m3     appended “and a” to the thread" in story
    assert "ends m1, which w2 will answer later" in story
    assert "! w4 m4     ends m4 with an apology, though w2 will answer it later" in story
    assert "! w3 m3     ends m3, which never gets an answer" in story
    assert "ends m2: answered" in story
    assert "ends m1, which w2 had answered" in story
    assert "without an outcome" not in story


def test_the_time_that_a_channel_takes_is_no_wait_of_the_relay_s() -> None:
    tape = Tape()
    message(tape, 0.0, "m1", "w1", "hello there")
    append(tape, 0.2, "w1", "dm1", "hello there")
    answer(tape, 0.5, "w1", "dm1", "Here I am")  # sent at 2.5 s, received at 2.7 s: taken by the channel at 2.9 s
    tape.add(3.9, "w1", "send", "dm1", "c1", "Anything else?")
    tape.add(4.0, "customer:c1", "received", "c1", "Anything else?")
    tape.add(4.1, "w1", "handling.end", "dm1", None, None)
    story = told(tape)
    assert story.count("waited 1.000 s") == 1
    assert "4.100   w1 m1     ends m1: answered" in story  # the second text's 0.2 s are no wait either
    assert story.count("waited") == 1


def test_whose_lock_is_deleted_and_what_a_script_does_to_one() -> None:
    tape = Tape()
    message(tape, 0.0, "m1", "w1", "hello there")
    message(tape, 0.5, "m2", "w2", "anybody home")
    tape.add(1.0, "w1", "redis", "dm1", "SET", "lock:c1", "OK")
    tape.add(2.0, "w1", "redis", "dm1", "EVALSHA", "lock:c1", 1)
    tape.add(3.0, "w1", "redis", "dm1", "EVALSHA", "lock:c1", 1)
    tape.add(4.0, "w2", "redis", "dm2", "SET", "lock:c1", "OK")
    tape.add(5.0, "w1", "redis", "dm1", "DEL", "lock:c1", 1)
    story = told(tape)
    assert "2.000   w1 m1     extends the lock lock:c1" in story
    assert "3.000   w1 m1     releases the lock lock:c1" in story
    assert "5.000 ! w1 m1     deletes the lock lock:c1, which w2 m2 holds" in story


def test_a_run_on_another_thread_is_in_nobody_s_way() -> None:
    for thread, beside in ((THREAD, " while w1 is handling m1"), ("thread_Other1234", "")):
        tape = Tape()
        message(tape, 0.0, "m1", "w1", "hello there")
        append(tape, 0.2, "w1", "dm1", "hello there")
        message(tape, 1.0, "m2", "w2", "anybody home")
        tape.add(1.2, "w2", "request", "w2#1", "dm2", "runs.create", thread, None)
        tape.add(1.3, "api", "run.state", RUN_A, thread, "queued", "w2#1")
        tape.add(1.3, "api", "served", "w2#1", 200, None, RUN_A)
        assert f"created run_Zk4f{beside}\n" in told(tape) + "\n"


def test_requests_that_repeat_are_one_line_that_counts_them() -> None:
    tape = Tape()
    message(tape, 0.0, "m1", "w1", "hello there")
    for index in range(30):
        tape.call(0.2 + index, "w1", "dm1", "messages.list")
    assert "calls messages.list 30 times" in told(tape)
