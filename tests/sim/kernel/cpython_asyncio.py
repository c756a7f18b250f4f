"""`python tests/sim/kernel/cpython_asyncio.py MODULE`: runs a module of CPython's own asyncio tests on the kernel's loop.

MODULE is one of `test.test_asyncio`, e.g. `test_locks`. Each loop that a test makes is that of a host in a world of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import unittest
from typing import Any

from relaysim.sim.kernel import Kernel
from relaysim.sim.kernel.loop import HostLoop

MODULES = ("test_locks", "test_queues", "test_futures", "test_timeouts", "test_taskgroups", "test_runners")


class DrivenLoop(HostLoop):
    """A host's loop that also runs when it is told to, as tests and `asyncio.Runner` do."""

    made = 0

    def __init__(self) -> None:
        self._kernel = Kernel()
        host = self._kernel.host("test")
        super().__init__(host, self._kernel)
        host.loop = self
        self._stopping = False
        self._debug = asyncio.coroutines._is_debug_mode()
        self._current_handle = None
        self.shutdown_ag_run = False  # what the tests of runners look at
        type(self).made += 1

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        asyncio.BaseEventLoop.default_exception_handler(self, context)  # type: ignore[arg-type]  # logs

    async def shutdown_asyncgens(self) -> None:
        self.shutdown_ag_run = True
        await super().shutdown_asyncgens()

    def run_forever(self) -> None:
        self._stopping = False
        while not self._stopping:
            at = self._kernel.env.peek() if not self._kernel._turns else self._kernel.now
            if at == float("inf"):
                raise RuntimeError("nothing is left to do, and nobody has stopped the loop")
            self._kernel.run(until=at)

    def stop(self) -> None:
        self._stopping = True

    def run_until_complete(self, future: Any) -> Any:
        made_here = not asyncio.isfuture(future)
        future = asyncio.ensure_future(future, loop=self)
        if made_here:
            future._log_destroy_pending = False

        def stop(_: object) -> None:
            self.stop()

        future.add_done_callback(stop)
        try:
            self.run_forever()
        finally:
            future.remove_done_callback(stop)
        return future.result()


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops."""

    def new_event_loop(self) -> DrivenLoop:
        return DrivenLoop()


LEFT_OUT = {"test_interrupt_call_soon": "its task never lets time pass, so the timer that interrupts it is never due"}


def new_loop(self: Any, *args: Any) -> DrivenLoop:
    loop = DrivenLoop()
    self.addCleanup(loop.close)
    return loop


def main(name: str) -> int:
    module = importlib.import_module(f"test.test_asyncio.{name}")
    for case, method in (("TestCase", "new_test_loop"), ("BaseTest", "new_loop")):
        # These make loops of their own kind: stand-ins whose time a test moves, or ones without a selector.
        if hasattr(getattr(module, case, None), method):
            setattr(getattr(module, case), method, new_loop)
    from test.test_asyncio import utils

    utils.TestCase.new_test_loop = new_loop
    asyncio.set_event_loop_policy(Policy())
    for case in filter(lambda each: isinstance(each, type), list(vars(module).values())):
        for left_out in LEFT_OUT.keys() & vars(case).keys():
            delattr(case, left_out)
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(module))
    print(f"{result.testsRun} tests, {DrivenLoop.made} loops of the kernel's")
    return 0 if result.wasSuccessful() and result.testsRun and DrivenLoop.made else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
