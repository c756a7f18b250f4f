"""`socket.socketpair`: two sockets of one process that are connected to each other, by which loops are woken."""

from __future__ import annotations

import socket

from relaysim.sim.kernel import Host, current_host
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.sockets.connection import Connection
from relaysim.sim.sockets.host_sockets import HostSockets
from relaysim.sim.sockets.simulated_socket import SimulatedSocket


class _OtherEnd:
    """What one socket sends arrives at the other."""

    def __init__(self, other: Connection) -> None:
        self._other = other

    def receive(self, data: bytes) -> None:
        """It arrives at once."""
        self._other.deliver(data)

    def client_finished(self) -> None:
        """Nothing more comes."""
        self._other.finish()

    def client_closed(self, *, cancelled: bool) -> None:
        """Nothing more comes, and what is sent to it is lost."""
        self._other.finish()


def make_pair(
    sockets: HostSockets, family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0
) -> tuple[SimulatedSocket, SimulatedSocket]:
    """`socket.socketpair`: both block until told otherwise.

    Raises:
        LeavesSimulationError: a pair of datagrams is asked for.
    """
    host = current_host()
    if not isinstance(host, Host) or type != socket.SOCK_STREAM:
        raise refuse("opening a pair of sockets that is no stream")
    ends = [Connection(host, "", ("", 0), ("", 0)) for _ in range(2)]
    for end, other in zip(ends, reversed(ends), strict=True):
        end.open(_OtherEnd(other))
    first, second = (SimulatedSocket.of(sockets, each) for each in ends)
    for each in (first, second):
        each.settimeout(socket.getdefaulttimeout())
    return first, second
