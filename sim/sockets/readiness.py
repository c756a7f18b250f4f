"""`select`, `poll` and `epoll` for simulated sockets: what libraries ask whether a connection is still alive, and what waits
for several at once. `selectors` of the standard library are made of these.

Made on a host with sockets, such an object knows simulated sockets only. A file of another kind is refused.
"""

from __future__ import annotations

import errno
import select
import selectors
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from relaysim.sim.kernel.fence import refuse
from relaysim.sim.sockets.host_sockets import HostSockets, sockets_here
from relaysim.sim.sockets.simulated_socket import SimulatedSocket

_READ: Final = 1
"""`select.POLLIN` and `select.EPOLLIN`."""

_WRITE: Final = 4
"""`select.POLLOUT` and `select.EPOLLOUT`."""

_GONE: Final = 32
"""`select.POLLNVAL`: it was closed."""


def _number(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def _socket(sockets: HostSockets, file: Any) -> SimulatedSocket | None:
    """The socket that is given by itself or by its number; None: it was closed."""
    if isinstance(file, SimulatedSocket) and file.is_foreign:
        return file  # whose number may be another's here
    number = _number(file)
    if number < 0:
        raise ValueError(f"Invalid file descriptor: {number}")
    found: SimulatedSocket | None = sockets.files.get(number)
    if found is None and not sockets.was_given(number):
        raise refuse("waiting for a file that is no simulated socket")
    return None if found is None or found.fileno() != number else found


def _wait(
    sockets: HostSockets, waited: Iterable[SimulatedSocket | None], ready: Callable[[], bool], seconds: Any
) -> None:
    """Let time pass until one of them is ready, or until the time is up."""
    if ready() or seconds == 0:
        return
    connections = [each.connection for each in waited if each is not None and not each.is_readable]
    sockets.wait("waiting for sockets", sockets.until(connections, ready, seconds))


class SimulatedPoll:
    """An object as `select.poll()` and `select.epoll()` make them.

    Args:
        sockets: of the host.
        unit: what a timeout of 1 is, in seconds.
    """

    closed = False

    def __init__(self, sockets: HostSockets, unit: float) -> None:
        self._sockets = sockets
        self._unit = unit
        self._watched: dict[int, tuple[Any, int]] = {}

    def register(self, fd: Any, eventmask: int = _READ | _WRITE | 2) -> None:
        """Watch a socket."""
        _socket(self._sockets, fd)
        self._watched[_number(fd)] = fd, eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """Watch it for something else."""
        if _number(fd) not in self._watched:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self.register(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        """Watch it no more."""
        del self._watched[_number(fd)]

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """The numbers of those that are ready, with what they are ready for. None, or less than 0: wait for ever."""
        seconds = None if timeout is None or timeout < 0 else timeout * self._unit
        watched = [_socket(self._sockets, number) for number in self._watched if number >= 0]
        _wait(self._sockets, watched, lambda: any(self._ready()), seconds)
        return list(self._ready())

    def _ready(self) -> Iterator[tuple[int, int]]:
        for number, (file, mask) in self._watched.items():
            found = _socket(self._sockets, file if number < 0 else number)
            state = _GONE if found is None else (_READ * found.is_readable | _WRITE) & mask
            if state:
                yield number, state

    def close(self) -> None:
        """Watch nothing more."""
        self.closed = True
        self._watched.clear()

    def fileno(self) -> int:
        """It has none."""
        return -1

    def __enter__(self) -> SimulatedPoll:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _select(sockets: HostSockets, reads: Any, writes: Any, others: Any, timeout: float | None = None) -> Any:
    """`select.select`. A socket can always be written to."""
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    reads, writes = list(reads), list(writes)
    read = [(each, _socket(sockets, each)) for each in reads]
    for each in (*writes, *others):
        _socket(sockets, each)

    def readable() -> list[Any]:
        return [each for each, found in read if found is None or found.is_readable]

    _wait(sockets, [found for _, found in read], lambda: bool(writes or readable()), timeout)
    return readable(), writes, []


def substitutes() -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """The functions of `select`, each with what stands in its place everywhere."""

    def on_host(real: Callable[..., Any], made: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def call(*args: Any, **kwargs: Any) -> Any:
            sockets = sockets_here()
            return real(*args, **kwargs) if sockets is None else made(sockets, *args, **kwargs)

        return real, call

    yield on_host(select.select, _select)
    if hasattr(select, "poll"):
        yield on_host(select.poll, lambda sockets: SimulatedPoll(sockets, 0.001))
    if hasattr(select, "epoll"):
        yield on_host(select.epoll, lambda sockets, sizehint=-1, flags=0: SimulatedPoll(sockets, 1.0))


def install_in_selectors(replaced: dict[int, tuple[Any, Any]]) -> Callable[[], None]:
    """Let the classes of `selectors`, which have bound these functions, call what stands in their places.

    Returns:
        What puts everything back.
    """
    found = [
        (cls, name, value)
        for cls in vars(selectors).values()
        if isinstance(cls, type)
        for name, value in vars(cls).items()
        if id(value) in replaced
    ]
    for cls, name, value in found:
        substitute = replaced[id(value)][1]
        # `_select` is a function of C, which is not bound to its object as one of Python is.
        setattr(cls, name, staticmethod(substitute))

    def restore() -> None:
        for cls, name, value in found:
            setattr(cls, name, value)

    return restore
