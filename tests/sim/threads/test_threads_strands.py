"""Goal: plain code of a simulated process blocks in virtual time as production's would, whatever it blocks on.

Method: small pieces of plain code in a world of their own, with the virtual times at which each thing happened.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_process import Process, processes, simulate, simulate_coroutine

from relaysim.sim.kernel import Fence, LeavesSimulationError, Unhandled, current_context
from relaysim.sim.threads import current_strand, in_thread, install, wait
from relaysim.sim.threads.strands import Strand, Threads


def test_sleeping_takes_virtual_time_and_others_go_on() -> None:
    seen: list[tuple[str, float]] = []

    def work(name: str, seconds: float) -> None:
        for _ in range(2):
            time.sleep(seconds)
            seen.append((name, time.monotonic()))

    def run() -> None:
        threads = [threading.Thread(target=work, args=each) for each in (("a", 1.0), ("b", 1.5))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen.append(("joined", time.monotonic()))

    simulate(run)
    assert seen == [("a", 1.0), ("b", 1.5), ("a", 2.0), ("b", 3.0), ("joined", 3.0)]


def test_a_lock_goes_to_whoever_has_waited_longest_and_a_timeout_ends_the_wait() -> None:
    lock = []
    seen: list[tuple[str, bool, float]] = []

    def take(name: str, timeout: float) -> None:
        got = lock[0].acquire(timeout=timeout)
        seen.append((name, got, time.monotonic()))
        if got:
            time.sleep(2.0)
            lock[0].release()

    def run() -> None:
        lock.append(threading.Lock())
        for name, timeout in (("first", -1), ("second", 5.0), ("third", 1.0), ("fourth", -1)):
            threading.Thread(target=take, args=(name, timeout)).start()

    simulate(run)
    assert seen == [("first", True, 0.0), ("third", False, 1.0), ("second", True, 2.0), ("fourth", True, 4.0)]


def test_queues_events_conditions_timers_and_executors_are_pythons_own_on_top() -> None:
    def run() -> list[Any]:
        found: list[Any] = []
        jobs: queue.Queue[int] = queue.Queue(maxsize=1)
        threading.Timer(3.0, jobs.put, [7]).start()
        found.append((jobs.get(), time.monotonic()))
        with pytest.raises(queue.Empty):
            jobs.get(timeout=0.5)
        found.append(time.monotonic())
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found.append(list(pool.map(lambda seconds: (time.sleep(seconds), time.monotonic())[1], [1.0, 2.0, 1.0])))
        event = threading.Event()
        found.append((event.wait(0.5), time.monotonic()))
        return found

    assert simulate(run) == [(7, 3.0), 3.5, [4.5, 5.5, 5.5], (False, 6.0)]


def test_a_blocking_call_in_a_coroutine_holds_up_its_whole_loop_and_is_told_with_its_line() -> None:
    seen: list[tuple[str, float]] = []

    async def tick() -> None:
        for _ in range(3):
            await asyncio.sleep(1.0)
            seen.append(("tick", time.monotonic()))

    async def block() -> None:
        await asyncio.sleep(0.5)
        time.sleep(2.0)
        seen.append(("blocked", time.monotonic()))

    def beside() -> None:
        time.sleep(1.25)
        seen.append(("thread", time.monotonic()))

    with processes() as (process,):
        process.spawn(tick())
        process.spawn(block())
        process.start(beside)
        process.kernel.run()
        ((place, seconds),) = process.blocked
    assert seen == [("thread", 1.25), ("blocked", 2.5), ("tick", 2.5), ("tick", 3.5), ("tick", 4.5)]
    assert seconds == 2.0
    assert place.startswith("test_threads_strands.py:") or "/test_threads_strands.py:" in place


def test_another_process_goes_on_meanwhile() -> None:
    seen: list[tuple[str, float]] = []

    async def block() -> None:
        time.sleep(2.0)
        seen.append(("blocked", time.monotonic()))

    async def tick() -> None:
        await asyncio.sleep(1.0)
        seen.append(("other", time.monotonic()))

    with processes("w1", "w2") as (one, other):
        one.spawn(block())
        other.spawn(tick())
        one.kernel.run()
    assert seen == [("other", 1.0), ("blocked", 2.0)]


def test_jobs_of_executors_run_beside_the_loop() -> None:
    async def run() -> list[Any]:
        before = time.monotonic()
        one, other = await asyncio.gather(asyncio.to_thread(time.sleep, 1.0), asyncio.to_thread(threading.get_ident))
        del one
        return [time.monotonic() - before, other != threading.get_ident()]

    assert simulate_coroutine(run) == [1.0, True]


def test_a_job_is_done_for_the_message_whose_handling_handed_it_over() -> None:
    """An executor's thread was started for the first message, and goes on for the others."""

    def hand_over(executor: concurrent.futures.Executor, delivery: str) -> concurrent.futures.Future[str]:
        current_context.set(delivery)
        return executor.submit(lambda: (time.sleep(1.0), current_context.get())[1])

    def run() -> list[str]:
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as executor:
            jobs = [hand_over(executor, delivery) for delivery in ("c1.m1#1", "c2.m1#1", "c1.m2#1")]
            return [job.result() for job in jobs]

    assert simulate(run) == ["c1.m1#1", "c2.m1#1", "c1.m2#1"]


def test_a_thread_may_run_an_event_loop_of_its_own() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def work(seconds: float) -> float:
        assert variable.get() == "set"
        await asyncio.gather(asyncio.sleep(seconds), asyncio.sleep(2 * seconds))
        await asyncio.to_thread(time.sleep, 1.0)
        return asyncio.get_running_loop().time()

    def run() -> list[float]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        variable.set("set")
        ended = [asyncio.run(work(1.0)), asyncio.run(work(0.5))]
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        ended.append(asyncio.get_event_loop().run_until_complete(work(0.25)))
        loop.close()
        return ended

    assert simulate(run) == [3.0, 5.0, 6.5]


def test_a_loop_inside_a_loop_is_refused_in_asyncios_words() -> None:
    async def run() -> str:
        loop = asyncio.new_event_loop()
        with pytest.raises(RuntimeError) as refused:
            loop.run_until_complete(loop.create_future())
        loop.close()
        return str(refused.value)

    assert simulate_coroutine(run) == "Cannot run the event loop while another loop is running"


def test_what_a_coroutine_raises_comes_out_of_the_wait() -> None:
    async def fail() -> None:
        await asyncio.sleep(1.0)
        raise LookupError("gone")

    def run() -> float:
        with pytest.raises(LookupError, match="gone"):
            wait(fail())
        return time.monotonic()

    assert simulate(run) == 1.0


def test_what_ends_a_thread_is_told_as_unhandled_and_the_others_go_on() -> None:
    told: list[Unhandled] = []

    def fail() -> None:
        raise LookupError("gone")

    def run() -> None:
        current_context.set("c1.m1#1")
        thread = threading.Thread(target=fail, name="worker")
        thread.start()
        thread.join()
        assert not thread.is_alive()
        quiet = threading.Thread(target=exit)
        quiet.start()
        quiet.join()

    with processes() as (process,):
        process.kernel.unhandled = told.append
        done = process.start(run)
        process.kernel.run()
        assert done == [None]
    ((host, source, message, error, context, _),) = told
    assert (host, source, message, str(error)) == ("w1", "thread", "Exception in thread worker", "gone")
    assert context[current_context] == "c1.m1#1"


def test_a_thread_is_told_which_delivery_it_is_for_and_nothing_else() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    def run() -> None:
        current_context.set("c1.m1#1")
        variable.set("set")
        thread = threading.Thread(target=lambda: seen.append((current_context.get(), variable.get())))
        thread.start()
        thread.join()

    simulate(run)
    assert seen == [("c1.m1#1", "none")]


# Faults of the process


def test_a_crash_stops_every_strand_where_it_is_and_nothing_of_it_runs_before_the_worlds_end() -> None:
    seen: list[str] = []

    def work() -> None:
        try:
            time.sleep(10.0)
        finally:
            seen.append("finally")

    async def block() -> None:
        try:
            time.sleep(10.0)
        finally:
            seen.append("finally of a coroutine")

    with processes() as (process,):
        process.start(work)
        process.start(work)
        process.spawn(block())
        process.kernel.at(1.0, process.host.crash)
        process.kernel.run()
        assert seen == []
        assert process.kernel.now < 10.0


def test_a_pause_holds_up_threads_and_blocked_loops_alike() -> None:
    seen: list[tuple[str, float]] = []

    def work() -> None:
        time.sleep(1.0)
        seen.append(("thread", time.monotonic()))

    async def block() -> None:
        time.sleep(1.5)
        seen.append(("coroutine", time.monotonic()))
        await asyncio.sleep(0.5)
        seen.append(("later", time.monotonic()))

    async def tick() -> None:
        await asyncio.sleep(0.25)
        seen.append(("tick", time.monotonic()))

    with processes() as (process,):
        process.start(work)
        process.spawn(block())
        process.spawn(tick())
        process.kernel.at(0.5, process.host.pause, 4.0)
        process.kernel.run()
    assert seen == [("thread", 4.5), ("coroutine", 4.5), ("tick", 4.75), ("later", 5.0)]


def test_a_slow_host_is_slow_in_its_threads_too() -> None:
    def work() -> float:
        time.sleep(1.0)
        return time.monotonic()

    with processes() as (process,):
        process.host.slow(lambda: 0.25)
        ended = process.start(work)
        process.kernel.run()
    assert ended[0] > 1.25


def test_number_and_clock_of_the_process_are_the_same_in_all_its_threads() -> None:
    async def run() -> list[Any]:
        return [os.getpid(), time.time(), await asyncio.to_thread(os.getpid), await asyncio.to_thread(time.time)]

    with processes("w1", "w2") as (one, other):
        one.host.skew_seconds = 60.0
        first, second = one.spawn(run()), other.spawn(run())
        one.kernel.run()
    assert first[0][0] == first[0][2] != second[0][0] == second[0][2]
    assert first[0][1] == first[0][3] == second[0][1] + 60.0 == second[0][3] + 60.0


# The end


def test_what_will_not_end_is_left_where_it_is() -> None:
    ended: list[str] = []

    def stubborn() -> None:
        while True:
            try:
                time.sleep(1.0)
            except BaseException:
                ended.append("refused")

    with processes() as (process,):
        process.start(stubborn)
        process.kernel.run(until=3.5)
    assert len(ended) > 100


def test_threads_that_never_began_or_still_wait_end_with_their_world() -> None:
    ended: list[BaseException] = []

    def wait_for_ever() -> None:
        try:
            threading.Event().wait()
        except BaseException as error:
            ended.append(error)
            raise

    with processes() as (process,):
        process.start(wait_for_ever)
        process.kernel.run()
        process.threads.start(wait_for_ever, contextvars.Context())
    assert [type(error).__name__ for error in ended] == ["ThreadExit"]


def test_code_that_belongs_to_no_worker_has_pythons_own_and_may_not_block() -> None:
    with processes() as (process,):
        real = threading.Lock()
        assert type(real).__module__ == "_thread"
        coroutine = asyncio.sleep(1)
        with pytest.raises(LeavesSimulationError, match="blocking where no thread of a worker runs"):
            process.host.call(lambda: wait(coroutine))
        process.kernel.failures.clear()
    assert current_strand() is None


def test_what_a_library_keeps_for_each_thread_is_each_threads_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As anyio keeps the loop that a thread belongs to: made when it was imported, before a world or in one."""
    library: Any = ModuleType("a_library")
    library.early = threading.local()
    library.early.name = "outside"
    monkeypatch.setitem(sys.modules, "a_library", library)
    seen: list[Any] = []

    def work(name: str) -> None:
        for local in (library.early, library.late):
            local.name = name
        time.sleep(1.0)
        for local in (library.early, library.late):
            seen.append(local.name)
            del local.name
            seen.append(vars(local))

    with processes() as (process,):
        library.late = threading.local()
        process.start(work, "one")
        process.start(work, "two")
        process.kernel.run()
    assert seen == ["one", {}, "one", {}, "two", {}, "two", {}]
    assert library.early.name == "outside"
    assert vars(library.late) == {}


@pytest.fixture(scope="module")
def fence_held() -> Iterator[None]:
    """Each example puts it up, which takes longer than what it does."""
    with Fence():
        yield


@pytest.mark.usefixtures("fence_held")
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_locks_exclude_and_nobody_waits_for_ever(data: st.DataObject) -> None:
    """Whatever threads do with a few locks, taken in one order: one holder at a time, and all get through."""
    plans = data.draw(
        st.lists(
            st.lists(
                st.tuples(st.sets(st.integers(0, 2)), st.integers(0, 3), st.sampled_from([-1, 0.5, 2.0])), max_size=3
            ),
            min_size=1,
            max_size=5,
        )
    )
    done: list[int] = []
    held: dict[int, int] = {}

    def run() -> None:
        locks = [threading.Lock(), threading.RLock(), threading.Semaphore()]

        def work(number: int, plan: list[tuple[set[int], int, float]]) -> None:
            for wanted, seconds, timeout in plan:
                got = [
                    each
                    for each in sorted(wanted)
                    if locks[each].acquire(True, None if each == 2 and timeout < 0 else timeout)
                ]
                for each in got:
                    assert held.setdefault(each, number) == number
                time.sleep(seconds)
                for each in reversed(got):
                    del held[each]
                    locks[each].release()
            done.append(number)

        threads = [threading.Thread(target=work, args=each) for each in enumerate(plans)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    simulate(run)
    assert sorted(done) == list(range(len(plans)))
    assert not held


def test_awaiting_a_thread_needs_a_process() -> None:
    async def run() -> None:
        await in_thread(time.sleep, 1.0)

    coroutine: Awaitable[None] = run()
    with pytest.raises(LeavesSimulationError):
        coroutine.send(None)  # type: ignore[attr-defined]


def test_a_strand_knows_its_process() -> None:
    found: list[Threads] = []

    def run() -> None:
        strand = current_strand()
        assert isinstance(strand, Strand)
        found.append(strand.threads)

    with processes() as (process,):
        assert isinstance(process, Process)
        process.start(run)
        process.kernel.run()
        assert found == [process.threads]


def test_a_thread_that_spins_until_another_has_done_something_lets_it_do_it() -> None:
    def run() -> float:
        jobs: queue.Queue[int] = queue.Queue()
        threading.Timer(0.25, jobs.put, [7]).start()
        while True:
            try:
                jobs.get_nowait()
            except queue.Empty:
                continue
            return time.monotonic()

    assert 0.25 <= simulate(run) < 0.26


def test_an_installation_within_another_leaves_that_one_in_place() -> None:
    outer = install(lambda: None)
    try:
        replaced = vars(concurrent.futures.ThreadPoolExecutor)["_counter"]
        install(lambda: None)()
        assert vars(concurrent.futures.ThreadPoolExecutor)["_counter"] is replaced
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(pow, 2, 5).result() == 32
    finally:
        outer()
