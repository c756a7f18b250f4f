"""What a service that speaks bytes offers: the protocol that every simulated server is put on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from relaysim.sim.sockets.connection import Connection, Session


@runtime_checkable
class StreamService(Protocol):
    """What stands at an address and speaks bytes."""

    async def connect(self, connection: Connection) -> Session:
        """Take a connection, on the host of the client, which waits for that.

        Raises:
            OSError: it is not taken, as of `socket.connect`.
        """
        ...
