"""Lets a kernel's virtual time follow real time, from a running asyncio loop.

Virtual seconds are real seconds times `speed`, counted from when the speed was set. At speed 0 time stands still and
only `advance` moves it. Nothing runs beside the loop: before anybody looks at the world, `catch_up` runs what is due and
makes the present instant the kernel's; between requests one timer of the loop wakes the kernel for its next event. After
a pause of the whole machine the next `catch_up` simply has more to do.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, TypeVar

from relaysim.sim.kernel import Kernel, ticks

T = TypeVar("T")


class WorldEndedError(RuntimeError):
    """What one waited for belongs to a world that is gone."""


class Pacer:
    """The clock hand of one kernel at a time. Everything is called from the loop's own thread.

    Args:
        kernel: whose time it moves.
        speed: virtual seconds per real second, 0 or more; 0: only `advance` moves time.
        on_error: receives what an event of the kernel lets escape (a replier's exception); time goes on.

    Raises:
        ValueError: for a negative, infinite or undefined speed.
    """

    def __init__(self, kernel: Kernel, speed: float, on_error: Callable[[Exception], None]) -> None:
        self._speed = _checked_speed(speed)
        self._on_error = on_error
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed = math.inf  # the virtual instant of the timer
        self._virtual, self._real = kernel.now, 0.0  # the same instant on both clocks
        self._kernel = kernel
        self._peek = kernel.env.peek

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._speed

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on; the present instant stays what it is.

        Raises:
            ValueError: for a negative, infinite or undefined speed.
        """
        checked = _checked_speed(speed)
        self._anchor(self.catch_up())
        self._speed = checked
        self._disarm()
        self.arm()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin: virtual time moves from now on. Before, it stands still."""
        self._loop = loop
        self._anchor(self._kernel.now)
        self.arm()

    def stop(self) -> None:
        """Let time stand still for good; whoever sleeps is woken with `WorldEndedError`."""
        self._disarm()
        self._loop = None
        self._end_waits()

    def attach(self, kernel: Kernel) -> None:
        """Go on with another kernel, whose present instant is now; whoever sleeps on the old one gets `WorldEndedError`."""
        self._disarm()
        self._end_waits()
        self._kernel = kernel
        self._peek = kernel.env.peek
        self._anchor(kernel.now)
        self.arm()

    def catch_up(self) -> float:
        """Run what is due, make the present instant the kernel's, and return it (virtual seconds)."""
        loop = self._loop
        if loop is not None and self._speed > 0.0:
            self._run_to(self._virtual + (loop.time() - self._real) * self._speed)
        return self._kernel.now

    def arm(self) -> None:
        """Set the timer for the kernel's next event; call it after anything that may have put an event into the kernel."""
        due = self._peek()
        # A timer that is too early only costs a look; it sets the next one.
        if due < self._armed and self._loop is not None and self._speed > 0.0:
            self._disarm()
            self._armed = due
            self._timer = self._loop.call_at(self._real + (due - self._virtual) / self._speed, self._wake)

    def advance(self, seconds: float) -> float:
        """Let `seconds` (virtual, 0 or more) pass at once, at any speed; returns the new present instant.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
        """
        target = self.catch_up() + ticks(seconds)
        self._anchor(target)
        self._run_to(target)
        self._disarm()
        self.arm()
        return self._kernel.now

    def when(self, seconds: float, action: Callable[[], T]) -> asyncio.Future[T]:
        """Call `action` in a kernel event after `seconds` (virtual); a future of what it returns or raises.

        The action takes place whether or not anybody still waits for the future. If the world ends before, the action does
        not take place and the future's exception is a `WorldEndedError`.

        Raises:
            RuntimeError: the pacer has not been started, or has been stopped.
            ValueError: for a negative, infinite or undefined duration.
        """
        if self._loop is None:
            raise WorldEndedError("time stands still: the server has stopped or not begun")
        future: asyncio.Future[T] = self._loop.create_future()
        self._kernel.at(seconds, self._due, action, future)
        self._waiting[future] = None
        self.arm()
        return future

    async def sleep(self, seconds: float) -> None:
        """Wait for that many virtual seconds.

        Raises:
            WorldEndedError: the kernel was taken away meanwhile.
        """
        await self.when(seconds, _nothing)

    def _due(self, action: Callable[[], T], future: asyncio.Future[T]) -> None:
        self._waiting.pop(future, None)
        try:
            result = action()
        except Exception as error:
            if future.done():
                self._on_error(error)
            else:
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def _wake(self) -> None:
        self._timer, self._armed = None, math.inf
        self.catch_up()
        self.arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed = None, math.inf

    def _anchor(self, virtual: float) -> None:
        self._virtual = virtual
        self._real = 0.0 if self._loop is None else self._loop.time()

    def _run_to(self, target: float) -> None:
        while True:
            try:
                self._kernel.advance_to(target)
            except Exception as error:
                self._kernel.failures.clear()
                self._on_error(error)
            else:
                return

    def _end_waits(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_exception(WorldEndedError("the world has ended"))


def _checked_speed(speed: float) -> float:
    if not 0 <= speed < math.inf:
        raise ValueError(
            f"speed must be 0 (a manual clock) or a positive number of virtual per real seconds, not {speed!r}"
        )
    return float(speed)


def _nothing() -> None:
    pass
