"""What is due, and when: timers and SimPy events in one heap, and the turns of hosts at the present instant."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Protocol

import simpy

from relaysim.sim.kernel.clock import TICK, ticks
from relaysim.sim.kernel.own_errors import SimulatorError
from relaysim.sim.kernel.running import RunningHost
from relaysim.sim.kernel.trace import Place
from relaysim.sim.kernel.unhandled import Unhandled

STEPS_PER_INSTANT_MAX = 1_000_000
"""How many callbacks one host may run without virtual time moving before it counts as stuck."""

_NORMAL = 1


class StuckSimulationError(SimulatorError, RuntimeError):
    """A host ran a million callbacks at one instant: a loop that awaits nothing that takes time."""


class Timer:
    """A callback at a virtual time; itself the entry in SimPy's heap."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Do nothing when the time comes."""
        self.callback = None
        self.args = ()


class ReadyHandle:
    """A callback waiting its turn on a host (the loop's `asyncio.Handle`)."""

    __slots__ = ("args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        """Skip the callback."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether the callback is skipped."""
        return self.callback is None


class TimerOwner(Protocol):
    """The loop of a host, as its timers know it."""

    def enqueue(self, handle: ReadyHandle) -> None: ...


class HostTimer(ReadyHandle):
    """A callback of a host at a virtual time (the loop's `asyncio.TimerHandle`); itself the entry in SimPy's heap."""

    __slots__ = ("_when", "loop")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, loop: TimerOwner, when: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.loop = loop
        self._when = when

    def when(self) -> float:
        """The virtual time at which it is due."""
        return self._when


class VirtualEnvironment(simpy.Environment):
    """A SimPy environment whose heap also carries the kernel's timers, which `Kernel.run` takes out of it."""

    now = property(attrgetter("_now"), doc="Virtual seconds; SimPy's own takes a Python call.")

    def step(self) -> None:
        """Process the next entry.

        A failed event that nobody waits for is raised as it is: SimPy's own way, rebuilding it from its arguments,
        turns exceptions with other constructors into a TypeError.
        """
        if not self._queue:
            raise simpy.core.EmptySchedule
        entry: Any
        self._now, _, _, entry = heappop(self._queue)
        if not isinstance(entry, simpy.Event):
            raise RuntimeError("timers and hosts run under `Kernel.run`, which steps this environment itself")
        callbacks, entry.callbacks = entry.callbacks, None  # type: ignore[assignment]
        try:
            for callback in callbacks:
                callback(entry)
        except simpy.core.StopSimulation:
            entry.callbacks = callbacks[callbacks.index(callback) + 1 :]
            self.schedule(entry, -1)  # type: ignore[arg-type]
            raise
        if not entry._ok and not hasattr(entry, "_defused"):
            raise entry._value


class Agenda:
    """The clock of one world, and all that is due in it.

    Attributes:
        failures: errors that end the run.
        unhandled: told of each exception that no code of a host has received; None: such an exception ends the run.
    """

    def __init__(self) -> None:
        self.env = VirtualEnvironment(0.0)
        self.failures: list[BaseException] = []
        self.unhandled: Callable[[Unhandled], None] | None = None
        self._turns: list[int] = []  # heap of the hosts that have something to do at this instant

    @property
    def now(self) -> float:
        """Virtual seconds since the world's start."""
        return self.env._now  # the property on the environment costs a call more

    def place(self) -> Place:
        """The present place in the trace."""
        raise NotImplementedError

    def at(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call back after `delay` seconds, rounded up to a tick, outside every host."""
        if not 0 <= delay < math.inf:
            ticks(delay)  # raises
        timer = Timer(callback, args)
        env = self.env
        # What `ticks` does, without the call: this is called for nearly everything that happens in a world.
        entry: Any = (env._now + math.ceil(delay * 1048576.0) * TICK, _NORMAL, next(env._eid), timer)
        heappush(env._queue, entry)
        return timer

    def schedule_host(self, host: RunningHost) -> None:
        """Let a host run at this instant, after the kernel's events and the hosts before it."""
        heappush(self._turns, host.index)

    def unschedule_host(self, host: RunningHost) -> None:
        """Take back what `schedule_host` did, if it has not run since."""
        if host.index in self._turns:
            self._turns.remove(host.index)
            heapify(self._turns)

    def take_timers(self, loop: TimerOwner) -> list[HostTimer]:
        """Remove all timers of one host; they are returned in the order in which they would have been due."""
        queue: list[Any] = self.env._queue
        taken = sorted(entry for entry in queue if type(entry[3]) is HostTimer and entry[3].loop is loop)
        if taken:
            # In place: `run` holds this list. What remains keeps its order, which is by time and number.
            queue[:] = [entry for entry in queue if not (type(entry[3]) is HostTimer and entry[3].loop is loop)]
            heapify(queue)
        return [entry[3] for entry in taken]

    def schedule_timer(self, when: float, timer: HostTimer) -> None:
        """Put a timer of a host at an exact instant, not before the present one."""
        env = self.env
        now = env._now
        instant = math.ceil(when * 1048576.0) * TICK if when > now else now
        entry: Any = (instant, _NORMAL, next(env._eid), timer)
        heappush(env._queue, entry)

    def fail(self, error: BaseException) -> None:
        """Note an error that no code can receive; `run` raises the first one."""
        self.failures.append(error)
