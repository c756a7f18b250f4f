"""`socket.socket` on a host with sockets: an object of the same interface over a simulated connection.

What plain code does with a connected TCP socket is here. Calls that block wait in virtual time, and give up after the
socket's timeout. What a client has no use for (servers, datagrams, Unix sockets, sockets of other processes) is refused.
"""

from __future__ import annotations

import _socket
import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from relaysim.sim.kernel.fence import refuse
from relaysim.sim.sockets.connection import Connection
from relaysim.sim.sockets.host_sockets import HostSockets, sockets_here

T = TypeVar("T", bound=socket.socket)

_PEEK: Final = getattr(socket, "MSG_PEEK", 0)
_DONT_WAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)


class SimulatedSocket(socket.socket):
    """A socket of a simulated host. It is what `socket.socket(...)` makes there."""

    _sockets: HostSockets
    _connection: Connection | None
    _number: int
    _timeout: float | None

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        # Without the base's, which would open a real one.
        sockets = sockets_here()
        kind = socket.SOCK_STREAM if type == -1 else type & ~(_flag("SOCK_NONBLOCK") | _flag("SOCK_CLOEXEC"))
        inet = socket.AF_INET if family == -1 else family
        if sockets is None or fileno is not None or kind != socket.SOCK_STREAM or inet not in _FAMILIES:
            raise refuse("opening a socket that is no TCP client's")
        self._begin(sockets, inet, max(proto, 0))
        if type != -1 and type & _flag("SOCK_NONBLOCK"):
            self._timeout = 0.0

    def _begin(self, sockets: HostSockets, family: int, proto: int, connection: Connection | None = None) -> None:
        self._io_refs, self._closed = 0, False  # of the base
        self._sockets = sockets
        self._family = family
        self._proto = proto
        self._connection = connection
        self._timeout = socket.getdefaulttimeout()
        self._options: dict[tuple[int, int], Any] = {}
        self._receives = True
        self._number = sockets.number_for(self)

    @classmethod
    def of(cls, sockets: HostSockets, connection: Connection) -> SimulatedSocket:
        """The socket of a connection that is open, not blocking."""
        made = new_socket(cls)
        family = socket.AF_INET6 if ":" in connection.remote[0] else socket.AF_INET
        made._begin(sockets, family, socket.IPPROTO_TCP, connection)
        made._timeout = 0.0
        return made

    # What it is

    @property
    def family(self) -> socket.AddressFamily:
        """As it was asked for."""
        return socket.AddressFamily(self._family)

    @property
    def type(self) -> socket.SocketKind:
        """Of TCP."""
        return socket.SOCK_STREAM

    @property
    def proto(self) -> int:
        """As it was asked for."""
        return self._proto

    @property
    def timeout(self) -> float | None:
        """Seconds; None: it blocks for ever; 0: it does not block."""
        return self._timeout

    @property
    def connection(self) -> Connection:
        """What it is connected to.

        Raises:
            OSError: it is not connected, or was closed.
        """
        if self._number < 0:  # a file made of it keeps it open
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self._connection is None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._connection

    @property
    def is_readable(self) -> bool:
        """Whether receiving would not block; of one that is not connected it says so at once."""
        return self._connection is None or self._connection.closed or self._connection.readable

    @property
    def is_foreign(self) -> bool:
        """See `Connection.foreign`."""
        return self._connection is not None and self._connection.foreign

    def fileno(self) -> int:
        """Its number, which is no file of this process; -1: it was closed, or is another process's."""
        return -1 if self.is_foreign else self._number

    def getpeername(self) -> Any:
        """The service's address."""
        return self._address(self.connection.remote)

    def getsockname(self) -> Any:
        """Its own address."""
        return self._address(("0.0.0.0", 0) if self._connection is None else self._connection.local)

    def _address(self, address: tuple[str, int]) -> Any:
        return (*address, 0, 0) if self._family == socket.AF_INET6 else address

    def setsockopt(self, level: int, option: int, value: Any, length: int | None = None) -> None:
        """Remember an option, which changes nothing here."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int, length: int = 0) -> Any:
        """What was set, or else 0, which also means that nothing has gone wrong."""
        return self._options.get((level, option), b"" if length else 0)

    def settimeout(self, value: float | None) -> None:
        """See `timeout`."""
        if value is not None and not value >= 0:
            raise ValueError("Timeout value out of range")
        self._timeout = None if value is None else float(value)

    def gettimeout(self) -> float | None:
        """See `timeout`."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Block for ever, or not at all."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether it blocks, for however long."""
        return self._timeout != 0.0

    def set_inheritable(self, inheritable: bool) -> None:
        """No other process would have it anyway."""

    def get_inheritable(self) -> bool:
        """No other process has it."""
        return False

    # Connecting

    def bind(self, address: Any) -> None:
        """Where a client sets out is not for it to say: any port of its own will do, a certain one is refused."""
        if address[1]:
            raise refuse(f"binding a socket to port {address[1]}")

    def connect(self, address: Any) -> None:
        """Connect, and wait for that.

        Raises:
            LeavesSimulationError: nobody stands at the address.
            TimeoutError: it took longer than the socket's timeout.
            OSError: the service does not take the connection.
        """
        if self._connection is not None:
            raise OSError(errno.EISCONN, "Transport endpoint is already connected")
        if self._timeout == 0.0:
            raise refuse(
                "connecting a socket that does not block, outside of a simulated event loop,",
                "let asyncio.run or asyncio.new_event_loop make the loop, and not its class",
            )
        host, port = address[:2]
        self._connection = self._sockets.wait("connecting a socket", self._connect(host, port))

    async def _connect(self, host: Any, port: Any) -> Connection:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._sockets.connect(host, port)
        except TimeoutError:
            raise TimeoutError("timed out") from None

    def connect_ex(self, address: Any) -> int:
        """As `connect`; the number of an error of the system instead of an exception."""
        try:
            self.connect(address)
        except TimeoutError:
            return errno.EAGAIN
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    def adopt(self, connection: Connection) -> None:
        """It was connected by the loop of its host."""
        self._connection = connection

    # Sending: never blocks, since bytes arrive at once

    def send(self, data: Any, flags: int = 0) -> int:
        """Send all of it; how many bytes that were."""
        with memoryview(data) as view:
            self.connection.send(view.tobytes())
            return view.nbytes

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of it."""
        self.send(data, flags)

    def sendmsg(self, buffers: Iterable[Any], ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send all of them."""
        return self.send(b"".join(buffers))

    # Receiving

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive what has arrived, or else what arrives next; empty at the end.

        Raises:
            BlockingIOError: nothing has arrived, and it does not block.
            TimeoutError: nothing has arrived within the socket's timeout.
            ConnectionResetError: the service has reset the connection.
        """
        connection = self.connection
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if not self._receives or not bufsize:
            return b""
        if not connection.readable:
            self._wait(connection, 0.0 if flags & _DONT_WAIT else self._timeout)
        return connection.receive(bufsize, keep=bool(flags & _PEEK))

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, into a buffer; how many bytes that were."""
        with memoryview(buffer) as view, view.cast("B") as octets:
            data = self.recv(nbytes or len(octets), flags)
            octets[: len(data)] = data
            return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """As `recv`, and from whom."""
        return self.recv(bufsize, flags), None

    def _wait(self, connection: Connection, seconds: float | None) -> None:
        if seconds == 0.0:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        arrived = self._sockets.until([connection], lambda: connection.readable or connection.closed, seconds)
        if not self._sockets.wait("receiving from a socket", arrived):
            raise TimeoutError("timed out")
        if connection.closed:
            raise OSError(errno.EBADF, "Bad file descriptor")

    # The end

    def shutdown(self, how: int) -> None:
        """Send, or receive, nothing more."""
        connection = self.connection
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            self._receives = False
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            connection.shut_down()

    def _real_close(self, _ss: Any = None) -> None:
        """`close` of the base, once no file made of it is open any more."""
        self._number = -1
        if self._connection is not None:
            self._connection.close()

    def detach(self) -> int:
        """Give the connection away; the number by which it was known."""
        number, self._number = self._number, -1
        self._connection = None
        self._closed = True
        return number

    def hand_over(self, taker: SimulatedSocket) -> None:
        """Let another socket have the connection, and the number; this one is closed then, the connection is not."""
        taker._begin(self._sockets, self._family, self._proto, self._connection)
        taker._timeout = self._timeout
        self.detach()


_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


def _flag(name: str) -> int:
    return int(getattr(socket, name, 0))


def _refused(name: str) -> Callable[..., Any]:
    def call(self: SimulatedSocket, *args: Any, **kwargs: Any) -> Any:
        raise refuse(f"socket.{name}")

    return call


for _name in (
    *("accept", "listen", "dup", "sendto", "sendfile", "sendmsg_afalg"),
    *("recvmsg", "recvmsg_into", "recvfrom_into", "share"),
):
    setattr(SimulatedSocket, _name, _refused(_name))


def make_socket(cls: type[socket.socket], *args: Any, **kwargs: Any) -> socket.socket:
    """`socket.socket.__new__`: on a host with sockets a simulated one. Classes derived from it stay what they are."""
    return new_socket(SimulatedSocket if cls is socket.socket and sockets_here() is not None else cls)


def new_socket(cls: type[T]) -> T:
    """A socket of a class, without a file yet, whatever stands in the place of `socket.socket.__new__`."""
    made: T = _socket.socket.__new__(cls)
    return made
