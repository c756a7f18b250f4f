"""What the asyncio loop of a host with sockets offers. A loop without them refuses all this (`relaysim.sim.kernel.loop`)."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from typing import Any, Final

from relaysim.sim.kernel import Host
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.sockets.addresses import Addresses
from relaysim.sim.sockets.host_sockets import HostSockets, Info, Wait, text_of
from relaysim.sim.sockets.simulated_socket import SimulatedSocket
from relaysim.sim.sockets.tls import PassedOverObject
from relaysim.sim.sockets.transport import SimulatedTransport

_METHODS: Final = (
    *("getaddrinfo", "create_connection", "start_tls"),
    *("sock_connect", "sock_recv", "sock_recv_into", "sock_sendall"),
)


def open_sockets(host: Host, addresses: Addresses, wait: Wait | None = None) -> None:
    """From now on code on this host reaches the services at these addresses.

    Args:
        host: a worker's, whose code has not run yet.
        addresses: the world's.
        wait: lets plain code of the host wait for a coroutine; None: what blocks is refused.
    """
    host.sockets = sockets = HostSockets(addresses, wait)
    calls = LoopCalls(sockets)
    sockets.loop_calls = {name: getattr(calls, name) for name in _METHODS}


class LoopCalls:
    """The methods of a loop that reach the simulated network, as asyncio documents them."""

    def __init__(self, sockets: HostSockets) -> None:
        self._sockets = sockets

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Info]:
        """Look up a name."""
        return self._sockets.look_up(host, port, family, type, proto)

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> tuple[SimulatedTransport, asyncio.BaseProtocol]:
        """Connect; TLS is passed over, and where the connection sets out is not for the caller to say."""
        if sock is None:
            connection = await self._sockets.connect(host, port)
            sock = SimulatedSocket.of(self._sockets, connection)
        elif isinstance(sock, SimulatedSocket):
            connection = sock.connection
        else:
            raise refuse("loop.create_connection with a socket of this machine")
        protocol = protocol_factory()
        extra: dict[str, Any] = {"socket": sock, "peername": connection.remote, "sockname": connection.local}
        if ssl:
            extra |= _tls(ssl, server_hostname or text_of(host))
        transport = SimulatedTransport(asyncio.get_running_loop(), connection, protocol, extra)
        transport.begin()
        return transport, protocol

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        **options: Any,
    ) -> SimulatedTransport:
        """Pass TLS over on a connection that is there; the transport stays the same."""
        if server_side or not isinstance(transport, SimulatedTransport):
            raise refuse("loop.start_tls as a server, or on a connection of this machine,")
        transport.set_protocol(protocol)
        transport.extend(_tls(sslcontext, server_hostname or str(transport.get_extra_info("peername")[0])))
        return transport

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect a socket that does not block."""
        host, port = address[:2]
        _simulated(sock).adopt(await self._sockets.connect(host, port))

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send all of it."""
        _simulated(sock).sendall(data)

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """Receive what has arrived, or else what arrives next."""
        await self._arrived(sock)
        return _simulated(sock).recv(n)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """The same, into a buffer."""
        await self._arrived(sock)
        return _simulated(sock).recv_into(buf)

    async def _arrived(self, sock: Any) -> None:
        given = _simulated(sock)
        await self._sockets.until([given.connection], lambda: given.is_readable, None)


def _simulated(sock: Any) -> SimulatedSocket:
    if not isinstance(sock, SimulatedSocket):
        raise refuse("a socket of this machine")
    return sock


def _tls(context: Any, server_hostname: str) -> dict[str, Any]:
    """What a transport tells of TLS."""
    given = (
        context if isinstance(context, ssl_module.SSLContext) else ssl_module.SSLContext(ssl_module.PROTOCOL_TLS_CLIENT)
    )
    made = PassedOverObject(ssl_module.MemoryBIO(), ssl_module.MemoryBIO(), given, server_hostname)
    return {"sslcontext": given, "ssl_object": made, "peercert": made.getpeercert(), "cipher": made.cipher()}
