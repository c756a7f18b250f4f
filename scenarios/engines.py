"""Where pieces of a long run are computed: in processes of this machine, or by the workers of a Dask cluster.

An engine calls one function with many argument tuples and yields what the calls return. Both go through joblib; what they
share is that the calls are handed out a few at a time, that what they raise is raised here, and that a worker which dies is
`LostWorkerError` or does not show. On a cluster the workers must run the very code that this process runs, else their
counts would be another program's: `ClusterEngine` asks each of them before it hands out anything.

Longer than 400 lines because both engines share how calls are handed out and how a lost worker is noticed.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Protocol, Self, TypeVar

from relaysim.scenarios.crash_notes import offer_folder, read_crash_notes

Result = TypeVar("Result")

_PRE_DISPATCH = "3 * n_jobs"
_NOISY = ("distributed.client", "distributed.comm.tcp")
"""The loggers of Dask that complain when we take leave."""


class LostWorkerError(RuntimeError):
    """A worker process died, killed from outside or for want of memory."""


class ClusterError(RuntimeError):
    """A cluster that cannot be used; the message says why, and names the worker if it is one of them."""


class SchedulerLostError(ClusterError):
    """The scheduler of a cluster that was in use cannot be reached any more."""


class Engine(Protocol):
    """What runs calls elsewhere. `jobs` is how many at once, as far as that is known beforehand."""

    @property
    def jobs(self) -> int: ...

    @property
    def parent(self) -> int:
        """What calls are told of who asked for them: this process, or 0 for one of another machine."""
        ...

    def run(
        self, function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], *, ordered: bool = True
    ) -> Generator[Result, None, None]: ...


class LocalEngine:
    """Processes of this machine, which stay for the next run."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    @property
    def parent(self) -> int:
        """This process."""
        return os.getpid()

    def run(
        self, function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """Call the function with each of the tuples, and yield the results, in their order or as they come.

        Raises:
            LostWorkerError: if a process dies. The next run has new ones.
            KeyboardInterrupt: if interrupted; the processes are then ended at once.
        """
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        offer_folder()
        call = delayed(function)
        parallel = Parallel(
            n_jobs=self.jobs,
            backend="loky",
            return_as="generator" if ordered else "generator_unordered",
            batch_size=1,
            pre_dispatch=_PRE_DISPATCH,
        )
        try:
            with _quiet_interrupts():
                with _interrupts_ignored():
                    # This starts the processes, which are then never interrupted themselves: this one ends them.
                    results = parallel(call(*each) for each in calls)
                yield from results
        except TerminatedWorkerError as error:
            raise LostWorkerError(f"a worker process died{read_crash_notes()}") from error
        except BaseException:
            _end_workers()
            raise


@contextmanager
def _quiet_interrupts() -> Iterator[None]:
    """After an interrupt loky's own thread may find its queues gone, and would print a traceback about it."""
    own_version = threading.current_thread() is threading.main_thread()
    if not own_version or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    interrupted = False
    usual_hook = threading.excepthook

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not interrupted:
            usual_hook(arguments)

    signal.signal(signal.SIGINT, interrupt)
    threading.excepthook = hook
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not interrupted:
            threading.excepthook = usual_hook


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore interrupts for a moment: processes that are started in it go on ignoring them.

    loky's tracker, also started here, cleans up what processes that were ended left behind; it need not warn of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual, warned = signal.signal(signal.SIGINT, signal.SIG_IGN), os.environ.get("PYTHONWARNINGS")
    quiet = "ignore::UserWarning:joblib.externals.loky.backend.resource_tracker"
    os.environ["PYTHONWARNINGS"] = f"{warned},{quiet}" if warned else quiet
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        del os.environ["PYTHONWARNINGS"]
        if warned is not None:
            os.environ["PYTHONWARNINGS"] = warned


def _end_workers() -> None:
    from joblib.externals.loky import reusable_executor

    # Not `get_reusable_executor`, which would start new processes where joblib has ended the old ones already.
    executor = reusable_executor._executor
    if executor is not None:
        executor.shutdown(wait=False, kill_workers=True)


class ClusterEngine:
    """The workers of a Dask cluster. A context manager, which connects and takes leave.

    A worker that dies is Dask's to replace: what it had is computed again by the others.
    """

    def __init__(
        self, address: str, check: Callable[..., Any], given: tuple[Any, ...] = (), *, connect_seconds: float = 10.0
    ) -> None:
        """
        Args:
            address: of the scheduler, e.g. `tcp://10.0.0.5:8786`.
            check: called here and by every worker, with what is `given`; each must give the same.
            given: the arguments of that call.
            connect_seconds: how long to wait for the scheduler.
        """
        self.address, self._check, self._given = address, check, given
        self._connect_seconds = connect_seconds
        self._client: Any = None  # a distributed.Client, which has no types
        self._jobs = 1
        self._noise = _Noise()

    def __enter__(self) -> Self:
        """Connect, and compare the workers' code with own_version.

        Raises:
            ClusterError: if there is no such scheduler, it has no workers, or one of them has other code.
        """
        try:
            import distributed
        except ImportError as error:
            raise ClusterError(
                "--engine dask: the package `distributed` is not there; install relaysim[cluster]"
            ) from error
        self._check_address()
        for logger in _NOISY:
            logging.getLogger(logger).addFilter(self._noise)
        try:
            # Asked first by something smaller: a client that comes to nothing waits, and complains when it is collected.
            asyncio.run(self._ask())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions; the check that matters is our own
                connect: Any = distributed.Client
                self._client = connect(self.address, timeout=self._connect_seconds, set_as_default=False)
            versions = self._client.run(self._check, *self._given, on_error="return")
        except (OSError, ValueError, TypeError) as error:
            self._leave()
            raise ClusterError(
                f"--scheduler {self.address}: no Dask scheduler answers there ({_first_line(error)}); "
                "start one with `dask scheduler`"
            ) from error
        except BaseException:
            self._leave()
            raise
        try:
            self._compare(versions)
        except BaseException:
            self._leave()
            raise
        return self

    def _check_address(self) -> None:
        """Raise ClusterError if nothing could ever answer at such an address."""
        from distributed.comm.addressing import get_address_host_port
        from distributed.security import Security

        example = "write tcp://HOST:PORT as the scheduler says where it listens, e.g. tcp://10.0.0.5:8786"
        scheme, colon, _ = self.address.partition("://")
        try:
            host, port = get_address_host_port(self.address)
        except (ValueError, TypeError) as error:
            raise ClusterError(
                f"--scheduler {self.address}: is no address of a scheduler ({_first_line(error)}); {example}"
            ) from error
        if not host or any(sign.isspace() or sign == "/" for sign in host) or not 0 < port < 65536:
            raise ClusterError(f"--scheduler {self.address}: is no address of a scheduler; {example}")
        security: Any = Security
        if colon and scheme in ("tls", "wss") and security().get_connection_args("client").get("ssl_context") is None:
            raise ClusterError(
                f"--scheduler {self.address}: needs certificates, and Dask's configuration names none; set "
                "distributed.comm.tls there"
            )

    async def _ask(self) -> None:
        """Raise OSError if no scheduler answers in time."""
        from distributed.comm.core import connect
        from distributed.security import Security

        security: Any = Security
        open_it: Any = connect

        async def ask() -> None:
            comm = await open_it(
                self.address, timeout=self._connect_seconds, **security().get_connection_args("client")
            )
            try:
                await comm.write({"op": "identity", "reply": True})
                identity = await comm.read()
            finally:
                comm.abort()
            kind = identity.get("type") if isinstance(identity, dict) else None
            if kind != "Scheduler":
                raise OSError(f"it is a {kind}" if isinstance(kind, str) else "it is something else")

        try:
            await asyncio.wait_for(ask(), self._connect_seconds + 1)
        except TimeoutError as error:
            raise OSError(f"nothing came within {self._connect_seconds:g} s") from error

    def _leave(self) -> None:
        self._noise.leaving = True
        client, self._client = self._client, None
        try:
            if client is not None:
                client.close()
        except (OSError, RuntimeError):
            client.status = "closed"  # there is nobody to take leave of; it must not try again when it is collected
        finally:
            gc.collect()  # connections of calls that were broken off complain when they are collected
            for logger in _NOISY:
                logging.getLogger(logger).removeFilter(self._noise)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def _compare(self, versions: dict[str, Any]) -> None:
        if not versions:
            raise ClusterError(
                f"--scheduler {self.address}: the scheduler has no workers; start some with "
                f"`dask worker {self.address} --nthreads 1`"
            )
        own_version = self._check(*self._given)
        for worker in sorted(versions):
            worker_version = versions[worker]
            if isinstance(worker_version, BaseException):
                raise ClusterError(
                    f"worker {worker} cannot run this: {_first_line(worker_version)}; install the same code there"
                )
            if worker_version != own_version:
                raise ClusterError(
                    f"worker {worker} runs other code than this process: {worker_version}, not {own_version}; "
                    "install the same there and start it again"
                )

    @property
    def jobs(self) -> int:
        """The threads of all workers now, or when the scheduler was last there."""
        assert self._client is not None, "used as a context manager"
        if self._client.status == "running":
            with suppress(OSError, RuntimeError):
                self._jobs = max(1, sum(map(int, self._client.ncores().values())))
        return self._jobs

    @property
    def parent(self) -> int:
        """No process of the workers' machines."""
        return 0

    def run(
        self, function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """As `LocalEngine.run`, on the workers.

        Raises:
            LostWorkerError: if a call has ended one worker after another, or the scheduler was started anew.
            SchedulerLostError: if the scheduler is gone.
        """
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker
        from joblib import Parallel, delayed, parallel_config

        call = delayed(function)
        results: Any = None
        self._noise.leaving = False
        self._wait_for_scheduler()
        try:
            with parallel_config(backend=_backend(self)):
                parallel = Parallel(
                    n_jobs=-1,
                    return_as="generator" if ordered else "generator_unordered",
                    batch_size=1,
                    pre_dispatch=_PRE_DISPATCH,
                )
                results = parallel(call(*each) for each in calls)
            for result in results:  # noqa: UP028 - `yield from` would close `results` before `finally` does
                yield result
        except KilledWorker as error:
            raise LostWorkerError(f"workers of the cluster died one after another: {_first_line(error)}") from error
        except FutureCancelledError as error:
            self._wait_for_scheduler()
            raise LostWorkerError(f"the scheduler at {self.address} was started anew") from error
        finally:
            if results is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of calls whose results nobody wants
                    results.close()

    def _wait_for_scheduler(self) -> None:
        """Return when the client is connected, perhaps again.

        Raises:
            SchedulerLostError: if it is not, in the time to connect.
        """
        until = time.monotonic() + self._connect_seconds
        while (status := self._client.status) != "closed" and time.monotonic() < until:
            if status == "running":
                return
            threading.Event().wait(0.1)
        raise SchedulerLostError(f"the scheduler at {self.address} cannot be reached any more")


class _Noise(logging.Filter):
    """Keeps from Dask's log what is told in other words, and what is of no interest when we take leave."""

    leaving = False

    def filter(self, record: logging.LogRecord) -> bool:
        message = str(record.msg)
        lost = message.startswith("Failed to reconnect to scheduler")
        return not lost and not (self.leaving and message.startswith(("Couldn't gather", "Closing dangling stream")))


def _backend(engine: ClusterEngine) -> Any:
    from distributed.client import FutureCancelledError, as_completed
    from joblib._dask import DaskDistributedBackend

    client, noise = engine._client, engine._noise
    completed: Any = as_completed

    class Completed(completed):  # type: ignore[misc]
        """Of a result that was on its way when the connection went, Dask's own never tells, and logs a traceback."""

        async def _track_future(self, future: Any) -> None:
            try:
                await super()._track_future(future)
            except (OSError, RuntimeError):
                if noise.leaving:
                    return
                with self.lock:
                    if self.futures.pop(future, None):
                        self.queue.put_nowait((future, FutureCancelledError(future.key, "scheduler-connection-lost")))
                async with self.condition:
                    self.condition.notify()

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(client=client)
            self.waiting_futures = Completed([], loop=client.loop, with_results=True, raise_errors=False)

        def effective_n_jobs(self, n_jobs: int) -> int:
            """joblib runs what has a single worker here, in this process; it must go to the cluster."""
            return max(2, engine.jobs)

        def abort_everything(self, ensure_ready: bool = True) -> None:
            noise.leaving = True
            super().abort_everything(ensure_ready)

    return Backend()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
