"""What all tests share: what is loaded is looked through once, and what is installed around worlds is, once a module."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
import warnings
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from _pytest import timing
from hypothesis import settings

_WITH_WORLDS = tuple(
    f"tests/{room}/"
    for room in (
        "bots",
        "docs",
        "gates",
        "relay/store",
        "reports",
        "scenarios",
        "sim/backends",
        "sim/doors",
        "sim/redis",
        "sim/world",
    )
)
"""Tests that are not about what is put in place around worlds."""

_ABOUT_WHAT_IS_IN_PLACE = tuple(
    f"tests/sim/{name}.py"
    for name in ("doors/test_in_process", "doors/test_thread_clock", "world/test_world_processes")
)
"""And those among them that are."""

_in_place: list[ExitStack] = []
_modules = 0
"""So many modules were loaded when the collector was last told that they stay."""


def pytest_configure() -> None:
    """A shell lets what it starts in the background ignore interrupts, and all that this starts; some tests send them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # An example that takes long beside four other busy programs is no failure.
    settings.register_profile("at any speed", deadline=None)
    settings.load_profile("at any speed")
    # A fence replaces the clocks' own names in every module; a fixture that leaves a kernel attached would have its test
    # begin at a virtual time and end at a real one, so that `--durations` shows the hours since the machine was started.
    timing.perf_counter = partial(time.perf_counter)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that collecting makes stays to the end, and looking it through again and again is a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    """Before each test: what is put in place around worlds stays where the test is not about that, and what is loaded is
    looked through once.

    Thousands of tests and the modules that they load, many of them only while tests run, stay to the end. A full
    collection takes a third of a second while they are looked through, and every batch of worlds begins with one."""
    global _modules
    _put_in_place(held=nodeid.startswith(_WITH_WORLDS) and not nodeid.startswith(_ABOUT_WHAT_IS_IN_PLACE))
    if len(sys.modules) != _modules:
        gc.collect()
        gc.freeze()
        _modules = len(sys.modules)


def pytest_unconfigure() -> None:
    """Take away what was put in place."""
    _put_in_place(held=False)


def _put_in_place(*, held: bool) -> None:
    """Hold the substitutes of clocks, files, threads and sockets, or let them go.

    Where nothing holds them, each session of worlds looks for their names in all modules again, a fifth of a second where
    thousands are loaded. Without a world they are the real thing.
    """
    if held == bool(_in_place):
        return
    if not held:
        _in_place.pop().close()
        return
    from relaysim.sim.kernel.fence import Fence
    from relaysim.sim.process.worker_process import Isolation
    from relaysim.sim.sockets.installation import SocketCalls

    with ExitStack() as stack:
        stack.enter_context(Fence())
        for kind in (Isolation, SocketCalls):
            stack.enter_context(kind()).put_in_place()
        _in_place.append(stack.pop_all())


def pytest_runtest_logfinish(nodeid: str) -> None:
    """An event loop that a test left running would fail all later ones of its process that need one: say whose it was."""
    if asyncio.events._get_running_loop() is not None:
        asyncio.events._set_running_loop(None)
        print(f"\n{nodeid} left an event loop running", file=sys.__stderr__)


@pytest.fixture(scope="module")
def one_session() -> Iterator[None]:
    """What is installed around worlds is installed once for all tests of a module: it takes longer than most worlds do."""
    from relaysim.sim.world import Session

    with Session():
        yield
        # As the session does, whose filters pytest has put its own above: workers that lost power close nothing.
        warnings.filterwarnings("ignore", "Unclosed", ResourceWarning)
