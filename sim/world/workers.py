"""One worker: a process that runs a target, and that may die and be started again under its name."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context

from relaysim.sim.kernel import Host, Kernel, SimulatorError, current_context, error_text
from relaysim.sim.trace.schema import HostCrash, HostRestart, HostStop, LogLine
from relaysim.sim.world.target import Target
from relaysim.sim.world.unhandled_records import serve_raised


class Worker:
    """One worker process: its host, and the target that lives on it. Begins with `start`.

    Args:
        kernel: the world's.
        number: counting from 1; its name is `w` and this number.
        start_target: begins a life of the target on a host, with clients of its own.

    Attributes:
        name: what the trace and the draws call it, also after it has died and started again.
        number: as given.
        host: the host of its present or last life.
        target: the target in that life.
        alive: whether it runs; a paused one does.
        starts: how many lives it has had.
        paused_until: the end of a running pause (virtual seconds), None if it is not paused.
        delayed_by: what it waits for at present before each thing it does, None for nothing.
    """

    __slots__ = (
        "_kernel",
        "_start_target",
        "alive",
        "delayed_by",
        "host",
        "name",
        "number",
        "paused_until",
        "starts",
        "target",
    )

    host: Host
    target: Target

    def __init__(self, kernel: Kernel, number: int, start_target: Callable[[Host], Target]) -> None:
        self._kernel = kernel
        self._start_target = start_target
        self.number = number
        self.name = f"w{number}"
        self.alive = False
        self.starts = 0
        self.paused_until: float | None = None
        self.delayed_by: Callable[[], float] | None = None

    def start(self) -> None:
        """Begin a life on a new host, and let the target serve if it does; returns once its code has been loaded."""
        if self.starts:
            self._kernel.trace.add(self.name, HostRestart())
        self.starts += 1
        self.host = self._kernel.host(self.name)
        self.target = self._start_target(self.host)  # which may take virtual time; until then it takes no deliveries
        self.alive = True
        if self.target.serves:
            context = copy_context()
            context.run(current_context.set, "")
            self.host.spawn(self._serve(self.target), context=context)

    @property
    def crashed(self) -> bool:
        """Whether the power has been cut, in this life or an earlier one."""
        return self.starts > 1 or self.host.crashed

    def crash(self) -> None:
        """End it as a power cut does."""
        self._kernel.trace.add(self.name, HostCrash())
        self.alive = False
        self.host.crash()

    def pause(self, seconds: float) -> None:
        """Let nothing of it run for so many virtual seconds, or until the end of a pause that lasts longer."""
        self.host.pause(seconds)

    def resume(self) -> None:
        """Its last pause has ended."""

    def stop(self, ended: Callable[[], object]) -> None:
        """Tell it to end, and let it: it gets no deliveries any more. `ended` is called once its target has closed."""
        self._kernel.trace.add(self.name, HostStop())
        self.alive = False
        context = copy_context()
        context.run(current_context.set, "")
        self.host.spawn(self._close(self.target, ended), context=context)

    async def _close(self, target: Target, ended: Callable[[], object]) -> None:
        close = getattr(target, "close", None)
        try:
            if close is not None:
                await close()
        except SimulatorError as error:
            self._kernel.fail(error)
        except Exception as error:
            text = f"closing it raised {type(error).__name__}: {error_text(error)}"
            self._kernel.trace.add(self.name, LogLine(delivery="", level="ERROR", text=text))
        self._kernel.at(0.0, ended)

    async def _serve(self, target: Target) -> None:
        try:
            await target.serve()
        except SimulatorError as error:
            # Not the relay's mistake: it must not be judged where it cannot run as it does in production.
            self._kernel.fail(error)
        except BaseException as error:
            if self._kernel.trace.closed or isinstance(error, SystemExit | KeyboardInterrupt):
                raise
            # The process lives on without it; what becomes of its messages is judged like anything else.
            text = f"serve raised {type(error).__name__}: {error_text(error)}"
            self._kernel.trace.add(self.name, LogLine(delivery="", level="ERROR", text=text))
            self._kernel.trace.add(self.name, serve_raised(error))
