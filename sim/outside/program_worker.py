"""What webhooks and faults know as a worker: a copy of a program, or whatever answers at an address."""

from __future__ import annotations

import asyncio
import signal
from asyncio import Future
from collections.abc import Callable
from typing import Any, ClassVar, Final

from relaysim.sim.kernel import Host, Kernel
from relaysim.sim.outside.programs import TERM_SECONDS, Program
from relaysim.sim.providers import HttpRequest, HttpResponse
from relaysim.sim.trace.schema import HostStop
from relaysim.sim.world.applications import Application
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.target import Life, Target
from relaysim.sim.world.workers import Worker

Asking = Callable[[HttpRequest, float, "Future[HttpResponse]"], object]
"""Sends a request, waits for so many virtual seconds at most, and gives the future what came of it."""

_LOOK_SECONDS: Final = 0.1


class ProgramTarget(Application):
    """A program behind an address. What it promises its configuration declares."""

    factory_returns: ClassVar[str] = "a program behind an address"

    def __init__(self, life: Life, promises: Promises, address: str, ask: Asking) -> None:
        assert life.provider is not None
        self.address = address
        self._life = life
        self._service = life.provider
        self._promises = promises
        self._ask = ask

    @classmethod
    def drives(cls, made: Any) -> bool:
        """Nothing that a factory returns."""
        return False

    @property
    def promises(self) -> Promises:
        """As declared."""
        return self._promises

    async def respond(self, request: HttpRequest, patience_seconds: float) -> HttpResponse:
        """The program's response.

        Raises:
            ConnectionError: there was none.
            TimeoutError: none in time.
        """
        future: Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self._ask(request, patience_seconds, future)
        return await future


class ProgramWorker(Worker):
    """A worker whose lives are lives of a program.

    Args:
        kernel, number, start_target: as of `Worker`.
        program: the copy; None: it runs already, and nothing is done to it.
    """

    __slots__ = ("program",)

    def __init__(
        self, kernel: Kernel, number: int, start_target: Callable[[Host], Target], program: Program | None
    ) -> None:
        super().__init__(kernel, number, start_target)
        self.program = program

    def start(self) -> None:
        """Start the program, and let it take deliveries: those that come before it listens fail, as in production.

        Raises:
            ProgramStartError: there is no such command.
        """
        if self.program is not None:
            self.program.start()
        super().start()

    def crash(self) -> None:
        """SIGKILL."""
        if self.program is not None:
            self.program.kill()
        super().crash()

    def pause(self, seconds: float) -> None:
        """SIGSTOP: whoever calls it is heard by the operating system, and by nobody else until it goes on."""
        if self.program is not None:
            self.program.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self.program is not None:
            self.program.signal(signal.SIGCONT)

    def stop(self, ended: Callable[[], object]) -> None:
        """SIGTERM, and SIGKILL for what is left after `TERM_SECONDS`."""
        self._kernel.trace.add(self.name, HostStop())
        self.alive = False
        program = self.program
        if program is None:
            self._kernel.at(0.0, ended)
            return
        program.signal(signal.SIGTERM)
        until = self._kernel.now + TERM_SECONDS

        def look() -> None:
            if program.is_running and self._kernel.now < until:
                self._kernel.at(_LOOK_SECONDS, look)
            else:
                program.kill()
                ended()

        look()
