"""Goal: a bot that would end, hang or fill the process that judges it is refused with the line where it does so; one that is
merely broken is judged like any other; neither changes the process for what comes after.

Method: each bot of `hostile_bots.py` in one world, run in this process under a watchdog with next to no patience.
"""

from __future__ import annotations

import asyncio
import builtins
import cProfile
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relaysim.sim.backends.profile import load_profile
from relaysim.sim.kernel import EndsProcessError, GivenUpError, LeavesSimulationError
from relaysim.sim.world import Session, WorldSettings, run_world
from relaysim.sim.world.process_state import ProcessState
from relaysim.sim.world.session import Result


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    """A session whose watchdog gives up after a fifth of a second of processor time."""
    live(handle="sleep_for_ever")  # a process looks through the installed packages once, which may take longer
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAYSIM_PATIENCE", "0.2")
        with Session():
            yield


def live(**functions: str) -> Result:
    """One world of such a bot, who gets one message."""
    settings = WorldSettings.model_validate(
        {
            "profile": load_profile("claimed"),
            "relay": {"factory": "hostile_bots:make", "settings": functions},
            "workers": [{"count": 1}],
            "workload": {"messages": [{"at_seconds": 0.0}]},
            "limit_seconds": 7200.0,
        }
    )
    return run_world(settings, root_seed=1, seed=0, lane="direct", keep_trace=True)


def lost(result: Result) -> int:
    number: int = result.observation["counts"]["lost"]
    return number


def log_of(result: Result) -> list[Any]:
    assert result.records is not None
    return [fields[2] for _, _, kind, fields in result.records if kind == "log"]


@pytest.mark.parametrize(
    "functions",
    [
        {"handle": "leave"},
        {"handle": "leave_at_once"},
        {"handle": "abort"},
        {"handle": "interrupt"},
        {"handle": "leave_in_a_task"},
        {"handle": "leave_in_a_pool"},
        {"handle": "leave_later"},
        {"serve": "leave_anywhere"},
        {"outcome_of": "leave_anywhere"},
        {"factory": "leave_in_the_factory"},
        {"factory": "raise_no_exception"},
    ],
    ids=lambda functions: next(iter(functions.values())),
)
def test_a_bot_that_ends_its_process_is_refused_with_the_line(functions: dict[str, str]) -> None:
    with pytest.raises(EndsProcessError, match=r"hostile_bots\.py:\d+ raised (SystemExit|KeyboardInterrupt|OwnBase)"):
        live(**functions)


@pytest.mark.parametrize("function", ["raise_own_base", "raise_generator_exit", "raise_cancelled"])
def test_what_asyncio_keeps_in_a_task_fails_the_message_and_nothing_else(function: str) -> None:
    result = live(handle=function, serve=function)
    assert lost(result) == 1
    assert [line.partition(" raised ")[0] for line in log_of(result)] == ["serve", "handle"]


@pytest.mark.parametrize("function", ["send_signal", "raise_signal", "ask_for_an_alarm"])
def test_no_signal_leaves_a_world(function: str) -> None:
    with pytest.raises(LeavesSimulationError, match=r"sending a signal|an alarm that is not set by plain code"):
        live(handle=function)


def test_a_handler_of_signals_is_nobodys() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert lost(live(handle="ignore_signals")) == 1
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ({"handle": "spin"}, "has run for 0.2 s of processor time"),
        ({"handle": "spin_catching_once"}, "has run for 0.2 s of processor time"),
        ({"handle": "change_the_error"}, "has run for 0.2 s of processor time"),
        ({"handle": "spin_in_a_destructor"}, "has run for 0.2 s of processor time"),
        ({"handle": "spin_in_await"}, "has run for 0.2 s of processor time"),
        ({"handle": "spin_in_str"}, "has run for 0.2 s of processor time"),
        ({"handle": "spin_when_cancelled"}, "has run for 0.2 s of processor time"),
        ({"handle": "yield_for_ever"}, "has run for 0.2 s of processor time"),
        ({"factory": "spin_in_the_factory"}, "has run for 0.2 s of processor time"),
    ],
    ids=lambda given: next(iter(given.values())) if isinstance(given, dict) else "",
)
def test_a_bot_that_does_not_come_back_is_given_up_with_the_line(functions: dict[str, str], said: str) -> None:
    with pytest.raises(GivenUpError) as told:
        live(**functions)
    place, _, rest = str(told.value).partition(" has ")
    assert place.startswith("hostile_bots.py:") or functions == {"handle": "yield_for_ever"}
    assert f"has {rest}".startswith(said)
    assert rest.endswith("; give it longer with --patience SECONDS")


def test_a_world_that_creeps_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaysim.sim.kernel.watchdog.WHOLE_WORLD", 2)
    with pytest.raises(GivenUpError, match=r"is in a world that has taken 0\.4 s of processor time"):
        live(handle="creep")


def test_a_world_that_takes_all_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaysim.sim.kernel.watchdog.GROWTH_BYTES_MIN", 50_000_000)
    monkeypatch.setattr("relaysim.sim.kernel.watchdog.memory_bytes_max", lambda: 0.0)
    with pytest.raises(GivenUpError, match=r"is in a process that has grown to [\d.]+ GB of memory"):
        live(handle="hoard")


@pytest.mark.parametrize(
    "function",
    [
        "sleep_for_ever",
        "wait_for_ever",
        "wait_for_a_lock",
        "wait_for_a_queue",
        "poll_for_ever",
        "poll_catching_everything",
        "leave_when_cancelled",
    ],
)
def test_a_bot_that_waits_in_virtual_time_is_judged(function: str) -> None:
    assert lost(live(handle=function)) == 1


@pytest.mark.parametrize(
    "function",
    [
        "recursion",
        "raise_without_text",
        "raise_much_text",
        "raise_half_a_pair",
        "ask_for_all_memory",
        "log_badly",
        "fail_in_a_destructor",
    ],
)
def test_a_broken_bot_is_judged_and_says_little(function: str, capfd: pytest.CaptureFixture[str]) -> None:
    result = live(handle=function)
    assert lost(result) == 1
    assert result.records is not None
    told = [*log_of(result), *(str(fields) for _, _, kind, fields in result.records if kind == "exception")]
    assert told
    for line in told:
        assert len(line) < 11_000
        line.encode()
    assert capfd.readouterr() == ("", "")


def test_what_is_no_text_cannot_be_sent() -> None:
    result = live(handle="send_what_is_no_text")
    assert result.records is not None
    assert [record[3].text for record in result.records if record[2] == "received"] == ["\0\x1b[31m"]  # type: ignore[attr-defined]
    refused = log_of(result)
    assert [line.partition(",")[0] for line in refused[:4]] == ["send takes a conversation and a text"] * 4
    assert refused[4] == "a text of 50,000,000 characters cannot be sent; at most 1,000,000 can"
    assert "surrogates not allowed" in refused[5]
    assert len(refused) == 6


def test_a_bot_that_logs_without_end_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaysim.sim.world.logs.LINES_MAX", 50)
    lines = log_of(live(handle="log_without_end"))
    assert lines[48:] == ["line 48", "(after 50 lines, no more of this world are kept)"]


def test_what_a_bot_changes_about_the_process_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> list[Any]:
        names = (json.dumps, sys.exit, builtins.print, sys.stdout, sys.stderr)
        return [Path.cwd(), sys.getrecursionlimit(), [*sys.path], dict(os.environ), *names]

    monkeypatch.setattr(Session, "_current", None)  # so that this world has a session of its own, which ends
    before = state()
    assert lost(live(handle="change_the_process")) == 1
    assert state() == before
    assert not sys.stdout.closed


def test_a_turn_that_an_interrupt_left_standing_ends_with_its_worlds() -> None:
    before = ProcessState()
    left = asyncio.new_event_loop()
    asyncio.events._set_running_loop(left)
    before.restore()
    assert asyncio.events._get_running_loop() is None
    left.close()


def test_a_profiler_in_c_that_a_bot_takes_away_is_put_back_and_goes_on_counting() -> None:
    """On Python 3.12 and later `sys.setprofile` does not reach it at all."""
    profiler = cProfile.Profile()
    profiler.enable()
    before = ProcessState()
    sys.setprofile(None)
    before.restore()
    len("counted")
    profiler.disable()
    assert sys.getprofile() is None
    assert any(entry.code == "<built-in method builtins.len>" for entry in profiler.getstats())
