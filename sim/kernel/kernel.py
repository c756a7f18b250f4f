"""The kernel: one `simpy.Environment` that drives SimPy processes and the asyncio loops of all hosts.

Order, from the outside in:

- Virtual time only moves when nothing is left to do at the present instant. Every delay is rounded up to a multiple of
  `TICK`, a power of two, so sums of times are exact and two ways of adding them agree to the last bit.
- At one instant first come kernel events and SimPy events, in the order in which they were scheduled; then the hosts,
  in the order in which they were made, each until it has nothing ready. Hosts meet only through kernel events, so how
  many steps one of them needs (Python versions differ) cannot change another.
- Inside a host what comes from outside at one instant is taken one after the other, as if each came a moment after all
  that follows from the one before. What follows, callbacks, runs first in, first out, as asyncio promises for
  `call_soon`. Timers due at the same instant run in the order in which they were set (asyncio leaves that order open), all
  of them before whatever one of them wakes, as asyncio's loop does it; what the first has woken then comes first.

Hosts may fail: crash as in a power cut, stand still, be slow, and read a wrong time of day (`Host`). Kernel events are
never touched by that: what a host has sent stays on its way.
"""

from __future__ import annotations

import math
import sys
from asyncio import Task
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop
from typing import Any, TypeVar

from relaysim.sim.kernel.agenda import Agenda, HostTimer, Timer
from relaysim.sim.kernel.clock import EPOCH_SECONDS, TICK, ticks
from relaysim.sim.kernel.draws import Draws
from relaysim.sim.kernel.loop import HostLoop
from relaysim.sim.kernel.running import adopt_generator, finalize_generator, set_running_host
from relaysim.sim.kernel.trace import Place, Trace
from relaysim.sim.kernel.watchdog import Interruption

T = TypeVar("T")


class Host:
    """One simulated process: an asyncio loop with a name.

    Made by `Kernel.host`. Code on the host reads time and sleeps through its loop, in virtual time. A process may have
    further loops, for what goes on while its own stands still, and for threads that run one: companions of the first.

    Attributes:
        process: the process's first host; of a host without companions itself.
        companions: the process's further loops, in the order in which they were made.
        skew_seconds: how far `time.time()`, `datetime.now()` and whatever else reads the time of day on this host are
            ahead of virtual time; negative: behind. Monotonic clocks and the loop's own are not affected.
        sockets: what opens network connections for its code, see `relaysim.sim.sockets`; None: they are refused.
    """

    def __init__(self, kernel: Kernel, name: str, index: int) -> None:
        self.kernel = kernel
        self.name = name
        self.index = index
        self.skew_seconds = 0.0
        self.process: Host = self
        self.companions: list[Host] = []
        self._delay: Callable[[], float] | None = None
        self.sockets: Any = None
        self.loop: HostLoop = HostLoop(self, kernel)

    def companion(self) -> Host:
        """A further loop of this process: it crashes, stands still and is slow as the process is."""
        made = self.kernel.host(self.name)
        made.process = self
        self.companions.append(made)
        if self._delay is not None:
            made.slow(self._delay)
        return made

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, context: Context | None = None) -> Task[T]:
        """Start a coroutine on this host; its first step runs at this instant, after the kernel's own events.

        On a host that has crashed it never begins.
        """
        return self.loop.create_task(coroutine, context=context)

    def call(self, function: Callable[[], T]) -> T:
        """Run plain code as this host's own, now: what a process does before its loop turns.

        It must not be called from a host's code.
        """
        return self.loop.call(function)

    # Faults; once `Kernel.close` is clearing up there are none

    def crash(self) -> None:
        """Cut the power: nothing runs on this host any more, no `finally` and no `except` either.

        Called from code of the host itself it takes effect at the end of the running step; what that step sends until
        then is sent. Its timers are gone, its tasks and futures stay as they are for ever. A process that starts again
        is a new host of the same name: draws, which are keyed by name, go on where they were.
        """
        self.loop.crash()
        for each in self.companions:
            each.crash()

    @property
    def crashed(self) -> bool:
        """Whether the power was cut."""
        return self.loop.crashed

    def pause(self, seconds: float) -> None:
        """Stand still for that long (a stopped process, a long collection of garbage, a migrated machine).

        Called from code of the host itself it takes effect at the end of the running step. What becomes ready meanwhile,
        answers and timers alike, waits and then runs in the order in which it became ready, each with all that follows
        from it at that instant before the next. During a pause another one extends it, if it ends later.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
        """
        self.loop.pause(seconds)
        for each in self.companions:
            each.pause(seconds)

    def resume(self) -> None:
        """End a pause now; without one, nothing happens."""
        self.loop.resume()
        for each in self.companions:
            each.resume()

    @property
    def paused(self) -> bool:
        """Whether the host stands still."""
        return self.loop.paused

    def slow(self, delay: Callable[[], float] | None) -> None:
        """Starve the host of processor time.

        Args:
            delay: asked each time the host gets something to do: how many seconds it waits before it runs, until it has
                nothing left to do. None: it runs at once again, also if it is waiting.
        """
        self._delay = delay
        self.loop.slow(delay)
        for each in self.companions:
            each.slow(delay)


class Kernel(Agenda):
    """The clock, the draws and the trace of one world.

    Args:
        root: the scenario's root seed.
        replication: the replication's seed; both together key every draw.
        draws: the draws, where they are not those that root and replication key alone.
        start_seconds: what time of day it is at virtual 0, in whole seconds since the Unix epoch.
    """

    def __init__(
        self, root: int = 0, replication: int = 0, draws: Draws | None = None, start_seconds: int = EPOCH_SECONDS
    ) -> None:
        super().__init__()
        self.start_seconds = start_seconds
        self.draws = Draws(root, replication) if draws is None else draws
        self.trace = Trace(self.env)
        self.hosts: list[Host] = []

    @property
    def unix_now(self) -> float:
        """The present time of day, in seconds since the Unix epoch."""
        return self.start_seconds + self.now

    def place(self) -> Place:
        """The present place in the trace."""
        return self.trace.place()

    def host(self, name: str) -> Host:
        """A new host. At one instant hosts run in the order in which they were made.

        A host that has crashed starts again as a new one of the same name.
        """
        host = Host(self, name, len(self.hosts))
        self.hosts.append(host)
        return host

    def run(self, until: float | None = None) -> None:
        """Run until nothing is left to do, or until the virtual time `until`.

        Raises:
            StuckSimulationError: if a host keeps running without time passing.
            Exception: the first error that a SimPy process or a kernel event let escape.
        """
        env = self.env
        queue: list[Any] = env._queue
        step, failures = env.step, self.failures
        hosts, turns = self.hosts, self._turns
        limit = math.inf if until is None else until
        outer_hooks, outer_loop = sys.get_asyncgen_hooks(), _get_running_loop()
        sys.set_asyncgen_hooks(firstiter=adopt_generator, finalizer=finalize_generator)
        try:
            while True:
                if turns and (not queue or queue[0][0] > env._now):
                    hosts[heappop(turns)].loop.drain()
                elif not queue or queue[0][0] > limit:
                    break
                else:  # as `step` does it, without the call
                    entry = queue[0][3]
                    kind = type(entry)
                    if kind is Timer:
                        env._now = heappop(queue)[0]
                        if entry.callback is not None:
                            entry.callback(*entry.args)
                    elif kind is HostTimer:
                        env._now = heappop(queue)[0]
                        if entry.callback is not None:
                            entry.loop.enqueue(entry)
                    else:
                        step()
                if failures:
                    raise failures[0]
        finally:
            sys.set_asyncgen_hooks(*outer_hooks)
            _set_running_loop(outer_loop)  # an interruption may have come while a host's turn was being put away

    def run_until(self, is_done: Callable[[], bool], limit: float) -> bool:
        """Run until something is done, which is looked at after each instant; whether it was by the virtual time `limit`.

        Raises:
            Exception: as `run`.
        """
        while not is_done():
            instant = self.env._now if self._turns else self.env.peek()
            if instant > limit or instant == math.inf:
                return False
            self.run(until=instant)
        return True

    def advance_to(self, time: float) -> None:
        """Let the virtual instant `time` (seconds, rounded up to a tick) be the present, after all that is due by then.

        For whoever lets time pass from outside; `run` leaves the clock at the last event. An instant before the present
        one counts as the present one. Where an event lets an error escape the clock stays at that event; what is due
        besides it has not been run, and another call goes on with it.

        Raises:
            ValueError: for a negative, infinite or undefined time.
            Exception: as `run`.
        """
        if not 0 <= time < math.inf:
            ticks(time)  # raises
        env = self.env
        instant = max(math.ceil(time * 1048576.0) * TICK, env._now)
        queue = env._queue
        if self._turns or (queue and queue[0][0] <= instant):
            self.run(until=instant)
        env._now = instant

    def report_unretrieved(self) -> None:
        """The world is over: tell of each task that has failed and was never asked, see `Agenda.unhandled`.

        Raises:
            Exception: one of them failed with an error of the simulator's own.
        """
        for host in self.hosts:
            set_running_host(host)
            try:
                host.loop.report_unretrieved()
            finally:
                set_running_host(None)
        if self.failures:
            raise self.failures[0]

    def close(self) -> None:
        """Clear up: nothing more is recorded, unfinished tasks are cancelled, and given a minute to end.

        Call it once per world. Cancellation runs `finally` blocks, which may release locks; none of that belongs to
        the world any more. Tasks of crashed hosts are not cancelled: they are dropped, and run nothing.
        """
        self.trace.close()
        failures = self.failures[:]
        try:
            for host in self.hosts:
                host.loop.cancel_all()
            limit = self.env._now + 60.0
            while self._turns or (self.env._queue and self.env._queue[0][0] <= limit):
                self.failures.clear()
                try:
                    self.run(until=limit)
                except Interruption:
                    raise
                except BaseException:  # what fails now fails after the world's end; a user's interrupt, the guard knows
                    continue
        finally:
            self.failures[:] = failures
            for host in self.hosts:
                host.loop.close()
            self.env._queue.clear()
            self._turns.clear()
