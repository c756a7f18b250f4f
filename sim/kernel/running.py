"""Whose code is running: the host that has its turn, or none."""

from __future__ import annotations

from asyncio import Task
from collections.abc import AsyncGenerator
from typing import Any, Protocol


class RunningLoop(Protocol):
    """What the kernel's lower parts know of a host's loop."""

    def unfinished_tasks(self) -> list[Task[Any]]: ...

    def adopt_generator(self, generator: AsyncGenerator[Any, Any]) -> None: ...

    def finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None: ...


class RunningHost(Protocol):
    """What the kernel's lower parts know of a host."""

    name: str
    index: int
    skew_seconds: float
    sockets: Any

    @property
    def process(self) -> RunningHost: ...

    @property
    def loop(self) -> RunningLoop: ...

    @property
    def crashed(self) -> bool: ...


_running_host: RunningHost | None = None


def current_host() -> RunningHost | None:
    """The host whose code is running now; None in kernel and SimPy code."""
    return _running_host


def set_running_host(host: RunningHost | None) -> None:
    """Say whose code runs from now on; None: the kernel's own."""
    global _running_host
    _running_host = host


def adopt_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """An asynchronous generator begins: its host closes it in the end (`firstiter` of `sys.set_asyncgen_hooks`)."""
    if _running_host is not None:
        _running_host.loop.adopt_generator(generator)


def finalize_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """An asynchronous generator was dropped before its end (`finalizer` of `sys.set_asyncgen_hooks`)."""
    # Dropped where no host runs, it has no loop to be closed on; its host ends with the world.
    if _running_host is not None:
        _running_host.loop.finalize_generator(generator)
