"""`python tests/sim/threads/cpython_threads.py MODULE`: CPython's own tests of blocking primitives, in simulated threads.

Each test method runs as a thread of a simulated process in a world of its own.
"""

from __future__ import annotations

import importlib
import sys
import unittest
from typing import Any, Final

from simulated_process import _running, processes

from relaysim.sim.kernel import Fence, LeavesSimulationError
from relaysim.sim.threads import install

MODULES: Final = {
    "test_queue": (
        "PyQueueTest",
        "CQueueTest",
        "PyLifoQueueTest",
        "CLifoQueueTest",
        "PyPriorityQueueTest",
        "CPriorityQueueTest",
        "PySimpleQueueTest",
        "PyFailingQueueTest",
        "CFailingQueueTest",
    ),
    "test_threading": (
        "LockTests",
        "PyRLockTests",
        "CRLockTests",
        "ConfigurableCRLockTests",
        "EventTests",
        "ConditionAsRLockTests",
        "ConditionTests",
        "SemaphoreTests",
        "BoundedSemaphoreTests",
        "BarrierTests",
        "TimerTests",
        "ThreadTests",
        "ThreadingExceptionTests",
        "ThreadRunFail",
        "ExceptHookTests",
    ),
    "test_threading_local": ("ThreadLocalTest", "PyThreadingLocalTest"),
    "test_thread": ("ThreadRunningTests", "BarrierTest", "LockTests"),
    "test_concurrent_futures.test_thread_pool": None,  # of Python 3.13
    "test_sched": None,
}
LEFT_OUT: Final = {
    "test__count": "counts the threads of the real process",
    "test_unraisable_exception": "what ends a thread is recorded instead of printed",
    "test_excepthook": "what ends a thread is recorded instead of printed",
    "test_excepthook_thread_None": "what ends a thread is recorded instead of printed",
    "test_lock_no_subclass": "a lock of a worker is an object of Python code",
    "test_foreign_thread": "a thread that `threading` has not started stays in its table until its process ends",
    "test_disallow_instantiation": "a lock of a worker is an object of Python code",
    "test_main_thread": "runs in a thread that is not the main one",
    "test_PyThreadState_SetAsyncExc": "raises an exception in a thread from C",
}


class Simulated(unittest.TestSuite):
    """Runs each test in a simulated thread."""

    ran = 0

    def run(self, result: unittest.TestResult, debug: bool = False) -> unittest.TestResult:
        for test in self:
            Simulated.ran += 1
            with processes() as (process,):
                results = process.start(test.run, result)
                try:
                    process.kernel.run(until=10_000.0)
                except LeavesSimulationError as error:
                    result.addSkip(test, str(error))
                    continue
                if not results:
                    result.addFailure(test, _stuck())  # type: ignore[arg-type]
        return result


class Result(unittest.TextTestResult):
    """A test that starts a process of its own is left out."""

    def addError(self, test: Any, err: Any) -> None:
        if isinstance(err[1], LeavesSimulationError):
            self.addSkip(test, str(err[1]))
        else:
            super().addError(test, err)


def _stuck() -> Any:
    try:
        raise AssertionError("still waiting when nothing was left to do")
    except AssertionError:
        return sys.exc_info()


def main(name: str, *only: str) -> int:
    with Fence():
        undo = install(_running)
        try:
            module = importlib.import_module(f"test.{name}")
            loader = unittest.defaultTestLoader
            suite = Simulated()
            for case in sorted(
                (each for each in vars(module).values() if isinstance(each, type)), key=lambda each: each.__name__
            ):
                wanted = MODULES.get(name)
                if not issubclass(case, unittest.TestCase) or (wanted is not None and case.__name__ not in wanted):
                    continue
                for left_out in LEFT_OUT.keys() & set(dir(case)):
                    setattr(case, left_out, None)
                for test in loader.loadTestsFromTestCase(case):
                    if not only or test._testMethodName in only:
                        suite.addTest(test)
            result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(suite)
        finally:
            undo()
    print(f"{result.testsRun} tests, {Simulated.ran} simulated")
    return 0 if result.wasSuccessful() and result.testsRun and Simulated.ran else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
