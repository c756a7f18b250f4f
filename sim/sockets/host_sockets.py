"""The simulated network as code on one host reaches it: names are looked up, connections made, and waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from threading import get_ident
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from relaysim.sim.kernel import Host, current_host
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.sockets.addresses import Addresses
from relaysim.sim.sockets.connection import Connection

T = TypeVar("T")

_PORTS: Final = {"http": 80, "https": 443, "redis": 6379}
"""Ports by the names of their services, of which a lookup may be given one."""

_FIRST_FILE: Final = 100_000
"""The number of a host's first simulated socket, so that none is taken for a file of this process."""

Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""An address as `socket.getaddrinfo` gives it."""

Wait = Callable[[Coroutine[Any, Any, Any]], Any]
"""Lets the running plain code of a host wait until a coroutine has ended; returns or raises what it did."""


class HostSockets:
    """What opens network connections for the code of one host.

    Args:
        addresses: what can be reached.
        wait: for plain code; None: it may not wait.

    Attributes:
        addresses: as given.
        files: the open sockets by their numbers.
        loop_calls: what a loop of the host offers, by the names of its methods.
        thread: this process's, in which the world runs.
    """

    loop_calls: Mapping[str, Callable[..., Any]]

    def __init__(self, addresses: Addresses, wait: Wait | None) -> None:
        self.addresses = addresses
        self.files: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self.thread = get_ident()
        self._wait = wait
        self._next = _FIRST_FILE

    def was_given(self, number: int) -> bool:
        """Whether some socket has or had this number."""
        return _FIRST_FILE <= number < self._next

    def number_for(self, opened: Any) -> int:
        """The file number of a new socket."""
        number, self._next = self._next, self._next + 1
        self.files[number] = opened
        return number

    # Names

    def look_up(self, host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0) -> list[Info]:
        """As `socket.getaddrinfo`. A name that is looked up without a port has an address, whoever may stand there.

        Raises:
            LeavesSimulationError: nobody stands there.
            socket.gaierror: there is no such address in this family.
        """
        name, number = text_of(host), _port(port)
        if number and self.addresses.service_at(name, number) is None:
            raise self._refusal(name, number)
        address = self.addresses.number_of(name)
        found = socket.AF_INET6 if ":" in address else socket.AF_INET
        if family not in (0, found):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        where = (address, number, 0, 0) if found == socket.AF_INET6 else (address, number)
        return [(found, socket.SOCK_STREAM, proto or socket.IPPROTO_TCP, "", where)]

    def _refusal(self, name: str, port: int) -> Exception:
        return refuse(
            f"connecting to {name}:{port}",
            f"no service is simulated at that address, only at {self.addresses}; give what talks to it a stand-in",
        )

    # Connections

    async def connect(self, host: Any, port: Any) -> Connection:
        """Connect to the service at an address. The host that awaits it is the one that waits for what the service does.

        Raises:
            LeavesSimulationError: nobody stands there.
            OSError: it does not take the connection.
        """
        given, number = text_of(host), _port(port)
        service = self.addresses.service_at(given, number)
        name = self.addresses.name_of(given)
        if service is None:
            raise self._refusal(name, number)
        waiting = current_host()
        assert isinstance(waiting, Host)
        remote = (self.addresses.number_of(name), number)
        connection = Connection(waiting, name, self.addresses.local_address(), remote)
        connection.open(await service.connect(connection))
        return connection

    def wait(self, what: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let plain code wait.

        Raises:
            LeavesSimulationError: it may not, on this host; `what` is what it tried.
        """
        if self._wait is None:
            coroutine.close()
            raise refuse(f"{what}, which blocks the whole loop,", "await it instead, with an asynchronous client")
        result: T = self._wait(coroutine)
        return result

    async def until(self, connections: Sequence[Connection], ready: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until something holds that these connections decide; whether it does then.

        Args:
            connections: asked again whenever something arrives there.
            ready: what is to hold.
            seconds: wait for so long at most; None: for ever.
        """
        while not ready():
            loop = asyncio.get_running_loop()
            woken = loop.create_future()

            def wake(future: asyncio.Future[None] = woken) -> None:
                if not future.done():
                    future.set_result(None)

            deadline = None if seconds is None else loop.time() + seconds
            timer = None if seconds is None else loop.call_later(seconds, wake)
            for connection in connections:
                connection.listeners.append(wake)
            try:
                await woken
            finally:
                for connection in connections:
                    if wake in connection.listeners:
                        connection.listeners.remove(wake)
                if timer is not None:
                    timer.cancel()
            if deadline is not None:
                seconds = deadline - loop.time()
                if seconds <= 0:
                    break
        return ready()


def text_of(host: Any) -> str:
    """A host as it is given to a lookup; nothing means this machine."""
    if host in (None, "", b""):
        return "localhost"
    return host.decode("ascii") if isinstance(host, bytes | bytearray) else str(host)


def _port(port: Any) -> int:
    if port is None:
        return 0
    text = port.decode("ascii") if isinstance(port, bytes) else str(port)
    if text.isdecimal():
        return int(text)
    if text in _PORTS:
        return _PORTS[text]
    raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")


def sockets_here() -> HostSockets | None:
    """Those of the host whose code runs; None: it has none, no host's code runs, or it is another thread of this process
    that asks, such as one of an engine that waits for results."""
    host = current_host()
    sockets: HostSockets | None = None if host is None else host.process.sockets
    return sockets if sockets is not None and sockets.thread == get_ident() else None
