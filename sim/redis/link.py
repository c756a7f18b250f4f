"""The simulated server and the network to it, shared by both lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis.asyncio
from fakeredis import FakeServer
from fakeredis._socket import FakeSocket

from sim.kernel import EPOCH_SECONDS, Kernel
from sim.redis.scripts import ScriptServer

_SECONDS_PER_MILLISECOND = 0.001


class _Grant:
    """A lease given by `SET key token NX PX`."""

    __slots__ = ("delivery", "expires_at", "token", "worker")

    def __init__(self, worker: str, delivery: str, token: bytes, expires_at: float) -> None:
        self.worker = worker
        self.delivery = delivery
        self.token = token
        self.expires_at = expires_at


class CommandSocket(FakeSocket):
    """A connection to the simulated server on which a command and its reply are one call."""

    def __init__(self, server: FakeServer) -> None:
        self._replies: list[Any] = []
        # redis-py 8 speaks version 3 of the protocol unless told otherwise, and its reply callbacks expect it.
        super().__init__(server, 0, client_class=redis.asyncio.Redis, client_info={"resp": 3})

    def put_response(self, msg: Any) -> None:
        self._replies.append(msg)

    def _blocking(self, timeout: Any, func: Any, shape: Any = None) -> Any:
        raise RuntimeError("blocking Redis commands are not in the direct lane: use lane sdk")

    def execute(self, fields: list[bytes]) -> Any:
        """The server's reply to one command; an error reply is returned as redis-py's exception."""
        self._process_command(fields)
        return self._replies.pop() if self._replies else None


_idle_servers: list[ScriptServer] = []


def _take_server() -> ScriptServer:
    """A server with nothing in it.

    Servers are used again: a new one costs a Lua runtime and leaks memory. What a former world left is cleared, the
    script cache too, or the next world's first script call would answer differently.
    """
    if not _idle_servers:
        return ScriptServer()
    server = _idle_servers.pop()
    server.dbs.clear()
    server.script_cache.clear()
    server.subscribers.clear()
    server.psubscribers.clear()
    server.ssubscribers.clear()
    server.sockets.clear()
    server.closed_sockets.clear()
    server.clients.clear()
    server.scan_cursors.clear()
    server.connected = True
    server._next_client_id = 1
    return server


class RedisLink:
    """One Redis server, and the network between it and the hosts of a world.

    Args:
        kernel: the world's kernel.
        round_trip: turns a uniform in (0, 1) into the seconds of one round trip.
        pause_probability: how likely a command meets a pause of the server, 0 to 1.
        pause: turns a uniform into the seconds of such a pause.
        is_handled: whether a delivery is still being handled; a lease that runs out after its handling is no loss.
    """

    def __init__(
        self,
        kernel: Kernel,
        round_trip: Callable[[float], float],
        *,
        pause_probability: float = 0.0,
        pause: Callable[[float], float] | None = None,
        is_handled: Callable[[str], bool] = lambda delivery: True,
    ) -> None:
        self.kernel = kernel
        self.server = _take_server()
        self._round_trip = round_trip
        self._pause_probability = pause_probability
        self._pause = pause
        self._is_handled = is_handled
        self._grants: dict[bytes, _Grant] = {}
        self._texts: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        self._direct_socket: CommandSocket | None = None

    def close(self) -> None:
        """Give the server back for the next world, unless a script has left something in it."""
        if self.server.can_be_used_again:
            _idle_servers.append(self.server)

    def direct_socket(self) -> CommandSocket:
        """The one connection that the direct lane's commands share."""
        if self._direct_socket is None:
            self._direct_socket = CommandSocket(self.server)
        return self._direct_socket

    def submit(
        self,
        worker: str,
        delivery: str,
        commands: list[list[bytes]],
        process: Callable[[list[bytes]], Any],
        answer: Callable[[list[Any]], object],
    ) -> None:
        """Send one command, or a pipeline of several, over one connection.

        `process` runs for each when they reach the server, in their order; `answer` gets the replies when they are
        back. The latency is keyed by worker, first command, its key and how often that was sent, so both lanes draw
        the same.
        """
        _, _, command, key = self._read(commands[0])
        draws = self.kernel.draws
        purpose = f"redis {command} {key}"
        index = draws.next_index(worker, purpose)
        half = 0.5 * self._round_trip(draws.uniform(worker, purpose, index))
        outward = half
        if (
            self._pause_probability
            and self._pause is not None
            and draws.uniform(worker, purpose + " paused", index) < self._pause_probability
        ):
            outward += self._pause(draws.uniform(worker, purpose + " pause", index))
        self.kernel.at(outward, self._arrive, worker, delivery, commands, process, answer, half)

    def _read(self, fields: list[bytes]) -> tuple[bytes, bytes, str, str]:
        """A command's name and first key, as bytes and as text."""
        command = fields[0].upper()
        key = _key_of(command, fields)
        texts = self._texts.get((command, key))
        if texts is None:
            texts = self._texts[command, key] = command.decode("latin-1"), key.decode("utf-8", "replace")
        return command, key, *texts

    def _arrive(
        self,
        worker: str,
        delivery: str,
        commands: list[list[bytes]],
        process: Callable[[list[bytes]], Any],
        answer: Callable[[list[Any]], object],
        back: float,
    ) -> None:
        trace = self.kernel.trace
        replies = []
        for fields in commands:
            command, key, command_text, key_text = self._read(fields)
            self._note_losses(key)
            reply = process(fields)
            replies.append(reply)
            trace.add(worker, "redis", delivery, command_text, key_text, _summary(reply))
            if command == b"SET" and reply is not None and not isinstance(reply, Exception):
                self._note_grant(worker, delivery, key, fields)
            elif key in self._grants:
                self._note_release(key)
        self.kernel.at(back, answer, replies)

    # Leases: which SET NX PX ran out under a delivery that still relied on it

    def _note_grant(self, worker: str, delivery: str, key: bytes, fields: list[bytes]) -> None:
        options = [field.upper() for field in fields[3:]]
        if b"NX" not in options:
            self._grants.pop(key, None)
            return
        for name, scale in ((b"PX", _SECONDS_PER_MILLISECOND), (b"EX", 1.0)):
            if name in options:
                seconds = int(fields[3 + options.index(name) + 1]) * scale
                break
        else:
            return
        grant = _Grant(worker, delivery, fields[2], self.kernel.now + seconds)
        self._grants[key] = grant
        # fakeredis counts in milliseconds and drops a key after its last one.
        self.kernel.at(seconds + _SECONDS_PER_MILLISECOND, self._check_lease, key, grant)

    def _stored(self, key: bytes) -> tuple[bytes | None, float | None]:
        item = self.server.dbs[0]._dict.get(key)
        return (None, None) if item is None else (item.value, item.expireat)

    def _note_release(self, key: bytes) -> None:
        grant = self._grants[key]
        value, _ = self._stored(key)
        if value != grant.token and self.kernel.now < grant.expires_at:
            del self._grants[key]

    def _note_losses(self, key: bytes) -> None:
        grant = self._grants.get(key)
        if grant is not None and self.kernel.now >= grant.expires_at:
            self._check_lease(key, grant)

    def _check_lease(self, key: bytes, grant: _Grant) -> None:
        if self._grants.get(key) is not grant:
            return
        value, expires_at = self._stored(key)
        if value == grant.token and expires_at is not None:
            left = expires_at - (EPOCH_SECONDS + self.kernel.now)
            if left > 0:  # renewed meanwhile
                grant.expires_at = self.kernel.now + left
                self.kernel.at(left + _SECONDS_PER_MILLISECOND, self._check_lease, key, grant)
                return
        del self._grants[key]
        if self._is_handled(grant.delivery):
            self.kernel.trace.add(
                "redis", "lease.expired", key.decode("utf-8", "replace"), grant.worker, grant.delivery
            )


def _key_of(command: bytes, fields: list[bytes]) -> bytes:
    """The first key of a command; the one a lock is about."""
    if command in (b"EVAL", b"EVALSHA"):
        return fields[3] if len(fields) > 3 and fields[2] != b"0" else b""
    return fields[1] if len(fields) > 1 else b""


def _summary(reply: Any) -> str | int:
    """What a trace says of a reply: never a value, since values hold tokens."""
    if reply is None:
        return "nil"
    if isinstance(reply, bool):
        return int(reply)
    if isinstance(reply, int):
        return reply
    if isinstance(reply, Exception):
        return f"error {type(reply).__name__}"
    if reply in (b"OK", "OK"):
        return "OK"
    if isinstance(reply, (bytes, str)):
        return f"{len(reply)} bytes"
    return f"{len(reply)} items" if hasattr(reply, "__len__") else type(reply).__name__


def warm_up() -> None:
    """Import and run once what fakeredis and redis-py do only at first use, before any world runs."""
    server = _take_server()
    socket = CommandSocket(server)
    socket.execute([b"SET", b"warm", b"1", b"NX", b"PX", b"5"])
    socket.execute([b"EVAL", b"return redis.call('GET', KEYS[1])", b"1", b"warm"])
    socket.execute([b"NO-SUCH-COMMAND"])
    _idle_servers.append(server)
