"""Virtual clocks for plain code: what they reach, what they leave alone, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import datetime
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from time import monotonic as early_monotonic
from time import perf_counter_ns as early_perf_counter_ns
from time import sleep as early_sleep
from typing import Any

import pytest

from relaysim.sim.doors.thread_clock import ThreadClock
from relaysim.sim.kernel import Fence

REAL = {"sleep": time.sleep}  # not a name of a module, which would be replaced


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.busy = False

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def held(self) -> ThreadClock:
        return ThreadClock(lambda: self.seconds, self.advance, lambda: self.busy)


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    with clock.held():
        yield clock


def test_a_loop_with_a_deadline_ends(clock: Clock) -> None:
    deadline, rounds = time.monotonic() + 3600, 0
    while time.monotonic() < deadline:
        time.sleep(60)
        rounds += 1
    assert rounds == 60


def test_all_clocks_and_names_bound_early_agree(clock: Clock) -> None:
    early_sleep(1.5)
    assert (time.monotonic(), time.monotonic_ns()) == (1.5, 1_500_000_000)
    assert (time.perf_counter(), time.perf_counter_ns()) == (1.5, 1_500_000_000)
    assert (early_monotonic(), early_perf_counter_ns()) == (1.5, 1_500_000_000)
    assert time.time_ns() == 1_762_257_601_500_000_000
    assert datetime.datetime.now() == datetime.datetime(2025, 11, 4, 12, 0, 1, 500_000)
    assert datetime.date.today() == datetime.date(2025, 11, 4)


def test_other_threads_have_real_time(clock: Clock) -> None:
    begun = time.time()  # virtual
    with ThreadPoolExecutor() as pool:
        real = pool.submit(lambda: time.time()).result()
        pool.submit(lambda: time.sleep(0.01)).result()
    assert real > begun + 86_400
    assert clock.seconds == 0.0


def test_what_waits_in_earnest_keeps_its_clock(clock: Clock) -> None:
    assert not threading.Event().wait(0.01)
    with pytest.raises(queue.Empty):
        queue.Queue[int]().get(timeout=0.01)
    condition = threading.Condition()
    with condition:
        assert not condition.wait_for(lambda: False, timeout=0.01)
    # Nobody writes to it, and it is not closed, so that it waits for as long as this machine likes.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=0.01)
        waiting.kill()
    asyncio.run(asyncio.sleep(0.01))
    assert clock.seconds == 0.0


@pytest.mark.parametrize("wrong", ["1", None, Fraction(1, 2)])
def test_sleep_is_as_picky_as_the_real_one(clock: Clock, wrong: Any) -> None:
    if not isinstance(wrong, Fraction):
        with pytest.raises(TypeError):
            time.sleep(wrong)
    for negative in (-1, float("nan")):
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(negative)
    time.sleep(0)
    time.sleep(True)
    assert clock.seconds == 1.0


def test_modules_imported_meanwhile_are_reached_and_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_late.py").write_text("from time import sleep, monotonic\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = Clock()
    with first.held():
        import imported_late  # type: ignore[import-not-found]

        imported_late.sleep(5)
    assert first.seconds == 5.0
    assert abs(imported_late.monotonic() - time.monotonic()) < 60
    imported_late.sleep(0)
    second = Clock()
    with second.held():
        imported_late.sleep(7)
        assert imported_late.monotonic() == 7.0
    assert (first.seconds, second.seconds) == (5.0, 7.0)


def test_a_patch_that_is_undone_too_late_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Clock()
    with first.held():
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.undo()  # puts back what was there inside the block
    time.sleep(0)
    second = Clock()
    with second.held():
        time.sleep(3)
        assert second.seconds == 3.0
    assert time.sleep is REAL["sleep"]
    assert first.seconds == 0.0


def test_while_a_world_runs_its_clocks_are_the_fences(clock: Clock) -> None:
    clock.busy = True
    # No kernel is attached here, so the fence's clocks are the real ones.
    assert time.time() > 1_762_257_600 + 86_400
    time.sleep(0)
    assert clock.seconds == 0.0


def test_everything_is_put_back() -> None:
    names = ("sleep", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
    before = [getattr(time, name) for name in names], (early_sleep, early_monotonic)
    zone = time.tzname
    clock = Clock()
    with clock.held():
        assert time.sleep is not REAL["sleep"]
        with pytest.raises(RuntimeError, match="one simulation at a time"), Clock().held():
            pass
    assert ([getattr(time, name) for name in names], (early_sleep, early_monotonic)) == before
    assert time.tzname == zone
    assert time.time() > 1_762_257_600 + 86_400


def test_a_fence_around_it_stays() -> None:
    with Fence():
        before = time.sleep, time.monotonic
        with Clock().held():
            assert time.sleep is not before[0]
        assert (time.sleep, time.monotonic) == before
