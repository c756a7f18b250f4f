"""asyncio's end of a simulated connection: a transport, which feeds a protocol with what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

from relaysim.sim.sockets.connection import Connection


class SimulatedTransport(asyncio.Transport):
    """A transport over a simulated connection. What is written is sent at once, so nothing is ever buffered.

    Args:
        loop: of the host on which the client runs.
        connection: open.
        protocol: told of it by `begin`.
        extra: what `get_extra_info` knows.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        protocol: asyncio.BaseProtocol,
        extra: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._extra = dict(extra)
        self._loop = loop
        self._connection = connection
        self._protocol = protocol
        self._context = copy_context()
        self._paused = False
        self._closing = False
        self._shut = False
        self._finished = False
        self._due = False

    def extend(self, extra: Mapping[str, Any]) -> None:
        """Let `get_extra_info` know more."""
        self._extra.update(extra)

    def begin(self) -> None:
        """Tell the protocol, and give it what comes from now on."""
        self._protocol.connection_made(self)
        self._connection.listeners.append(self._schedule)
        self._schedule()

    # What arrives

    def _schedule(self) -> None:
        if not self._due and not self._closing and self._connection.readable:
            self._due = True
            self._loop.call_soon(self._feed, context=self._context)

    def _feed(self) -> None:
        self._due = False
        if self._closing or self._paused or self._finished or not self._connection.readable:
            return
        try:
            data = self._connection.receive()
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._give(data)
            self._schedule()
            return
        self._finished = True
        if not self._protocol.eof_received():  # type: ignore[attr-defined]
            self.close()

    def _give(self, data: bytes) -> None:
        protocol = self._protocol
        if not isinstance(protocol, asyncio.BufferedProtocol):
            protocol.data_received(data)  # type: ignore[attr-defined]
            return
        while data:
            buffer: Any = protocol.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            protocol.buffer_updated(count)
            data = data[count:]

    def pause_reading(self) -> None:
        """Let what arrives wait."""
        self._paused = True

    def resume_reading(self) -> None:
        """Give the protocol what has arrived.

        Raises:
            RuntimeError: the loop is closed, as asyncio says it.
        """
        self._check_loop()
        self._paused = False
        self._schedule()

    def is_reading(self) -> bool:
        """Whether the protocol gets what arrives."""
        return not (self._paused or self._closing)

    # What is sent

    def write(self, data: Any) -> None:
        """Send bytes; of a connection that is gone the protocol hears by itself."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._shut:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing:
            return
        try:
            self._connection.send(bytes(data))
        except OSError as error:
            self._lose(error)

    def can_write_eof(self) -> bool:
        """Whether one direction alone can be ended: not where TLS would be."""
        return self.get_extra_info("ssl_object") is None

    def write_eof(self) -> None:
        """Send nothing more."""
        if not self._shut and not self._closing:
            self._shut = True
            self._connection.shut_down()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def get_write_buffer_size(self) -> int:
        """There is no buffer."""
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """There is no buffer."""
        return 0, 0

    # The end

    def is_closing(self) -> bool:
        """Whether it has been closed, or its world has."""
        return self._closing or self._is_world_over

    def close(self) -> None:
        """End the connection.

        Raises:
            RuntimeError: the loop is closed, as asyncio says it: a client that is used in one loop after the other.
        """
        self._lose(None)
        self._check_loop()

    def abort(self) -> None:
        """The same."""
        self.close()

    @property
    def _is_world_over(self) -> bool:
        return self._connection.host.kernel.trace.closed

    def _check_loop(self) -> None:
        if self._loop.is_closed() and not self._is_world_over:
            raise RuntimeError("Event loop is closed")

    def _lose(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        task = _current_task(self._loop)
        self._connection.close(cancelled=task is not None and task.cancelling() > 0)
        self._loop.call_soon(self._protocol.connection_lost, error, context=self._context)

    # Protocols

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on this one gets what arrives."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The one that gets what arrives."""
        return self._protocol


def _current_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task(loop)
    except RuntimeError:  # no loop is running: the kernel's own code
        return None
