"""Goal: an alarm interrupts the thread that has set it, in virtual time, whatever that waits for, and leaves nothing."""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from simulated_process import simulate, simulate_coroutine

from relaysim.sim.kernel import LeavesSimulationError
from relaysim.sim.threads import wait


class TooLate(Exception):
    pass


def _raise(number: int, frame: Any) -> None:
    raise TooLate(number)


def _limited(seconds: float, function: Callable[[], Any]) -> tuple[str, float]:
    """As libraries set a limit of time."""
    signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        function()
    except TooLate as error:
        return f"signal {error.args[0]:d}", time.monotonic()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return "done", time.monotonic()


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


WAITS: dict[str, Callable[[], Any]] = {
    "sleep": lambda: time.sleep(9.0),
    "lock": lambda: _held_lock().acquire(),
    "lock with a timeout": lambda: _held_lock().acquire(timeout=9.0),
    "queue": lambda: queue.Queue().get(),
    "coroutine": lambda: wait(asyncio.sleep(9.0)),
    "loop": lambda: asyncio.run(asyncio.sleep(9.0)),
}


@pytest.mark.parametrize("kind", WAITS)
def test_whatever_a_thread_waits_for_an_alarm_ends(kind: str) -> None:
    def run() -> list[Any]:
        seen: list[Any] = [_limited(1.5, WAITS[kind])]
        time.sleep(20.0)  # nothing of the first wait must end this
        return [*seen, time.monotonic()]

    assert simulate(run) == [("signal 14", 1.5), 21.5]


def test_who_is_done_in_time_hears_nothing() -> None:
    def run() -> list[Any]:
        seen: list[Any] = [_limited(5.0, lambda: time.sleep(1.0))]
        time.sleep(20.0)
        return seen

    assert simulate(run) == [("done", 1.0)]


def test_a_handler_that_raises_nothing_leaves_the_wait_alone_and_threads_have_alarms_of_their_own() -> None:
    def run() -> list[Any]:
        seen: list[Any] = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(("rang", time.monotonic())))
        signal.setitimer(signal.ITIMER_REAL, 1.0, 2.0)
        other = threading.Thread(target=lambda: seen.append(_limited(2.0, lambda: time.sleep(9.0))))
        other.start()
        time.sleep(4.0)
        seen.append((time.monotonic(), signal.getitimer(signal.ITIMER_REAL), signal.alarm(0)))
        other.join()
        return seen

    assert simulate(run) == [("rang", 1.0), ("signal 14", 2.0), ("rang", 3.0), (4.0, (1.0, 2.0), 1)]


def test_a_lock_that_was_granted_at_the_instant_of_the_alarm_is_free() -> None:
    def run() -> list[Any]:
        lock = _held_lock()
        threading.Timer(1.5, lock.release).start()
        seen: list[Any] = [_limited(1.5, lock.acquire)]
        time.sleep(1.0)
        return [*seen, lock.locked()]

    found = simulate(run)
    assert found in ([("signal 14", 1.5), False], [("done", 1.5), True])


def test_alarms_that_cannot_be_simulated_are_refused() -> None:
    def without_handler() -> None:
        signal.alarm(1)

    def blocking_handler() -> None:
        signal.signal(signal.SIGALRM, lambda *_: time.sleep(1.0))
        signal.alarm(1)
        time.sleep(2.0)

    async def in_coroutine() -> None:
        signal.signal(signal.SIGALRM, _raise)
        signal.alarm(1)

    for work, words in ((without_handler, "without a handler"), (blocking_handler, "blocking in the handler")):
        with pytest.raises(LeavesSimulationError, match=words):
            simulate(work)
    with pytest.raises(LeavesSimulationError, match="not set by plain code in a thread"):
        simulate_coroutine(in_coroutine)
