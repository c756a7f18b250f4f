"""An asyncio event loop whose time is a SimPy environment's.

What asyncio code may use in a simulation is here: callbacks, timers, tasks, futures, asynchronous generators, and an
executor that runs jobs inline, as one scheduled step. Everything that would leave the simulation (pipes, subprocesses, file
descriptors, sockets but for simulated ones) raises `LeavesSimulationError` where it is called. What would end the process
ends the run, handlers of signals are taken and never called, and what asyncio refuses while a loop runs is refused in its
words.

A host's faults are here too: standing still, being slow, and the loop of a host that has crashed, which takes everything
and does nothing. They cost a healthy host nothing, since each replaces what it changes instead of being asked about.

More than 400 lines, because it is one interface of asyncio's, whole, and a loop changes into its own dead form in place.
"""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import weakref
from asyncio import Future, Task
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from heapq import heappush
from typing import Any, TypeVar

from relaysim.sim.kernel.agenda import (
    STEPS_PER_INSTANT_MAX,
    Agenda,
    HostTimer,
    ReadyHandle,
    StuckSimulationError,
    Timer,
)
from relaysim.sim.kernel.cancelled_tasks import CancellableTask, CancelledTask
from relaysim.sim.kernel.clock import ticks
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.kernel.guard import EndsProcessError
from relaysim.sim.kernel.own_errors import own_error_in
from relaysim.sim.kernel.power_cut import CrashedWork
from relaysim.sim.kernel.running import RunningHost, current_host, set_running_host
from relaysim.sim.kernel.source_places import executor_job, place_of_caller, place_of_frame
from relaysim.sim.kernel.unhandled import FailedTask, Unhandled, source_of

T = TypeVar("T")


def _refuse(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        sockets = self._host.process.sockets
        if sockets is None or name not in sockets.loop_calls:
            raise refuse(f"loop.{name}")
        return sockets.loop_calls[name](*args, **kwargs)

    method.__name__ = name
    method.refused = True  # type: ignore[attr-defined]
    method.__doc__ = (
        "Would leave the simulation: raises `LeavesSimulationError`, unless the host has sockets that offer it."
    )
    return method


def _instant(timer: HostTimer) -> int:
    """The tick at which a timer is due."""
    return math.ceil(timer.when() * 1048576.0)


class HostLoop(asyncio.AbstractEventLoop):
    """The event loop of one host.

    Attributes:
        slow_callback_duration: as asyncio's own has it, in seconds; read by nobody, since debug mode stays off.
        cancelled: told of each task of the host that its code has cancelled; None: nobody is.
    """

    slow_callback_duration = 0.1

    def __init__(self, host: RunningHost, agenda: Agenda) -> None:
        self._host = host
        self._agenda = agenda
        self._ready: deque[ReadyHandle] = deque()
        self._scheduled = False  # or standing still: either way nothing needs to be scheduled
        self._schedule: Callable[[], None] = partial(heappush, self._agenda._turns, host.index)
        self._pause: Timer | None = None
        self._paused_until = 0.0
        self._late_turn: Timer | None = None
        self._blocked = False
        self._closed = False
        self._closing = False
        self._task_factory: Any = None
        self.cancelled: Callable[[CancelledTask], None] | None = None
        self._exception_handler: Any = None
        self._tasks: list[weakref.ref[Task[Any]]] = []
        self._tasks_kept = 64
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] | None = None
        self._failed: dict[int, FailedTask] = {}  # by the identity of the task
        self._reporting: FailedTask | None = None
        self._has_executor = True
        self._handled_signals: set[int] = set()

    # Callbacks and timers

    def enqueue(self, handle: ReadyHandle) -> None:
        """Make a handle ready at this instant."""
        if self._closed:
            return
        self._ready.append(handle)
        if not self._scheduled:
            self._scheduled = True
            self._schedule()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> ReadyHandle:
        handle = ReadyHandle(callback, args, copy_context() if context is None else context)
        # As in `enqueue`; a task passes here at every step.
        if not self._closed:
            self._ready.append(handle)
            if not self._scheduled:
                self._scheduled = True
                self._schedule()
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> HostTimer:
        if delay == math.inf:  # what never comes is due in no event
            return HostTimer(callback, args, copy_context() if context is None else context, self, delay)
        # Rounded before it is added: the delay must come out the same at every time of day.
        when = self._agenda.env._now + (ticks(delay) if delay > 0 else 0.0)
        timer = HostTimer(callback, args, copy_context() if context is None else context, self, when)
        self._agenda.schedule_timer(when, timer)
        return timer

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> HostTimer:
        timer = HostTimer(callback, args, copy_context() if context is None else context, self, when)
        if when < math.inf:
            self._agenda.schedule_timer(when, timer)
        return timer

    def time(self) -> float:
        return self._agenda.now

    def drain(self) -> None:
        """Run everything that is ready on this host, and what becomes ready meanwhile.

        What came from outside, answers and timers, runs in its order, each with all that follows from it at this instant
        before the next. Else who is first would depend on how many steps each takes, which differs between lanes and
        versions of Python: of an answer and its timeout that both waited for a paused host one would win here, the other
        there.
        """
        ready = self._ready
        waiting: deque[ReadyHandle | list[ReadyHandle]] | None = None
        if len(ready) > 1:
            waiting = deque(ready)
            ready.clear()
        outer_loop, outer_host = _get_running_loop(), current_host()
        _set_running_loop(self)
        set_running_host(self._host)
        budget = STEPS_PER_INSTANT_MAX
        # What is made ready during the drain must not schedule a second one.
        self._scheduled = True
        try:
            while True:
                while ready:
                    handle = ready.popleft()
                    callback = handle.callback
                    if callback is None:
                        continue
                    try:
                        handle.context.run(callback, *handle.args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:
                        self._callback_failed(handle, callback, error)
                    budget -= 1
                    if budget == 0:
                        raise StuckSimulationError(
                            f"host {self._host.name} ran {STEPS_PER_INSTANT_MAX} callbacks at virtual time "
                            f"{self._agenda.now:.6f} s without time passing; a loop there awaits nothing that takes time"
                        )
                if not waiting or ready is not self._ready:
                    break
                first = waiting.popleft()
                if type(first) is list:
                    ready.extend(first)
                elif type(first) is HostTimer and any(type(each) is HostTimer for each in waiting):
                    self._fire(first, waiting)
                else:
                    ready.append(first)  # type: ignore[arg-type]
        finally:
            for each in waiting or ():
                self._ready.extend(each if type(each) is list else (each,))  # type: ignore[arg-type]
            if ready is self._ready:  # else one of its own steps let it stand still or crash: it has no turn
                self._scheduled = False
            set_running_host(outer_host)
            _set_running_loop(outer_loop)

    def _fire(self, first: HostTimer, waiting: deque[ReadyHandle | list[ReadyHandle]]) -> None:
        """Run timers before anything that they wake, as asyncio does: the first, those due at the same instant, and those
        that waited with it and have nothing else in between. What each has woken then waits, before whatever else does."""
        ready = self._ready
        timers: deque[HostTimer] = deque((first,))
        others: list[ReadyHandle | list[ReadyHandle]] = []
        for each in waiting:
            if type(each) is HostTimer and (not others or _instant(each) <= _instant(timers[-1])):
                timers.append(each)
            else:
                others.append(each)
        waiting.clear()
        try:
            while timers and ready is self._ready:  # else the last one let the host stand still or crash
                timer = timers.popleft()
                callback = timer.callback
                if callback is None:
                    continue
                try:
                    timer.context.run(callback, *timer.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self._callback_failed(timer, callback, error)
                if ready:
                    waiting.append(list(ready))
                    ready.clear()
        finally:
            waiting.extend(timers)
            waiting.extend(others)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function as a step of this host, which its loop does not wait for."""
        outer_loop, outer_host = _get_running_loop(), current_host()
        _set_running_loop(self)
        set_running_host(self._host)
        try:
            return function()
        finally:
            set_running_host(outer_host)
            _set_running_loop(outer_loop)

    # Tasks and futures

    def create_future(self) -> Future[Any]:
        return Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> Task[T]:
        if self._closed:
            raise RuntimeError(f"the loop of host {self._host.name} is closed")
        if self._task_factory is not None:
            if context is not None:
                options["context"] = context
            made: Task[T] = self._task_factory(self, coro, **options)
            if name is not None:
                made.set_name(name)
            made.add_done_callback(self._note_end, context=context)
            return made
        if self.cancelled is None:
            task: Task[T] = Task(coro, loop=self, name=name, context=context, **options)
        else:
            task = CancellableTask(self.cancelled, coro, loop=self, name=name, context=context, **options)
        task.add_done_callback(self._note_end, context=context)
        self._tasks.append(weakref.ref(task))
        if len(self._tasks) > self._tasks_kept:
            self._tasks = [weakref.ref(each) for each in self.unfinished_tasks()]
            self._tasks_kept = 64 + 2 * len(self._tasks)
        return task

    def _note_end(self, task: Task[Any]) -> None:
        """The first callback of each task, in its context: whoever waits for it has not asked for its result yet."""
        if task._log_traceback:  # it has failed
            self._failed[id(task)] = FailedTask(weakref.ref(task), copy_context(), self._agenda.place())

    def unfinished_tasks(self) -> list[Task[Any]]:
        """In the order in which they were made."""
        tasks = (reference() for reference in self._tasks)
        return [task for task in tasks if task is not None and not task.done()]

    def set_task_factory(self, factory: Any) -> None:
        if factory is not None and not callable(factory):
            raise TypeError("task factory must be a callable or None")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        return self._task_factory

    def adopt_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """An asynchronous generator begins on this host."""
        if self._generators is None:
            self._generators = weakref.WeakSet()
        self._generators.add(generator)

    def finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """An asynchronous generator of this host was dropped before its end: close it in a task."""
        if self._generators is not None:
            self._generators.discard(generator)
        if not self._closed:
            self.create_task(generator.aclose())

    # Executor: a job runs inline, as one step of the host

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> Future[T]:  # type: ignore[override]
        if executor is None:
            self.refuse_without_executor()
        future: Future[T] = self.create_future()
        place = place_of_caller()

        def job() -> None:
            if future.cancelled():
                return
            try:
                with executor_job(place):
                    result = func(*args)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_soon(job)
        return future

    def refuse_without_executor(self) -> None:
        """
        Raises:
            RuntimeError: there is no default executor any more, as asyncio says it.
        """
        if not self._has_executor:
            raise RuntimeError("Executor shutdown has been called")

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is no executor to wait for; from now on it takes no jobs."""
        self._has_executor = False

    async def shutdown_asyncgens(self) -> None:
        for generator in list(self._generators or ()):
            try:
                await generator.aclose()
            except Exception as error:
                message = f"an error occurred during closing of asynchronous generator {generator!r}"
                self.call_exception_handler({"message": message, "exception": error, "asyncgen": generator})

    # Errors that no code has received

    def set_exception_handler(self, handler: Any) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell whoever listens to the kernel. Without a listener the error ends the run: it must not be lost."""
        if self._closing:
            return
        error = context.get("exception")
        message = str(context.get("message"))
        if self._agenda.unhandled is not None:
            known = self._reporting
            where, place = (copy_context(), self._agenda.place()) if known is None else known[1:]
            self._agenda.unhandled(Unhandled(self._host.name, source_of(context), message, error, where, place))
        elif isinstance(error, BaseException):
            self._agenda.fail(error)
        else:
            self._agenda.fail(RuntimeError(f"host {self._host.name}: {message}"))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's own: the handler that was set, or else the default one, and that one too if the first fails.

        The handler runs in the context of the task that failed. An error of the simulator's own never comes to it.
        """
        known = self._failed.pop(id(context.get("future")), None)
        if self._closing:
            return
        own = own_error_in(context.get("exception"))
        if own is not None:
            self._agenda.fail(own)
            return
        outer, self._reporting = self._reporting, known
        try:
            if self._exception_handler is None:
                self.default_exception_handler(context)
                return
            try:
                (copy_context() if known is None else known.context).run(self._exception_handler, self, context)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                message = "Unhandled error in exception handler"
                self.default_exception_handler({"message": message, "exception": error, "context": context})
        finally:
            self._reporting = outer

    def _callback_failed(self, handle: ReadyHandle, callback: Callable[..., object], error: BaseException) -> None:
        message = f"Exception in callback {callback!r}"
        self.call_exception_handler({"message": message, "exception": error, "handle": handle})

    def report_unretrieved(self) -> None:
        """Call the exception handler for each task that has failed, is still there, and was never asked."""
        for failed in list(self._failed.values()):
            task = failed.unretrieved
            if task is not None:
                task._log_traceback = False  # or it would tell once more when it is dropped
                message, error = "Task exception was never retrieved", task._exception
                self.call_exception_handler({"message": message, "exception": error, "future": task})
        self._failed.clear()

    # Faults of the host

    @property
    def paused(self) -> bool:
        """Whether nothing runs at present."""
        return self._pause is not None

    @property
    def crashed(self) -> bool:
        """Whether nothing will ever run again."""
        return False

    def pause(self, seconds: float) -> None:
        """Stand still from the end of the running step on."""
        agenda = self._agenda
        until = agenda.now + ticks(seconds)
        if self._closing:
            return
        if self._pause is None:
            self._stand_still()
        elif until <= self._paused_until:
            return
        else:
            self._pause.cancel()
        self._paused_until = until
        self._pause = agenda.at(until - agenda.now, self.resume)

    def resume(self) -> None:
        """Go on, if paused, with whatever became ready meanwhile, in the order in which it did."""
        if self._pause is None:
            return
        self._pause.cancel()
        self._pause = None
        self._go_on()

    def _go_on(self) -> None:
        if not self._blocked and self._pause is None:
            self._scheduled = bool(self._ready)
            if self._scheduled:
                self._schedule()

    def block(self) -> None:
        """The step that runs blocks its thread: until `unblock` nothing else runs, and what becomes ready waits."""
        self._blocked = True

    def unblock(self) -> None:
        """The turn whose step blocked has ended."""
        self._blocked = False
        self._go_on()

    def slow(self, delay: Callable[[], float] | None) -> None:
        """Let each turn come so many seconds after the host became ready; None: at once, also one that is waited for."""
        if delay is not None and not self._closing:
            self._schedule = partial(self._schedule_late, delay)
            return
        self._schedule = partial(heappush, self._agenda._turns, self._host.index)
        if self._late_turn is not None:
            self._drop_turn()
            self._schedule()

    def _schedule_late(self, delay: Callable[[], float]) -> None:
        self._late_turn = self._agenda.at(delay(), self._take_late_turn)

    def _take_late_turn(self) -> None:
        self._late_turn = None
        self._agenda.schedule_host(self._host)

    def _drop_turn(self) -> None:
        """Take back the turn that has been given to this host, if there is one."""
        self._agenda.unschedule_host(self._host)
        if self._late_turn is not None:
            self._late_turn.cancel()
            self._late_turn = None

    def _stand_still(self) -> None:
        """Run nothing, and let what becomes ready wait."""
        self._drop_turn()
        self._scheduled = True
        # A drain under way keeps the old deque, finds it empty, and ends.
        waiting = list(self._ready)
        self._ready.clear()
        self._ready = deque(waiting)

    def crash(self) -> None:
        """Be a `DeadLoop` from now on: of the running step, if there is one, the rest still runs, and nothing after it."""
        if self._closing:
            return
        # The new class is not seen by who holds a method of the old one.
        self._stand_still()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        crashed_work = CrashedWork()
        crashed_work.tasks.extend(dict.fromkeys((*self.unfinished_tasks(), *asyncio.all_tasks(self))))
        crashed_work.generators.extend(self._generators or ())
        crashed_work.callbacks.append(self._ready)
        crashed_work.callbacks.extend(self._agenda.take_timers(self))
        self._tasks.clear()
        self._crashed_work = crashed_work
        self.__class__ = DeadLoop

    # State

    def is_running(self) -> bool:
        return current_host() is self._host

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """Debug mode reads clocks and stacks; it stays off in a simulation."""

    def cancel_all(self) -> None:
        """Cancel every unfinished task of this host, which goes on at full speed if it stood still or was slow."""
        self._closing = True
        self.slow(None)
        self.resume()
        for task in self.unfinished_tasks():
            task.cancel()

    def close(self) -> None:
        """Drop what is ready; later calls do nothing.

        Raises:
            RuntimeError: code of the host calls it, as asyncio says it.
        """
        self._refuse_if_running("Cannot close a running event loop")
        self._closed = True
        self._closing = True
        # What would not be cancelled must not run when it is collected either: it may catch even that, and for ever.
        if unfinished := self.unfinished_tasks():
            refusing = CrashedWork()
            refusing.tasks.extend(unfinished)
            refusing.release()
        self._ready.clear()

    def stop(self) -> None:
        """End the run: whoever had started the loop in production would be back, and with it the process at its end."""
        caller = sys._getframe(1)  # this module's where a timer or a callback is the method itself
        place = "" if caller.f_globals is globals() else place_of_frame(caller)
        what = f"{place or 'the relay'} called loop.stop(), which ends the process of the relay"
        self._agenda.fail(EndsProcessError(f"{what}; let it raise an Exception instead"))

    def run_forever(self) -> None:
        self._refuse_if_running("This event loop is already running")
        raise RuntimeError("a host's loop is driven by its kernel: use Host.spawn and Kernel.run")

    def run_until_complete(self, future: Any) -> Any:
        self.run_forever()

    def _refuse_if_running(self, words: str) -> None:
        if self.is_running():
            raise RuntimeError(words)

    # Signals, which never come

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """Take a handler that nothing will ever call.

        Raises:
            TypeError: it is a coroutine, or a function that makes one.
            ValueError: there is no such signal.
        """
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._handled_signals.add(signal.Signals(sig))

    def remove_signal_handler(self, sig: int) -> bool:
        """Whether there was one."""
        known = sig in self._handled_signals
        self._handled_signals.discard(sig)
        return known

    # Ways out of the simulation: each raises LeavesSimulationError where it is called, but for what simulated sockets offer

    add_reader: Any = _refuse("add_reader")
    add_writer: Any = _refuse("add_writer")
    connect_accepted_socket: Any = _refuse("connect_accepted_socket")
    connect_read_pipe: Any = _refuse("connect_read_pipe")
    connect_write_pipe: Any = _refuse("connect_write_pipe")
    create_connection: Any = _refuse("create_connection")
    create_datagram_endpoint: Any = _refuse("create_datagram_endpoint")
    create_server: Any = _refuse("create_server")
    create_unix_connection: Any = _refuse("create_unix_connection")
    create_unix_server: Any = _refuse("create_unix_server")
    getaddrinfo: Any = _refuse("getaddrinfo")
    getnameinfo: Any = _refuse("getnameinfo")
    remove_reader: Any = _refuse("remove_reader")
    remove_writer: Any = _refuse("remove_writer")
    sendfile: Any = _refuse("sendfile")
    set_default_executor: Any = _refuse("set_default_executor")
    sock_accept: Any = _refuse("sock_accept")
    sock_connect: Any = _refuse("sock_connect")
    sock_recv: Any = _refuse("sock_recv")
    sock_recv_into: Any = _refuse("sock_recv_into")
    sock_recvfrom: Any = _refuse("sock_recvfrom")
    sock_recvfrom_into: Any = _refuse("sock_recvfrom_into")
    sock_sendall: Any = _refuse("sock_sendall")
    sock_sendfile: Any = _refuse("sock_sendfile")
    sock_sendto: Any = _refuse("sock_sendto")
    start_tls: Any = _refuse("start_tls")
    subprocess_exec: Any = _refuse("subprocess_exec")
    subprocess_shell: Any = _refuse("subprocess_shell")


class DeadLoop(HostLoop):
    """The loop of a host that has crashed: what it is given is kept until the world is closed, and never runs.

    A loop becomes one by `crash`, in the middle of a step perhaps; the rest of that step must not notice, so everything is
    accepted and returns what a living loop would return.
    """

    _crashed_work: CrashedWork

    @property
    def crashed(self) -> bool:
        """Whether nothing will ever run again."""
        return True

    def _keep(self, handle: T) -> T:
        if not self._closed:
            self._crashed_work.callbacks.append(handle)
        return handle

    def enqueue(self, handle: ReadyHandle) -> None:
        """Never make it ready."""
        self._keep(handle)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> ReadyHandle:
        return self._keep(ReadyHandle(callback, args, copy_context() if context is None else context))

    call_soon_threadsafe = call_soon

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> HostTimer:
        return self.call_at(self._agenda.now + max(delay, 0.0), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> HostTimer:
        return self._keep(HostTimer(callback, args, copy_context() if context is None else context, self, when))

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> Task[T]:
        if self._closed:
            raise RuntimeError(f"the loop of host {self._host.name} is closed")
        # Past the task factory: one for eager tasks would begin it.
        task: Task[T] = Task(coro, loop=self, name=name, context=context)
        self._crashed_work.tasks.append(task)
        return task

    def adopt_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Keep it: its end, if it has not come by the end of the step, never comes."""
        self._crashed_work.generators.append(generator)

    def finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Keep it instead of closing it."""
        self._crashed_work.generators.append(generator)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Whatever went wrong on a dead host, nobody hears of it."""

    default_exception_handler = call_exception_handler

    def pause(self, seconds: float) -> None:
        """It stands still already."""

    def resume(self) -> None:
        """Does nothing: a crashed host has nothing to resume."""

    unblock = resume

    def slow(self, delay: Callable[[], float] | None) -> None:
        """It has no turns."""

    def crash(self) -> None:
        """It has crashed."""

    def cancel_all(self) -> None:
        """Its tasks get no chance to clean up."""

    def close(self) -> None:
        """Release what is left, without a line of it running."""
        self._refuse_if_running("Cannot close a running event loop")
        self._closed = True
        self._crashed_work.release()
        self._ready.clear()


REFUSED_METHODS = tuple(name for name, value in vars(HostLoop).items() if hasattr(value, "refused"))
"""Loop methods that would leave the simulation."""
