"""One simulated TCP connection: a client's end, which sockets and transports are put on, and a service's end."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from relaysim.sim.kernel import Host, current_host

Address = tuple[str, int]
"""An IP address in text, and a port."""

RECEIVE_MAX: Final = 262_144
"""How many bytes a client that says nothing else receives at once, as asyncio's transports do."""


class Session(Protocol):
    """A service's end of one connection. Its methods are called by the code that sends, on its host and in its context."""

    def receive(self, data: bytes) -> None:
        """Bytes have arrived, at least one."""
        ...

    def client_finished(self) -> None:
        """The client will send nothing more, and still reads."""
        ...

    def client_closed(self, *, cancelled: bool) -> None:
        """The client has closed the connection; nothing that is sent to it arrives any more. Called once.

        Args:
            cancelled: it did so because the work for which it was waiting was cancelled, not since it gave up by itself.
        """
        ...


class Connection:
    """A connection between code on a host and a service. What is sent arrives at this instant.

    Args:
        host: where the client waits, and whatever the service does for it runs.
        name: the host name by which the client knows the service, in lower case.
        local, remote: the addresses of both ends.

    Attributes:
        host, name, local, remote: as given.
        listeners: called when the client has something to receive that it had not before.
    """

    __slots__ = (
        "_closed",
        "_finished",
        "_incoming",
        "_reset",
        "_session",
        "_shut",
        "host",
        "listeners",
        "local",
        "name",
        "remote",
    )

    _session: Session

    def __init__(self, host: Host, name: str, local: Address, remote: Address) -> None:
        self.host = host
        self.name = name
        self.local = local
        self.remote = remote
        self.listeners: list[Callable[[], object]] = []
        self._incoming: deque[bytes] = deque()
        self._finished = False  # the service sends nothing more
        self._reset = False
        self._shut = False  # the client sends nothing more
        self._closed = False

    def open(self, session: Session) -> None:
        """The service has taken it."""
        self._session = session

    @property
    def foreign(self) -> bool:
        """Whether the code that runs is another process's than that which opened it: a later life of the worker, another
        worker, another world. A client that a library keeps for everybody may still hold it; there it has been reset."""
        here, mine = current_host(), self.host
        if here is None or here is mine:
            return False
        return not isinstance(here, Host) or here.kernel is not mine.kernel or here.name != mine.name or mine.crashed

    # The client's end

    def send(self, data: bytes) -> None:
        """Send bytes to the service.

        Raises:
            ConnectionResetError: the service has reset the connection.
            BrokenPipeError: this end was shut down.
        """
        if self._reset or self.foreign:
            raise connection_reset()
        if self._shut or self._closed:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        if data:
            self._session.receive(data)

    def shut_down(self) -> None:
        """Send nothing more."""
        if not (self._shut or self._closed or self._reset):
            self._shut = True
            self._session.client_finished()

    def close(self, *, cancelled: bool = False) -> None:
        """Neither send nor receive any more.

        Args:
            cancelled: as of `Session.client_closed`.
        """
        if not self._closed:
            self._closed = True
            self.listeners.clear()
            self._incoming.clear()
            if not (self._reset or self.foreign):
                self._session.client_closed(cancelled=cancelled)

    @property
    def closed(self) -> bool:
        """Whether the client has closed it."""
        return self._closed

    @property
    def readable(self) -> bool:
        """Whether `receive` has something to say at this instant."""
        return bool(self._incoming) or self._finished or self._reset or self.foreign

    def receive(self, most: int = RECEIVE_MAX, *, keep: bool = False) -> bytes:
        """What has arrived; empty at the end of what the service sends. Ask only if `readable`.

        Args:
            most: so many bytes at most, 1 or more.
            keep: leave them here for the next time.

        Raises:
            ConnectionResetError: the service has reset the connection, which loses what has arrived.
        """
        if self._reset or self.foreign:
            raise connection_reset()
        if not self._incoming:
            return b""
        data = b"".join(self._incoming)
        self._incoming.clear()
        if keep:
            self._incoming.append(data)
        elif len(data) > most:
            self._incoming.append(data[most:])
        return data[:most]

    # The service's end

    def deliver(self, data: bytes) -> None:
        """Bytes arrive at the client."""
        if data and not (self._closed or self._finished or self._reset):
            self._incoming.append(data)
            self._tell()

    def finish(self) -> None:
        """The service sends nothing more."""
        if not (self._closed or self._finished or self._reset):
            self._finished = True
            self._tell()

    def reset(self) -> None:
        """The service has forgotten the connection."""
        if not (self._closed or self._reset):
            self._reset = True
            self._incoming.clear()
            self._tell()

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener()


def connection_reset() -> ConnectionResetError:
    """As the system says it."""
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
