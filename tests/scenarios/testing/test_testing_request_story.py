"""Goal: what a test saw of the simulated API fits 25 lines, and what was refused or lost is told whole."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.reports.timeline import LINES_MAX
from relaysim.scenarios.testing.request_story import request_story
from relaysim.sim.trace.schema import (
    LockExpired,
    MessageStored,
    RedisCommand,
    RequestSent,
    RequestServed,
    ResponseReceived,
    RunState,
)

THREAD, RUN = "thread_AAAAaaaaAAAAaaaaAAAAaaaa", "run_BBBBbbbbBBBBbbbbBBBBbbbb"


def requests(*asked: tuple[str, int, str]) -> list[Any]:
    """A record for each request and its answer, a second apart: operation, status, and what it says."""
    records: list[Any] = []
    for number, (operation, status, said) in enumerate(asked):
        name = f"test#{number}"
        error, detail = (said, "") if status >= 400 else (None, said)
        records.append((float(number), "test", "request", RequestSent(name, "", operation, THREAD, None)))
        records.append((number + 0.5, "api", "served", RequestServed(name, status, error, detail)))
    return records


def test_nothing_asked_is_nothing_told() -> None:
    assert request_story([]) == []


def test_a_line_for_each_request_and_one_for_what_repeats() -> None:
    asked = [("runs.create", 200, RUN), *[("runs.list", 200, "x")] * 5, ("messages.create", 200, "msg_1")]
    assert request_story(requests(*asked))[1:] == [
        "    0.000   test  runs.create on thread_AAAA: 200 run_BBBB",
        "    1.000   test  runs.list on thread_AAAA: 200 x (5 times, until 5.000)",
        "    6.000   test  messages.create on thread_AAAA: 200 msg_1",
    ]


def test_ids_are_as_long_as_keeps_them_apart() -> None:
    other = THREAD[:-1] + "b"
    records = requests(("x", 200, THREAD), ("x", 200, other))
    told = "\n".join(request_story(records))
    assert THREAD in told
    assert other in told


@pytest.mark.parametrize("lines_max", [3, 10, LINES_MAX])
def test_refusals_stay_whole_and_looks_go_first(lines_max: int) -> None:
    refusal = "Can't add messages to the thread while a run is active. " * 3
    asked = [(f"op{number}.list", 200, "x") for number in range(40)]
    asked[7] = ("messages.create", 400, refusal.strip())
    story = request_story(requests(*asked), lines_max)
    assert len(story) <= lines_max
    assert story[-1].endswith("less important lines left out")
    if lines_max > 6:
        assert refusal.strip() in " ".join(" ".join(story).split())
        assert any("op39.list" in line for line in story), "what is near the end stays"
        assert not any("op0.list" in line for line in story)


def test_a_lost_answer_a_run_that_ended_badly_and_a_lost_lock_are_marked() -> None:
    records = [
        *requests(("messages.create", 200, "msg_1")),
        (1.0, "test", "response", ResponseReceived("test#0", 0, "ReadTimeout")),
        (2.0, "api", "message.stored", MessageStored(THREAD, "msg_2", "assistant", RUN, "half an answer")),
        (2.0, "api", "run.state", RunState(RUN, THREAD, "expired", "expiry")),
        (3.0, "worker-1", "redis", RedisCommand("", "SET", "lock", "nil")),
        (4.0, "redis", "lease.expired", LockExpired("lock", "worker-1", "")),
        (5.0, "test", "request", RequestSent("test#9", "", "runs.list", THREAD, None)),
    ]
    assert request_story(records)[1:] == [
        "    0.000 ! test      messages.create: ReadTimeout at 1.000; the API had done it (messages.create on",
        "                      thread_AAAA: 200 msg_1)",
        "    2.000 ! api       run_BBBB is expired: “half an answer”",
        "    3.000   worker-1  SET lock: nothing",
        "    4.000 ! worker-1  lock lost: lock expired while its holder went on",
        "    5.000 ! test      runs.list on thread_AAAA: no answer until the end",
    ]
