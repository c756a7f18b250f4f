"""What all tests share: what is loaded is looked through once, and what is installed around worlds is, once a module."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
import warnings
from collections.abc import Generator, Iterator
from functools import partial

import pytest
from _pytest import timing
from hypothesis import settings

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
def pytest_runtest_logstart() -> None:
    """Thousands of tests and the modules that they load, many of them only while tests run, stay to the end. A full
    collection takes a third of a second while they are looked through, and every batch of worlds begins with one."""
    global _modules
    if len(sys.modules) != _modules:
        gc.collect()
        gc.freeze()
        _modules = len(sys.modules)


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
