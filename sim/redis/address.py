"""The simulated Redis at an address: for code under test that makes its own clients, of whatever library and version.

What clients write is read as the Redis protocol, in whatever pieces it comes, and travels through the link; replies leave in
the version of the protocol that the connection has agreed on. A handshake (`HELLO`, `AUTH`, `SELECT` and `CLIENT` before the
first other command) takes no time and leaves no record, as where a connection of lane `sdk` is made.
"""

from __future__ import annotations

import math
from typing import Any, Final

import redis.asyncio
from fakeredis._clients._tcp_server import encode_reply
from fakeredis._helpers import SimpleError
from fakeredis._socket import FakeSocket

from relaysim.sim.kernel import current_context
from relaysim.sim.redis.exchange import OfDatabase
from relaysim.sim.redis.link import RedisLink
from relaysim.sim.redis.wait import Waits
from relaysim.sim.sockets import Connection

_AGREEING: Final = frozenset((b"HELLO", b"AUTH", b"SELECT", b"CLIENT"))
"""The commands of a handshake."""

_OF_CHANNELS: Final = frozenset(
    (
        *(name.encode() + b"SUBSCRIBE" for name in ("", "P", "S", "UN", "PUN", "SUN")),
        *(b"PUBLISH", b"SPUBLISH"),  # to a channel of one's own
    )
)
"""The commands of whose replies lists come as messages of channels do."""


class RedisAddress:
    """The service at the address of a world's Redis.

    Args:
        link: the server, and the network to it.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._lost: dict[str, int] = {}

    async def connect(self, connection: Connection) -> RedisSession:
        """Take a connection. One in place of another that was lost takes a round trip in a world with faults.

        Raises:
            ConnectionRefusedError: the server is down.
        """
        worker = connection.host.name
        again = self._lost.get(worker, 0) > 0
        if again:
            self._lost[worker] -= 1
        try:
            session = await self._link.faulty_path.connect(worker, again=again)
        except BaseException:
            self.note_lost(worker)
            raise
        return RedisSession(connection, self._link, session, self)

    def note_lost(self, worker: str) -> None:
        """A connection of this worker has ended."""
        self._lost[worker] = self._lost.get(worker, 0) + 1


class RedisSession:
    """The server's end of one connection."""

    def __init__(self, connection: Connection, link: RedisLink, session: int, address: RedisAddress) -> None:
        self._connection = connection
        self._link = link
        self._address = address
        self._socket = _ServedSocket(connection, link, session)
        self._waiting: list[tuple[str, list[bytes]]] = []  # commands that came while others were on their way
        self._busy = False
        self._agreeing = True
        self._closed = False
        if link.has_faults:
            link.faulty_path.register(self._socket)

    def receive(self, data: bytes) -> None:
        """Take bytes: the commands that are whole by now are sent, as one pipeline."""
        socket = self._socket
        if socket.refused:
            return
        try:
            socket.sendall(data)
        except (SimpleError, ValueError):  # no array of texts: a server says so, and closes
            socket.refused = True
            self._connection.deliver(b"-ERR Protocol error: expected an array of bulk strings\r\n")
            self._connection.finish()
            return
        delivery = current_context.get()
        for fields in socket.take_arrived():
            if self._agreeing and fields[0].upper() in _AGREEING:
                self._agree(fields)
            else:
                self._agreeing = False
                self._waiting.append((delivery, fields))
        self._send()

    def client_finished(self) -> None:
        """Replies still come; then the server closes too."""
        self._closed = True
        self._close_if_done()

    def client_closed(self, *, cancelled: bool) -> None:
        """What was sent is processed all the same, but for what waits for data."""
        self._closed = True
        self._address.note_lost(self._connection.host.name)
        self._link.faulty_path.blocked.hang_up(self._socket)
        self._close_if_done()

    def _agree(self, fields: list[bytes]) -> None:
        """A command of the handshake, answered at once. Whatever a client knows for a password is one."""
        name = fields[0].upper()
        if name == b"AUTH":
            self._connection.deliver(b"+OK\r\n")
            return
        if name == b"HELLO":
            upper = [field.upper() for field in fields]
            if b"AUTH" in upper:
                at = upper.index(b"AUTH")
                fields = fields[:at] + fields[at + 3 :]
        replies: list[Any] = []
        self._socket.reply_to(fields, replies)
        for reply in replies:
            self._socket.give(reply)

    def _send(self) -> None:
        """Send what waits, unless something is on its way: a connection keeps its order."""
        if self._busy or not self._waiting:
            return
        delivery = self._waiting[0][0]
        count = 1
        if not _selects(self._waiting[0][1]):
            same = (each[0] == delivery and not _selects(each[1]) for each in self._waiting)
            count = next((number for number, fits in enumerate(same) if not fits), len(self._waiting))
        commands = [fields for _, fields in self._waiting[:count]]
        del self._waiting[:count]
        socket = self._socket
        sent: list[tuple[list[bytes], list[Any]]] = []

        def process(fields: list[bytes]) -> Any:
            # What is put there later, when a command no longer has to wait, is also sent.
            replies: list[Any] = []
            sent.append((fields, replies))
            return None if socket.gone else socket.reply_to(fields, replies)

        def answer(_: list[Any]) -> None:
            self._busy = False
            for fields, replies in sent:
                for reply in replies:
                    socket.give(reply, pushed=fields[0].upper() in _OF_CHANNELS)
            self._send()
            self._close_if_done()

        def fail(error: Exception) -> None:
            self._connection.reset()

        self._busy = True
        worker = self._connection.host.name
        self._link.submit(worker, delivery, commands, OfDatabase(process, socket.database_number), answer, socket, fail)

    def _close_if_done(self) -> None:
        if self._closed and not self._busy and not self._waiting and not self._socket.gone:
            self._socket.close()
            self._connection.finish()


def _selects(fields: list[bytes]) -> bool:
    return fields[0].upper() == b"SELECT"


class _ServedSocket(Waits, FakeSocket):
    """fakeredis' end of the connection: takes commands apart, processes them, and is what channels publish to."""

    timeout = math.inf  # how long a client waits shows when it closes the connection
    knows_info = True
    written = 0
    pushed_until = 0.0
    refused = False

    def __init__(self, connection: Connection, link: RedisLink, session: int) -> None:
        self._connection = connection
        self._link = link
        self.session: int | None = session
        self._arrived: list[list[bytes]] = []
        info = {"addr": "{}:{}".format(*connection.local), "laddr": "{}:{}".format(*connection.remote), "resp": 2}
        super().__init__(link.server, 0, client_class=redis.asyncio.Redis, client_info=info)

    @property
    def gone(self) -> bool:
        """Whether the server has forgotten it."""
        return self._server is None

    @property
    def database_number(self) -> int:
        """Which it has selected."""
        return self._db_num

    # Commands

    def _process_command(self, fields: list[bytes]) -> None:
        # Called by what takes the bytes apart.
        if fields:
            self._arrived.append(fields)

    def take_arrived(self) -> list[list[bytes]]:
        """The commands that have arrived whole since the last time."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def process_into(self, fields: list[bytes], into: list[Any]) -> None:
        """Process a command, with its replies put there."""
        self._captured = into
        try:
            super()._process_command(fields)
        finally:
            self._captured = None

    # Replies

    def put_response(self, msg: Any) -> None:
        if self._captured is not None:
            self._captured.append(msg)
        else:  # what the server sends by itself: a message of a channel
            self._link.push(self._connection.host.name, lambda: self._receive(msg), self)

    def _receive(self, msg: Any) -> None:
        if self.session == self._link.faulty_path.session:  # else the connection was reset meanwhile
            self.give(msg, pushed=True)

    def give(self, reply: Any, *, pushed: bool = False) -> None:
        """Let a reply leave, as the protocol writes it."""
        version = self._client_info.protocol_version
        written: bytes = encode_reply(_as_sent(reply), version)
        if pushed and version == 3 and written.startswith(b"*"):
            written = b">" + written[1:]
        self._connection.deliver(written)

    def _decode_error(self, error: SimpleError) -> Any:
        # As what redis-py would raise, which the trace names; with the server's own words, which are sent.
        decoded: Any = super()._decode_error(error)
        decoded.as_sent = error.value
        return decoded

    def reset(self) -> None:
        """The server has reset the connection."""
        if not self.gone:
            self.kill()
        self._connection.reset()


def _as_sent(reply: Any) -> Any:
    """The same reply with its errors as the server words them."""
    if isinstance(reply, Exception):
        return SimpleError(getattr(reply, "as_sent", f"ERR {reply}"))
    if isinstance(reply, list) and any(isinstance(each, (Exception, list)) for each in reply):
        return [_as_sent(each) for each in reply]
    return reply
