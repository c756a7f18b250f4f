"""Where pieces of a long run are computed: in processes of this machine, or by the workers of a Dask cluster.

An engine calls one function with many argument tuples and yields what the calls return. Both go through joblib; what they
share is that the calls are handed out a few at a time, that what they raise is raised here, and that a worker which dies is
`LostWorkerError` or does not show. On a cluster the workers must run the very code that this process runs, else their
counts would be another program's: `ClusterEngine` asks each of them before it hands out anything.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Protocol, Self, TypeVar

Result = TypeVar("Result")

_PRE_DISPATCH = "3 * n_jobs"


class LostWorkerError(RuntimeError):
    """A worker process died, killed from outside or for want of memory."""


class ClusterError(RuntimeError):
    """A cluster that cannot be used; the message says why, and names the worker if it is one of them."""


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
            raise LostWorkerError("a worker process died: killed, or out of memory; try fewer --jobs") from error
        except BaseException:
            _end_workers()
            raise


@contextmanager
def _quiet_interrupts() -> Iterator[None]:
    """After an interrupt loky's own thread may find its queues gone, and would print a traceback about it."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
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

    def __enter__(self) -> Self:
        """Connect, and compare the workers' code with ours.

        Raises:
            ClusterError: if there is no such scheduler, it has no workers, or one of them has other code.
        """
        try:
            import distributed
        except ImportError as error:
            raise ClusterError(
                "--engine dask: the package `distributed` is not there; install relaysim[cluster]"
            ) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions; the check that matters is our own
                connect: Any = distributed.Client
                self._client = connect(self.address, timeout=self._connect_seconds, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"--scheduler {self.address}: no Dask scheduler answers there ({_first_line(error)}); "
                "start one with `dask scheduler`"
            ) from error
        try:
            self._compare(self._client.run(self._check, *self._given, on_error="return"))
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _compare(self, told: dict[str, Any]) -> None:
        if not told:
            raise ClusterError(
                f"--scheduler {self.address}: the scheduler has no workers; start some with "
                f"`dask worker {self.address} --nthreads 1`"
            )
        ours = self._check(*self._given)
        for worker in sorted(told):
            theirs = told[worker]
            if isinstance(theirs, BaseException):
                raise ClusterError(
                    f"worker {worker} cannot run this: {_first_line(theirs)}; install the same code there"
                )
            if theirs != ours:
                raise ClusterError(
                    f"worker {worker} runs other code than this process: {theirs}, not {ours}; install the same there "
                    "and start it again"
                )

    @property
    def jobs(self) -> int:
        """The threads of all workers now."""
        assert self._client is not None, "used as a context manager"
        return max(1, sum(map(int, self._client.ncores().values())))

    @property
    def parent(self) -> int:
        """No process of the workers' machines."""
        return 0

    def run(
        self, function: Callable[..., Result], calls: Iterable[tuple[Any, ...]], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """As `LocalEngine.run`, on the workers.

        Raises:
            LostWorkerError: if a call has ended one worker after another, or the scheduler is gone.
        """
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker
        from joblib import Parallel, delayed, parallel_config
        from joblib._dask import DaskDistributedBackend

        class AtLeastTwo(DaskDistributedBackend):  # type: ignore[misc]
            """joblib runs what has a single worker here, in this process; it must go to the cluster."""

            def effective_n_jobs(self, n_jobs: int) -> int:
                jobs: int = super().effective_n_jobs(n_jobs)
                return max(2, jobs)

        call = delayed(function)
        try:
            with parallel_config(backend=AtLeastTwo(client=self._client)):
                parallel = Parallel(
                    n_jobs=-1,
                    return_as="generator" if ordered else "generator_unordered",
                    batch_size=1,
                    pre_dispatch=_PRE_DISPATCH,
                )
                results = parallel(call(*each) for each in calls)
            yield from results
        except KilledWorker as error:
            raise LostWorkerError(f"workers of the cluster died one after another: {_first_line(error)}") from error
        except FutureCancelledError as error:
            raise LostWorkerError(f"the scheduler at {self.address} is gone") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
