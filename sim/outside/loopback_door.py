"""A port of this machine, which can be shut for a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any


class LoopbackDoor:
    """A port of the loopback interface: the same one whenever it opens, and nobody else's meanwhile.

    Args:
        take: serves a connection.

    Attributes:
        port: known once it is open.
        tasks: in which connections are served.
    """

    def __init__(self, take: Callable[[socket.socket], Coroutine[Any, Any, None]]) -> None:
        self._take = take
        self._taking: asyncio.Task[None] | None = None
        self._listening: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Take connections from now on."""
        bound, self._reserved = self._reserved or self._bind(), None
        self.port = bound.getsockname()[1]
        bound.listen(128)
        self._listening = bound
        self._taking = asyncio.get_running_loop().create_task(self._take_all(bound))

    async def shut(self) -> None:
        """Refuse connections."""
        if self._taking is None or self._listening is None:
            return
        self._taking.cancel()
        with suppress(asyncio.CancelledError):
            await self._taking
        self._listening.close()
        self._taking = self._listening = None
        self._reserved = self._bind()

    async def close(self) -> None:
        """For good."""
        await self.shut()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def _take_all(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            taken, _ = await loop.sock_accept(listening)
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._take(taken))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _bind(self) -> socket.socket:
        bound = socket.socket()
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind(("127.0.0.1", self.port))
        except BaseException:
            bound.close()
            raise
        return bound
