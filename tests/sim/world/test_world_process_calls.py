"""Goal: what a bot calls of its loop, its signals and its interpreter is refused, does nothing, or acts as in CPython.

Method: a table of bots in one world each, with what it says of them: the words with which its run ends, or what they answer.
Afterwards this process is as it was. That each method of a loop is one of these is in tests/sim/kernel/test_kernel_loop.py.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from world_bench import run, settings

from relaysim.sim.kernel import EndsProcessError, LeavesSimulationError
from relaysim.sim.world import Session


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def live(function: str) -> Any:
    return run(settings("process_bots:make", relay={"function": function}, workers=1))


def of_the_process() -> list[Any]:
    """What a bot must not change."""
    policy = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
    hooks = sys.gettrace(), sys.getprofile(), sys.excepthook, sys.unraisablehook, sys.getswitchinterval()
    collecting = gc.isenabled(), gc.get_threshold(), gc.get_debug()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM)
    threads = threading.excepthook, threading.gettrace() if hasattr(threading, "gettrace") else None
    return [policy, *hooks, *collecting, *signals, *threads, sys.getrecursionlimit(), faulthandler.is_enabled()]


ENDS = {
    "stop": r"process_bots\.py:\d+",
    "stop_in_a_task": r"process_bots\.py:\d+",
    "stop_by_a_timer": "the relay",
    "stop_by_a_callback": "the relay",
}
LEAVES = {
    "timer_of_signals": "an alarm that is not set by plain code in a thread would leave the simulation",
    "limit_of_the_process": "changing a limit of the process would leave the simulation",
}
ANSWERS = {
    "close": "RuntimeError: Cannot close a running event loop",
    "run_forever": "RuntimeError: This event loop is already running",
    "run_until_complete": "RuntimeError: This event loop is already running",
    "run": "RuntimeError: asyncio.run() cannot be called from a running event loop",
    "executor_after_its_end": "RuntimeError: Executor shutdown has been called",
    "debug": "(0.2, True, False)",
    "policy": "True",
    "handlers": "((True, False), -1, set())",
    "wrong_handler": "coroutines cannot be used with add_signal_handler()",
    "faults_of_the_process": lambda: str(
        faulthandler.is_enabled()
    ),  # a suite that ran in this process has switched it off
    "garbage": "(True, True)",
    "low_recursion": "0",
    "high_recursion": "5000",
    "traced": "True",
    "hooks": "hooked",
}


@pytest.mark.parametrize("function", ENDS)
def test_stopping_the_loop_ends_the_process_and_is_refused_with_the_line(function: str) -> None:
    with pytest.raises(EndsProcessError, match=rf"^{ENDS[function]} called loop\.stop\(\), which ends the process"):
        live(function)


@pytest.mark.parametrize("function", LEAVES)
def test_what_would_reach_past_the_process_is_refused_with_the_line(function: str) -> None:
    with pytest.raises(LeavesSimulationError, match=rf"^process_bots\.py:\d+: {LEAVES[function]}"):
        live(function)


@pytest.mark.parametrize("function", ANSWERS)
def test_everything_else_acts_as_in_cpython_or_does_nothing_and_leaves_no_trace(function: str) -> None:
    answer = ANSWERS[function]
    expected = answer() if callable(answer) else answer
    before = of_the_process()
    result = live(function)
    assert [fields[1] for _, _, kind, fields in result.records if kind == "received"] == [expected]
    assert of_the_process() == before
