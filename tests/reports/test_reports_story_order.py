"""Goal: a story has what makes its breach understandable: which message was overtaken, when it had come, and what the relay
had looked at before; and it says of a handling that it never ended.

Method: traces written by hand, told in as few lines as `explore` has, with a lock and with a lease.
"""

from __future__ import annotations

from typing import Any

import pytest
from report_samples import THREAD, Tape

from relaysim.reports.timeline import render_timeline
from relaysim.sim.backends.threads.operations import ROLES


def told(tape: Tape, focus: str, lines_max: int = 14, **options: Any) -> list[str]:
    return render_timeline(tape.sorted(), 120, focus, lines_max=lines_max, roles=ROLES, **options)


def place(lines: list[str], words: str) -> int:
    return next((number for number, line in enumerate(lines) if words in line), -1)


def overtaken(*, lease: bool, look: str = "LRANGE") -> Tape:
    """m1 was written first and came after the look by which m2 was answered."""
    tape = Tape()
    tape.add(0.0, "customer:c1", "message.sent", "c1.m1", "c1", "the first of two", None)
    tape.add(1.0, "customer:c1", "message.sent", "c1.m2", "c1", "the second of two", None)
    tape.add(1.1, "w1", "handling.start", "c1.m2#1", "c1.m2", 1)
    if lease:
        tape.add(1.1, "redis", "lease.taken", "c1", "w1")
    tape.add(1.2, "w1", "redis", "c1.m2#1", look, "waiting:c1", "1 items")
    store("w1", tape, 1.3, "c1.m2#1", "the second of two")
    tape.add(1.25, "w2", "handling.start", "c1.m1#1", "c1.m1", 1)
    answered(tape, 2.0, "c1.m2#1", "run_AAAA1111")
    tape.add(5.0, "w2", "redis", "c1.m1#1", look, "waiting:c1", "1 items")
    for number in range(6):
        tape.call(5.1 + number / 10, "w2", "c1.m1#1", "runs.list", detail=0)
        tape.add(5.1 + number / 10, "w2", "log", "c1.m1#1", "INFO", f"still here {number}")
    store("w2", tape, 6.0, "c1.m1#1", "the first of two")
    answered(tape, 7.0, "c1.m1#1", "run_BBBB2222")
    for name, at in (("c1.m2", 4.5), ("c1.m1", 9.5)):
        tape.add(at, "w1", "handling.end", f"{name}#1", None, None)
    return tape


def store(worker: str, tape: Tape, at: float, delivery: str, text: str) -> None:
    stored = (at + 0.1, "api", "message.stored", THREAD, f"msg_{at}", "user")
    tape.call(at, worker, delivery, "messages.create", within=lambda request: tape.add(*stored, request, text))


def answered(tape: Tape, at: float, delivery: str, run: str) -> None:
    worker = "w1" if delivery.startswith("c1.m2") else "w2"
    state = (at + 0.1, "api", "run.state", run, THREAD, "queued")
    tape.call(at, worker, delivery, "runs.create", detail=run, within=lambda request: tape.add(*state, request))
    tape.add(at + 1.0, "api", "message.stored", THREAD, f"msg_{run}", "assistant", run, f"Reply of {run}")
    tape.add(at + 1.0, "api", "run.state", run, THREAD, "completed", "time")
    tape.add(at + 2.0, worker, "send", delivery, "c1", f"Reply of {run}")
    tape.add(at + 2.1, "customer:c1", "received", "c1", f"Reply of {run}")


@pytest.mark.parametrize("lease", [False, True], ids=["lock", "lease"])
def test_of_a_message_that_was_overtaken_its_arrival_and_the_look_before_it_are_told(lease: bool) -> None:
    lines = told(overtaken(lease=lease), "c1.m1")
    chain = [
        "sends c1.m1",
        "sends c1.m2",
        "reads waiting:c1: 1 item",
        "gets c1.m1" if lease else "takes c1.m1",
        "appended c1.m2",
        "created run_AAAA",
        "appended c1.m1",
    ]
    places = [place(lines, each) for each in chain]
    assert -1 not in places, "\n".join(lines)
    assert places == sorted(places)


@pytest.mark.parametrize("lease", [False, True], ids=["lock", "lease"])
def test_a_command_that_a_relay_declares_as_its_look_is_told_like_one(lease: bool) -> None:
    tape = overtaken(lease=lease, look="take_stock")
    assert place(told(tape, "c1.m1", looks=["take_stock"]), "reads waiting:c1") > 0
    assert place(told(tape, "c1.m1", 60), "reads waiting:c1") == -1


@pytest.mark.parametrize("lease", [False, True], ids=["lock", "lease"])
@pytest.mark.parametrize("crash", [False, True], ids=["waits for ever", "crash"])
def test_a_handling_that_never_ended_is_said_to_be_one(lease: bool, crash: bool) -> None:
    tape = Tape()
    tape.add(0.0, "customer:c1", "message.sent", "c1.m1", "c1", "is anybody there", None)
    tape.add(0.1, "w1", "handling.start", "c1.m1#1", "c1.m1", 1)
    if lease:
        tape.add(0.1, "redis", "lease.taken", "c1", "w1")
    tape.call(0.2, "w1", "c1.m1#1", "runs.list", detail=0)
    if crash:
        tape.add(3.0, "w1", "host.crash")
    tape.add(900.0, "customer:c2", "message.sent", "c2.m1", "c2", "another one", None)
    line = next(each for each in told(tape, "c1.m1") if "c1.m1" in each and ("never" in each or "power" in each))
    said = "loses its power while it is handling" if crash else "never returns from c1.m1: the world ends before"
    assert line.strip().startswith("3.000 !" if crash else "900.000 !")
    assert said in line
