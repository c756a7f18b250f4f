"""One worker: a process that runs the relay under test, and that may die and be started again under its name."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from relaysim.sim.doors import NotInDirectLaneError
from relaysim.sim.kernel import Host, Kernel, current_context
from relaysim.sim.trace.schema import HostCrash, HostRestart, LogLine


class Worker:
    """One worker process: its host, and the relay that runs on it. Begins with `start`.

    Args:
        kernel: the world's.
        number: counting from 1; its name is `w` and this number.
        make_relay: builds the relay on a host, with clients of its own.

    Attributes:
        name: what the trace and the draws call it, also after it has died and started again.
        number: as given.
        host: the host of its present or last life.
        relay: the relay of that life.
        alive: whether it runs; a paused one does.
        serves: whether that relay has a `serve`, which then runs from the start.
        starts: how many lives it has had.
        paused_until: the end of a running pause (virtual seconds), None if it is not paused.
        delayed_by: what it waits for at present before each thing it does, None for nothing.
    """

    __slots__ = (
        "_kernel",
        "_make_relay",
        "alive",
        "delayed_by",
        "host",
        "name",
        "number",
        "paused_until",
        "relay",
        "serves",
        "starts",
    )

    host: Host
    relay: Any

    def __init__(self, kernel: Kernel, number: int, make_relay: Callable[[Host], Any]) -> None:
        self._kernel = kernel
        self._make_relay = make_relay
        self.number = number
        self.name = f"w{number}"
        self.alive = False
        self.serves = False
        self.starts = 0
        self.paused_until: float | None = None
        self.delayed_by: Callable[[], float] | None = None

    def start(self) -> None:
        """Build the relay on a new host, and let it serve if it has a `serve`."""
        if self.starts:
            self._kernel.trace.add(self.name, HostRestart())
        self.starts += 1
        self.alive = True
        self.host = self._kernel.host(self.name)
        self.relay = self._make_relay(self.host)
        self.serves = callable(getattr(self.relay, "serve", None))
        if self.serves:
            context = copy_context()
            context.run(current_context.set, "")
            self.host.spawn(self._serve(self.relay), context=context)

    @property
    def crashed(self) -> bool:
        """Whether the power has been cut, in this life or an earlier one."""
        return self.starts > 1 or self.host.crashed

    def crash(self) -> None:
        """End it as a power cut does."""
        self._kernel.trace.add(self.name, HostCrash())
        self.alive = False
        self.host.crash()

    async def _serve(self, relay: Any) -> None:
        try:
            await relay.serve()
        except NotInDirectLaneError as error:
            # Not the relay's mistake: it must not be judged in a lane that lacks what it calls.
            self._kernel.fail(error)
        except Exception as error:
            # The process lives on without it; what becomes of its messages is judged like anything else.
            said = f"serve raised {type(error).__name__}: {error}"
            self._kernel.trace.add(self.name, LogLine(delivery="", level="ERROR", text=said))
