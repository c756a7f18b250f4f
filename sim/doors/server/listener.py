"""The listening socket of a simulated server: how it opens, how it is shut for a while, how it stops.

uvicorn's own `Server` polls, takes the process's signals, and cannot close its socket and go on. This does, with uvicorn's
protocol and configuration underneath.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import suppress
from typing import Final

from uvicorn.config import Config

from relaysim.sim.doors.server import CONTROL_PREFIX
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.http_protocol import CONNECTIONS_MAX, Connection, Connections

_GRACE_SECONDS: Final = 2.0
"""How long requests in flight may take to finish when the server stops."""

KEEP_ALIVE_SECONDS: Final = 75
"""How long a connection without a request stays open; longer than clients keep theirs, so that no request meets its end."""

READING_SECONDS: Final = 60
"""How long a request may take to come in whole."""

_SWEEP_SECONDS: Final = 15.0
_BACKLOG: Final = 2048
_REOPEN_SECONDS: Final = 0.2
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


def own_process() -> None:
    """Tell Python's garbage collector that this process does nothing but serve.

    What a server keeps (threads, messages, a trace) is no garbage, and looking through all of it again and again costs a
    sixth of the time and pauses of 100 ms. So what is imported is never looked at again, and the rest more rarely.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 50)


class Listener:
    """Serves one `SimulatedServer` on one address.

    Args:
        server: the application.
        host: name or address to listen on.
        port: port; 0: a free one.
        connections_max: how many connections are served at once.

    Attributes:
        port: the port listened on; known once started.
    """

    def __init__(
        self, server: SimulatedServer, host: str = "127.0.0.1", port: int = 0, connections_max: int = CONNECTIONS_MAX
    ) -> None:
        self.server = server
        self.port = port
        self._host = host
        self._family: int = socket.AF_INET
        self._address: tuple[object, ...] = ()
        self._connections = Connections(connections_max)
        self._config = Config(
            server,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            interface="asgi3",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._accepting: asyncio.Server | None = None
        self._reserved: socket.socket | None = None  # keeps the port while nothing listens on it
        self._want_open = self._stopping = False
        self._settling: asyncio.Task[None] | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """Scheme, address and port, for clients on this machine."""
        host = _ANYWHERE.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return self.url + self.server.api.wire.base_path

    @property
    def control_url(self) -> str:
        """Where the control API is."""
        return self.url + CONTROL_PREFIX

    async def start(self) -> None:
        """Listen, and let virtual time begin.

        Raises:
            OSError: the host is unknown, or the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._family, _, _, _, self._address = found[0]
        bound = self._bind()
        self.port = bound.getsockname()[1]
        self._address = (self._address[0], self.port, *self._address[2:])
        self._want_open = True
        await self._listen(bound)
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)
        self.server.start(self)

    async def stop(self) -> None:
        """Stop accepting, end streams and silences, let requests in flight finish for a while, cut off the rest."""
        self._stopping, self._want_open = True, False
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.settled()
        await self._stop_accepting()
        if self._reserved is not None:
            self._reserved.close()
        self.server.end_waiting()
        connections = self._connections.connections
        for connection in list(connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + _GRACE_SECONDS
        while connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        self.server.stop()
        for connection in list(connections):
            if isinstance(connection, Connection):
                connection.reset()
        tasks = list(self._connections.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=0.5)
        for task in self._connections.tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._connections.tasks, return_exceptions=True)

    # Listening and not

    def refuse_connections(self) -> None:
        """Refuse new connections, as if nothing ran here, and reset those that carry no request.

        A connection that was last used for the control API stays, so that the world can still be reached. All this happens
        a moment later; `settled` waits for it.
        """
        self._want_open = False
        self._settle()

    def accept_connections(self) -> None:
        """Accept connections again, a moment later; not once the server stops."""
        if not self._stopping:
            self._want_open = True
            self._settle()

    async def settled(self) -> None:
        """Wait until the port is listened on, or not, as was asked last."""
        if self._settling is not None:
            await self._settling

    def _settle(self) -> None:
        if self._settling is None or self._settling.done():
            self._settling = asyncio.get_running_loop().create_task(self._listen_or_not())

    async def _listen_or_not(self) -> None:
        while self._want_open is not (self._accepting is not None):
            if not self._want_open:
                await self._stop_accepting()
                with suppress(OSError):  # then the port is anybody's until it is listened on again
                    self._reserved = self._bind()
                for connection in list(self._connections.connections):
                    if isinstance(connection, Connection) and connection.idle and not connection.controlling:
                        connection.reset()
                continue
            bound, self._reserved = self._reserved, None
            try:
                await self._listen(bound or self._bind())
            except OSError as error:
                self.server.note_error(error)
                await asyncio.sleep(_REOPEN_SECONDS)

    def _sweep(self) -> None:
        """Close the connections that have been idle for long, and those that have not finished a request for long."""
        loop = asyncio.get_running_loop()
        oldest, begun = loop.time() - KEEP_ALIVE_SECONDS, loop.time() - READING_SECONDS
        for connection in list(self._connections.connections):
            if not isinstance(connection, Connection):
                continue
            if connection.reading_since is not None and connection.reading_since < begun:
                connection.give_up()
            elif connection.idle and connection.answered < oldest:
                connection.close()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)

    async def _listen(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        def connect() -> Connection:
            return Connection(self._config, self._connections, {}, loop)

        try:
            self._accepting = await loop.create_server(connect, sock=bound, backlog=_BACKLOG)
        except BaseException:
            bound.close()
            raise

    def _bind(self) -> socket.socket:
        # With the protocol named, asyncio switches Nagle's algorithm off; without, each answer would wait 40 ms.
        bound = socket.socket(self._family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setblocking(False)
            bound.bind(self._address)
        except BaseException:
            bound.close()
            raise
        return bound

    async def _stop_accepting(self) -> None:
        accepting, self._accepting = self._accepting, None
        if accepting is None:
            return
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # on Windows' loop
            for listening in accepting.sockets:
                loop.remove_reader(listening.fileno())
        # A connection that is just being accepted must find its server open (asyncio asserts that), and turn up here.
        for _ in range(3):
            await asyncio.sleep(0)
        accepting.close()
