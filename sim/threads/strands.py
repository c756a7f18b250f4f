"""Strands: whatever of a simulated process runs on a stack of its own, and can therefore block.

A thread of the process is one, and so is each turn of one of its event loops, since a coroutine may call what blocks. Each
is a greenlet. It runs when the process's companion loop enters it, until it blocks; then the kernel goes on with whatever is
due, at this virtual instant or a later one, and enters it again when what it waits for is there. So only one runs at a time,
and they change places only where production's would block: a thread that computes is never interrupted.

A thread that blocks parks itself alone. A turn of a loop that blocks holds up that whole loop, as in production: no other
task of it runs meanwhile.

At its world's end a strand that still waits is ended by a `ThreadExit`; what it does on the way is not part of the world any
more. One that will not end is left where it is.

More than 400 lines, because a strand and what enters it are one mechanism.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from greenlet import getcurrent, greenlet

from relaysim.sim.kernel import CancelledTask, Host, SimulatorError, current_context, current_host, place_of_caller
from relaysim.sim.kernel.agenda import ReadyHandle, StuckSimulationError
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.kernel.loading_lines import starts_while_loading
from relaysim.sim.kernel.loop import HostLoop
from relaysim.sim.kernel.running import set_running_host
from relaysim.sim.kernel.source_places import place_of_frame
from relaysim.sim.threads.main_thread import MAIN_IDENT

T = TypeVar("T")

_REFUSALS_MAX: Final = 1_000
"""How often a strand that is being ended may try to wait once more before it is left where it is."""

BEGINNING_SECONDS_MAX: Final = 60.0
"""How long a process may take to load its modules and make its relay, in virtual seconds."""

_left: list[greenlet] = []
"""Strands that would not end. Dropping one would run its code once more."""


class ThreadExit(SystemExit):
    """Ends a strand whose world is over; as `SystemExit` it ends a thread without a word."""


class Interrupt:
    """What `Threads.enter` is given so that a handler of a signal runs in the middle of what the strand waits for.

    Args:
        handler: called with the signal's number, and without a frame; what it raises ends the wait.
    """

    __slots__ = ("handler",)

    def __init__(self, handler: Callable[..., object]) -> None:
        self.handler = handler


class Block(NamedTuple):
    """A loop was held up.

    place     the line that did it
    seconds   for so many virtual seconds
    delivery  in whose handling, see `current_context`
    is_over   whether it goes on now; it may wait for what never comes
    """

    place: str
    seconds: float
    delivery: str
    is_over: bool


class Strand(greenlet):
    """What runs on a stack of its own.

    Attributes:
        threads: those of its process.
        host: whose code it is, for clocks and names.
        loop: the loop whose turn it is; None of a thread.
        running: the running loop, as its code saw it when it blocked.
        ident: of the thread that it belongs to.
        at_end: called when it ends.
        turns: how often it has blocked.
        spins: how many locks it has asked for since it last blocked.
        interrupted: how often a handler of a signal has ended what it waited for.
    """

    loop: HostLoop | None
    running: asyncio.AbstractEventLoop | None

    def __init__(self, threads: Threads, run: Callable[[], Any], host: Host, ident: int) -> None:
        super().__init__(run)
        self.threads = threads
        self.host = host
        self.loop = None
        self.ident = ident
        self.at_end: list[Callable[[], object]] = []
        self.turns = self.spins = self.interrupted = 0
        self._refused = 0
        self._handles = False

    def park(self) -> Any:
        """Let the others run until this one is woken.

        Returns:
            What `Threads.wake` was given.

        Raises:
            BaseException: what a handler of a signal raises meanwhile. The caller waits no more, and must not be woken.
        """
        self.turns += 1
        self.spins = 0
        if self.threads.ended:
            self._refuse()
        if self._handles:
            raise refuse("blocking in the handler of a signal")
        while True:
            given = self.parent.switch()  # type: ignore[union-attr]
            if type(given) is not Interrupt:
                return given
            self._handle(given)

    def _handle(self, interrupt: Interrupt) -> None:
        self._handles = True
        try:
            interrupt.handler(signal.SIGALRM, None)
        except BaseException:
            self.interrupted += 1
            raise
        finally:
            self._handles = False

    def _refuse(self) -> NoReturn:
        self._refused += 1
        if self._refused > _REFUSALS_MAX:
            _left.append(self)
            while True:
                self.parent.switch()  # type: ignore[union-attr]
        raise ThreadExit


class LoopStrand(Strand):
    """One turn of an event loop."""

    loop: HostLoop
    blocked = False
    parked_at = 0.0

    def park(self) -> Any:
        """As for any strand; nothing else of the loop runs meanwhile, which is told when the turn goes on."""
        if not self.blocked and not self.threads.ended:
            self.blocked = True
            self.loop.block()
        began = self.parked_at = self.host.kernel.now
        given = super().park()
        seconds = self.host.kernel.now - began
        if seconds > 0.0:
            self.threads.told_blocked(Block(place_of_caller(), seconds, current_context.get(), is_over=True))
        return given


class Threads:
    """The strands of one life of a process.

    Args:
        host: the process's first.
        run: runs a function as the process's code, which it puts in place before.
        blocked: told when a turn of a loop has been held up, or is so at the end.
        cancelled: told of tasks that the process's code has cancelled.

    Attributes:
        host: as given.
        run: as given.
        told_blocked, told_cancelled: `blocked` and `cancelled` as given.
        ended: whether the world is over.
        event_loops: by a thread's number, the loop that it has set for itself.
    """

    def __init__(
        self,
        host: Host,
        run: Callable[..., Any],
        blocked: Callable[[Block], None] = lambda block: None,
        cancelled: Callable[[CancelledTask], None] | None = None,
    ) -> None:
        self.host = host
        self.ended = False
        self.event_loops: dict[int, asyncio.AbstractEventLoop] = {}
        self._own: dict[object, Any] = {}
        self.run = run
        self.told_blocked, self.told_cancelled = blocked, cancelled
        self._companion: Host | None = None
        self._waiting: dict[Strand, None] = {}
        self._idents = MAIN_IDENT

    @property
    def companion(self) -> Host:
        """The loop that enters strands, and on which they let coroutines run."""
        if self._companion is None:
            self._companion = self.host.companion()
        return self._companion

    def own(self, key: object, make: Callable[[], T]) -> T:
        """What this process has one of: made at the first time, and known by this key."""
        if key not in self._own:
            self._own[key] = make()
        made: T = self._own[key]
        return made

    # Entering

    def enter(self, strand: Strand, value: Any = None) -> None:
        """Run a strand until it blocks or ends; one that has not begun when its world ends never does."""
        if not strand.dead and (strand or not self.ended):
            self.run(self._switch, strand, value)

    def _switch(self, strand: Strand, value: Any) -> None:
        self._waiting.pop(strand, None)
        try:
            with _in_its_place(strand):
                strand.switch(value) if strand else strand.switch()
        finally:
            if not strand.dead:
                self._waiting[strand] = None
            elif type(strand) is LoopStrand and strand.blocked:
                strand.loop.unblock()

    def wake(self, strand: Strand, value: Any = None) -> None:
        """Let a strand that has parked go on at this instant, after what is ready already."""
        self.companion.loop.call_soon(self._wake, strand, strand.interrupted, value, context=_NO_CONTEXT)

    def _wake(self, strand: Strand, interrupted: int, value: Any = None) -> None:
        if strand.interrupted == interrupted:
            self.enter(strand, value)

    def wake_later(self, seconds: float, strand: Strand) -> None:
        """Let a strand that has parked go on after so many virtual seconds."""
        self.call_later(seconds, self._wake, strand, strand.interrupted)

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> ReadyHandle:
        """Call back on the companion after so many virtual seconds; what is returned can be cancelled."""
        return self.companion.loop.call_later(seconds, callback, *args, context=_NO_CONTEXT)

    def turn(self, loop: HostLoop, host: Host, ident: int) -> None:
        """Let a loop of this thread have its turn, in which its code may block."""
        strand = LoopStrand(self, partial(HostLoop.drain, loop), host, ident)
        strand.loop = loop
        self._switch(strand, None)

    def call(self, function: Callable[[], T]) -> T:
        """Run code of the process's main thread to its end, before its loop has turned; where it blocks the kernel goes on.

        It must not be called from code of a process.

        Raises:
            StuckSimulationError: it has not ended after `BEGINNING_SECONDS_MAX`.
            BaseException: what the code raises.
        """
        ended: list[Callable[[], T]] = []

        def run() -> None:
            try:
                result = function()
            except BaseException as error:
                ended.append(partial(_raise, error))
            else:
                ended.append(lambda: result)

        strand = LoopStrand(self, run, self.host, MAIN_IDENT)
        strand.loop = self.host.loop
        self.enter(strand)
        kernel = self.host.kernel
        if not kernel.run_until(lambda: strand.dead, kernel.now + BEGINNING_SECONDS_MAX):
            place = place_of_frame(strand.gr_frame)
            remedy = starts_while_loading(strand.gr_frame)
            raise StuckSimulationError(
                f"{place or 'the relay'} still waits {BEGINNING_SECONDS_MAX:g} virtual seconds after its worker was started"
                + (f"; {remedy}" if remedy else "")
            )
        return ended[0]()

    # Threads

    def start(self, function: Callable[[], Any], context: Context, *, at_once: bool = False) -> int:
        """Start a thread. Returns its number.

        Args:
            function: what it does.
            context: its context variables.
            at_once: run it now, up to where it first blocks; else it begins after what is ready already.
        """
        self._idents += 1
        strand = Strand(self, partial(self._run_thread, function), self.host, self._idents)
        strand.gr_context = context
        if at_once:
            self.enter(strand)
        else:
            self._waiting[strand] = None
            self.wake(strand)
        return strand.ident

    def _run_thread(self, function: Callable[[], Any]) -> None:
        try:
            function()
        except SimulatorError as error:
            self.host.kernel.fail(error)
        except SystemExit:  # which ends a thread without a word
            pass
        finally:
            strand = current_strand()
            assert strand is not None
            for at_end in strand.at_end:
                at_end()

    # Waiting

    def wait(self, strand: Strand, coroutine: Coroutine[Any, Any, T]) -> T:
        """Block a strand until a coroutine, which runs on the companion, has ended; its result, or what it raised."""
        if self.ended:
            coroutine.close()
            strand.park()
        task = self.companion.loop.create_task(coroutine, context=copy_context())
        interrupted = strand.interrupted
        task.add_done_callback(lambda _: self._wake(strand, interrupted), context=_NO_CONTEXT)
        try:
            strand.park()
        except BaseException:
            if not self.ended:
                task.cancel()
            raise
        return task.result()

    # The end

    def tell_still_blocked(self) -> None:
        """Nothing happens any more: tell of turns of loops that are held up still, unless the process has crashed."""
        for strand in [] if self.host.crashed else self._waiting:
            if isinstance(strand, LoopStrand) and strand.blocked:
                context = strand.gr_context or _NO_CONTEXT
                seconds = self.host.kernel.now - strand.parked_at
                place = place_of_frame(strand.gr_frame)
                self.told_blocked(Block(place, seconds, context.get(current_context, ""), is_over=False))

    def end(self) -> None:
        """The world is over: end whatever still waits."""
        self.ended = True
        while self._waiting:
            strand, _ = self._waiting.popitem()
            if not strand:  # it has not begun, and never will
                continue
            self.run(self._end, strand)

    def _end(self, strand: Strand) -> None:
        # Whatever it makes of its end, nobody hears of it.
        with _in_its_place(strand), suppress(BaseException):
            strand.throw(ThreadExit())


@contextmanager
def _in_its_place(strand: Strand) -> Iterator[None]:
    """While the block switches to a strand, its loop and its host are the running ones, and it comes back to here."""
    outer_loop, outer_host = _get_running_loop(), current_host()
    strand.parent = getcurrent()
    _set_running_loop(strand.running if strand else strand.loop)
    set_running_host(strand.host)
    try:
        yield
    finally:
        strand.running = _get_running_loop()  # a thread may be in a loop of Python's own, and goes on in it
        _set_running_loop(outer_loop)
        set_running_host(outer_host)


_NO_CONTEXT: Final = Context()


def current_strand() -> Strand | None:
    """The strand whose code is running; None in the kernel's code, and in that of a process whose code cannot block."""
    green = getcurrent()
    return green if isinstance(green, Strand) else None


def strand_of_plain_code() -> Strand | None:
    """The strand whose code is running, if that is a thread's and no event loop's."""
    strand = current_strand()
    return None if isinstance(strand, LoopStrand) else strand


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Block the running code of a simulated process until a coroutine has ended: what every blocking call becomes.

    The coroutine runs on a loop of the process that blocking does not hold up, in a copy of the caller's context.

    Returns:
        The coroutine's result.

    Raises:
        LeavesSimulationError: this code cannot block here: no world runs it, or the process has not begun.
        BaseException: what the coroutine raises.
    """
    strand = current_strand()
    if strand is None:
        coroutine.close()
        raise refuse("blocking where no thread of a worker runs")
    return strand.threads.wait(strand, coroutine)


def delivery_context() -> Context:
    """A new thread's, which knows nothing but what it is for."""
    context = Context()
    context.run(current_context.set, current_context.get())
    return context


def _raise(error: BaseException) -> NoReturn:
    raise error
