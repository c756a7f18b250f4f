"""The simulated API in the process of a test, in virtual time: what the fixture `simulated_openai` is made of.

    with InProcessApi() as simulated:
        thread = simulated.client.beta.threads.create()          # plain code, with an openai.OpenAI
        simulated.run(ask, ask)                                  # coroutine functions, each with an openai.AsyncOpenAI

Coroutine functions run behind the fence, each as a worker of its own: they are concurrent as separate processes are. Plain
code runs where it is, in its own thread; whenever it waits (for an answer, in `time.sleep`) virtual time passes for
everything. Both kinds of client are the real SDK on the transport of the lane `sdk`, so latencies, faults, streams and
errors are those of a world; nothing is scheduled by the speed of a machine, and the same test sees the same ids and times.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from threading import get_ident
from types import CoroutineType, TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2
import openai

from relaysim.sim.doors.api_handle import ApiHandle
from relaysim.sim.doors.called_functions import arguments_taken, name_of
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.given_replies import GivenReplies
from relaysim.sim.doors.in_process_transport import PlainTransport, WorkersTransport
from relaysim.sim.doors.network import Network
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.doors.thread_clock import ThreadClock
from relaysim.sim.doors.transport import API_KEY, SimTransport, keyed_retry_jitter, openai_client, warm_up_once
from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Host, ticks

T = TypeVar("T")

LIMIT_SECONDS: Final = 21_600.0
"""How many virtual seconds `run` lets coroutines take unless told otherwise: six hours."""

CLEARING_SECONDS: Final = 60.0
"""How many virtual seconds coroutines have to end, once another one's exception has cancelled them."""

CoroutineFunction = Callable[..., Awaitable[Any]]


class InProcessApi(ApiHandle):
    """The simulated API, its clients and its clock, for the length of a `with` block. One at a time.

    Args:
        settings: what the API is like; by default the profile `typical`, echoed replies, and any assistant's id is known.
        replies: what assistants answer, if the settings cannot hold it, as of `reply_with`.

    Raises:
        FileNotFoundError, tomllib.TOMLDecodeError, pydantic.ValidationError: bad settings, as of `SimulatedApi`.
        RuntimeError: on entering, if another one is open.
    """

    def __init__(self, settings: ApiSettings | None = None, *, replies: GivenReplies | None = None) -> None:
        super().__init__()
        settings = ApiSettings(assistants="any") if settings is None else settings
        self._api = SimulatedApi(settings, float(EPOCH_SECONDS))
        self._api.on_error = self._api.kernel.fail
        self._kernel = self._api.kernel
        self._network = _SharedNetwork(self._api)
        self._fence = Fence()
        self._busy = False
        self._thread: int | None = None
        self._workers = 0
        self._unfinished_tasks: list[asyncio.Task[Any]] = []
        self._plain_host = self._kernel.host("test")  # where plain code's requests leave from
        self._client: openai.OpenAI | None = None
        self._async_client: openai.AsyncOpenAI | None = None
        self._stack = ExitStack()
        if replies is not None:
            self.reply_with(replies)

    def __enter__(self) -> Self:
        warm_up_once(self._api.backend.name)
        with ExitStack() as stack:
            stack.enter_context(self._fence)
            stack.enter_context(keyed_retry_jitter())
            stack.enter_context(ThreadClock(lambda: self._kernel.now, self.advance, lambda: self._busy))
            # Plain code draws from the real generator, whose state the fence puts back; seeded, its jitter is the same in
            # every run of the test.
            random.seed(f"relaysim/{self._api.settings.seed}")
            self._thread = get_ident()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._fence.attach(self._kernel)
            self._busy = True
            self._kernel.close()
        finally:
            self._busy = False
            self._fence.attach(None)
            self._thread = None
            self._stack.close()

    # Clients

    @property
    def client(self) -> openai.OpenAI:
        """For plain code. It lets virtual time pass until its answers are there."""
        if self._client is None:
            http_client = self.http_client()
            self._client = openai.OpenAI(api_key=API_KEY, base_url=self._api.backend.base_url, http_client=http_client)
        return self._client

    def http_client(self) -> httpx2.Client:
        """What plain code gives to a client that it makes itself, at whatever address, such as an `openai.AzureOpenAI`."""
        transport = PlainTransport(self._transport(self._plain_host), self._wait_for)
        return openai.DefaultHttpxClient(transport=transport, trust_env=False)

    def async_http_client(self) -> httpx2.AsyncClient:
        """The same for coroutines, as `async_client`."""
        return openai.DefaultAsyncHttpxClient(transport=WorkersTransport(self._transport), trust_env=False)

    @property
    def async_client(self) -> openai.AsyncOpenAI:
        """For coroutines that bring a client of their own: it works as whichever worker awaits it, inside `run`."""
        if self._async_client is None:
            self._async_client = openai_client(WorkersTransport(self._transport), self._api.backend.base_url)
        return self._async_client

    def _transport(self, host: Host) -> SimTransport:
        return SimTransport(host, self._network, self._api.wire)

    # Time

    def advance(self, seconds: float) -> float:
        """Let that many virtual seconds pass, with all that happens in them; returns the virtual instant then.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
            Exception: what code that runs in the meantime lets escape.
        """
        __tracebackhide__ = True
        with self._inside("advance"):
            self._kernel.advance_to(self._kernel.now + ticks(seconds))
        return self._kernel.now

    def run(self, *functions: CoroutineFunction | Coroutine[Any, Any, Any], until: float | None = None) -> list[Any]:
        """Run coroutine functions at the same time, each as a worker of its own, in virtual time.

        It returns at the instant at which the last one has returned. What they leave running (tasks, runs of assistants)
        goes on whenever virtual time passes.

        Args:
            functions: each is called with what `_made_for` makes for its worker, here an `openai.AsyncOpenAI` of its own,
                as far as it takes arguments.
                A coroutine will do as well.
            until: stop at this virtual instant at the latest (as `now` counts); those that have not returned by then go
                on whenever virtual time passes, and their result is None.

        Returns:
            What they returned, in the order in which they were given.

        Raises:
            Exception: the first exception that one of them raised, as soon as it did; the others are cancelled.
            LeavesSimulationError: one of them reached for the world outside (`time.sleep`, a socket, a thread).
            TimeoutError: without `until`, after six virtual hours, or when nothing is left that could wake them.
            TypeError: something else than a coroutine function was given.
        """
        __tracebackhide__ = True
        if until is not None and until < self._kernel.now:
            raise ValueError(
                f"until: {until!r} is over, it is {self._kernel.now!r}; give a virtual instant from now on"
            )
        self._check_outside("run")
        coroutines: list[Coroutine[Any, Any, Any]] = []
        tasks: list[asyncio.Task[Any]] = []
        try:
            for function in functions:
                host = self._new_worker()
                coroutines.append(self._coroutine(function, host))
                tasks.append(host.spawn(coroutines[-1]))
        except BaseException:
            for coroutine in coroutines:
                coroutine.close()
            for task in tasks:
                task.cancel()
            raise
        failed: list[asyncio.Task[Any]] = []

        def note(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or task.exception() is not None:
                failed.append(task)

        for task in tasks:
            task.add_done_callback(note)
        limit = self._kernel.now + LIMIT_SECONDS if until is None else until
        try:
            self._advance_until(
                lambda: bool(failed) or all(task.done() for task in tasks), limit, stay=until is not None
            )
        except BaseException:
            self._cancel(tasks)
            raise
        unfinished = [task for task in tasks if not task.done()]
        if failed:
            self._cancel(unfinished)
            failed[0].result()
        if unfinished and until is None:
            error = self._unfinished(unfinished)
            self._cancel(unfinished)
            raise error
        # Tasks that wait for each other only are garbage to Python; these have been promised to go on.
        self._unfinished_tasks = [task for task in (*self._unfinished_tasks, *unfinished) if not task.done()]
        return [task.result() if task.done() else None for task in tasks]

    def _new_worker(self) -> Host:
        self._workers += 1
        return self._kernel.host(f"worker-{self._workers}")

    def _made_for(self, host: Host) -> tuple[Callable[[], Any], ...]:
        """What makes the arguments of a worker's coroutine function, which may take the first of them only, or none."""
        return (lambda: openai_client(self._transport(host), self._api.backend.base_url),)

    def _coroutine(self, function: Any, host: Host) -> Coroutine[Any, Any, Any]:
        """What a worker runs."""
        if inspect.iscoroutine(function):
            return function
        if not callable(function):
            raise TypeError(f"run takes coroutine functions, not {function!r}")
        makers = self._made_for(host)
        made = function(*(make() for make in makers[: arguments_taken(function, len(makers))]))
        if inspect.iscoroutine(made):
            return made
        if inspect.isawaitable(made):
            return _await(made)
        raise TypeError(
            f"run takes coroutine functions; {name_of(function)} returned {made!r}. Call plain code as it is, with `client`"
        )

    def _cancel(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        self._advance_until(lambda: all(task.done() for task in tasks), self._kernel.now + CLEARING_SECONDS, quiet=True)

    def _unfinished(self, tasks: list[asyncio.Task[Any]]) -> TimeoutError:
        waiting = "; ".join(_where(task) for task in tasks)
        reason = "nothing is left that could wake them" if self._idle else "give `until` to stop earlier, or later"
        return TimeoutError(f"at virtual second {self._kernel.now:g} not all have returned, and {reason}: {waiting}")

    # Driving the kernel

    @property
    def _idle(self) -> bool:
        return self._kernel.env.peek() == math.inf

    def _check_outside(self, what: str) -> None:
        if self._thread is None:
            raise RuntimeError(
                f"{what}: the simulation is not open; use it inside its `with` block, or its fixture's test"
            )
        if get_ident() != self._thread:
            raise RuntimeError(
                f"{what}: the simulation belongs to the thread of its test, and this is another one. For concurrency give "
                "coroutine functions to `run`, or use the fixture `openai_server`, which takes requests from anywhere"
            )
        if self._busy:
            raise RuntimeError(
                f"{what}: plain code that waits cannot run inside `run` or a replier, where it would stop everything. "
                "There, use the client that the coroutine function is given, or `async_client`, and await"
            )

    @contextmanager
    def _inside(self, what: str) -> Iterator[None]:
        """While it is held, the world's code may run."""
        __tracebackhide__ = True
        self._check_outside(what)
        self._busy = True
        self._fence.attach(self._kernel)
        try:
            yield
        except BaseException:
            self._kernel.failures.clear()  # else it would be raised for ever
            raise
        finally:
            self._fence.attach(None)
            self._busy = False

    def _advance_until(
        self, done: Callable[[], bool], limit: float, *, stay: bool = False, quiet: bool = False
    ) -> None:
        """Let time pass, instant by instant, until `done`, until nothing is left to do, or until the instant `limit`.

        Args:
            done, limit: as above.
            stay: whether the clock goes on to `limit` if nothing is left to do.
            quiet: whether what the world lets escape is dropped.
        """
        __tracebackhide__ = True
        kernel = self._kernel
        instant = kernel.now
        while True:
            try:
                with self._inside("run"):
                    kernel.advance_to(instant)
            except Exception:
                if not quiet:
                    raise
            if done():
                return
            due = kernel.env.peek()
            if due <= limit and due < math.inf:
                instant = due
            elif (due == math.inf and not stay) or kernel.now >= limit:
                return
            else:
                instant = limit

    def _wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine for plain code, on a host of its own, until it has returned."""
        __tracebackhide__ = True
        try:
            self._check_outside("a request of the plain client")
        except BaseException:
            coroutine.close()
            raise
        context = copy_context()
        task = self._plain_host.spawn(coroutine, context=context)
        try:
            self._advance_until(task.done, math.inf)
        except BaseException:
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            raise TimeoutError(
                "this request would wait for ever: a fault keeps its answer back, and its client has no read timeout"
            )
        for variable, value in context.items():  # the SDK's jitter asks which attempt was the last
            if variable.get(None) is not value:
                variable.set(value)
        return task.result()

    def _apply(self, action: Callable[[SimulatedApi], T]) -> T:
        return action(self._api)

    def _add_fault(self, fault: ApiFault) -> None:
        self._api.change_faults(range(len(self._api.faults.faults)), (fault,))
        self._network.faults = self._api.faults

    def _clear_faults(self) -> None:
        self._api.set_faults(())
        self._network.faults = self._api.faults


class _SharedNetwork(Network):
    """A network with the latency and the faults of an API, which keeps its records where that API does."""

    def __init__(self, api: SimulatedApi) -> None:
        super().__init__(api.kernel, api.service, api.profile, others=api.others)
        self._latency = api.latency
        self._trace = api.trace.add
        self.faults = api.faults
        self._has_faults = True  # or will have


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _where(task: asyncio.Task[Any]) -> str:
    """A coroutine's name, and the line at which it waits."""
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    frame = coroutine.cr_frame if isinstance(coroutine, CoroutineType) else None
    return name if frame is None else f"{name} ({frame.f_code.co_filename}:{frame.f_lineno})"
