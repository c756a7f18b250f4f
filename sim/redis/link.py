"""The simulated server and the network to it, shared by both lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis.asyncio
from fakeredis._socket import FakeSocket

from relaysim.sim.kernel import Kernel, maker_of
from relaysim.sim.redis.cluster_slots import REFUSAL, crosses_slots
from relaysim.sim.redis.command_names import CommandNames, Read
from relaysim.sim.redis.exchange import Exchange, Line, OfDatabase, PushedLine, may_wait
from relaysim.sim.redis.faulty_path import FaultyPath
from relaysim.sim.redis.kept_words import keys_that_hold
from relaysim.sim.redis.lease_holders import LeaseWatch
from relaysim.sim.redis.redis_faults import RedisFault
from relaysim.sim.redis.scripts import ScriptServer
from relaysim.sim.redis.set_locks import SetLocks, UnwatchedLocks
from relaysim.sim.redis.wait import WAITING, Blocked, Waits
from relaysim.sim.trace.schema import RedisCommand

_redis_command = maker_of(RedisCommand)


class CommandSocket(Waits, FakeSocket):
    """A connection to the simulated server on which a command and its reply are one call."""

    def __init__(self, server: ScriptServer) -> None:
        self._replies: list[Any] = []
        # redis-py 8 speaks version 3 of the protocol unless told otherwise, and its reply callbacks expect it.
        super().__init__(server, 0, client_class=redis.asyncio.Redis, client_info={"resp": 3})

    def put_response(self, msg: Any) -> None:
        self._replies.append(msg)

    def process_into(self, fields: list[bytes], into: list[Any]) -> None:
        """Process a command, with its replies put there."""
        outer, self._replies = self._replies, into
        try:
            self._process_command(fields)
        finally:
            self._replies = outer

    def execute(self, fields: list[bytes]) -> Any:
        """The server's reply to one command, or that it has to wait; an error reply is returned as redis-py's exception."""
        self._process_command(fields)
        if self._begun is not None:
            begun, self._begun = self._begun, None
            begun.begin(self, fields, [])
            return begun
        return self._replies.pop() if self._replies else None


_idle_servers: list[ScriptServer] = []


def _take_server() -> ScriptServer:
    """A server with nothing in it. Servers are used again: a new one costs a Lua runtime and leaks memory."""
    return _idle_servers.pop() if _idle_servers else ScriptServer()


def _give_back(server: ScriptServer) -> None:
    """Clear what a world has left, the script cache too, or the next world's first script call would answer differently.
    Its connections go now: they hold the whole world."""
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
    server.confirmed = 0
    server._next_client_id = 1
    if (script_runner := getattr(server, "_lua_current_socket", None)) is not None:
        script_runner[0] = None
    _idle_servers.append(server)


class RedisLink:
    """One Redis server, and the network between it and the hosts of a world.

    Args:
        kernel: the world's kernel.
        round_trip: turns a uniform in (0, 1) into the seconds of one round trip.
        pause_probability: how likely a command meets a pause of the server, 0 to 1.
        pause: turns a uniform into the seconds of such a pause.
        is_handled: whether a delivery is still being handled, see `relaysim.sim.redis.set_locks`.
        faults: what goes wrong, see `redis_faults`. What will begin at a time of its own is scheduled now.
        watched: as of `watch_leases`, from the start.
        replicas: how many replicas WAIT can count on.
        replication: turns a uniform into the seconds until they have confirmed.
        cluster: it is a node of a cluster, see `cluster_slots`.
        watches_locks: whether it is told which locks run out under their holders.

    Attributes:
        faults: the faults with how often each has fired.
        outages: from when to when, in virtual seconds, the server was gone; a last one that goes on ends at infinity.
        lags: from when to when replicas had confirmed nothing, before one of them took over.
        pauses: from when to when a command waited for a pause of the server.
        has_faults: whether this world has faults at all, also once they have stopped.
        faulty_path: the path of commands and replies then.
    """

    def __init__(
        self,
        kernel: Kernel,
        round_trip: Callable[[float], float],
        *,
        pause_probability: float = 0.0,
        pause: Callable[[float], float] | None = None,
        is_handled: Callable[[str], bool] = lambda delivery: True,
        faults: Sequence[RedisFault] = (),
        watched: str | None = None,
        replicas: int = 1,
        replication: Callable[[float], float] = lambda u: 0.001,
        cluster: bool = False,
        watches_locks: bool = True,
    ) -> None:
        self.kernel = kernel
        self.server = _take_server()
        self._round_trip = round_trip
        self._pause_probability = pause_probability
        self._pause = pause
        self._is_handled = is_handled
        self._cluster = cluster
        self._set_locks = SetLocks if watches_locks else UnwatchedLocks
        self._locks = self._set_locks(kernel, self.server, is_handled)
        self._further: dict[int, tuple[SetLocks, LeaseWatch | None]] = {}  # by the number of a database
        self._read = CommandNames().read
        self._direct_socket: CommandSocket | None = None
        self._watch: LeaseWatch | None = None
        self._lease_key = watched
        if watched is not None:
            self.watch_leases(watched)
        self.has_faults = bool(faults)
        self.faulty_path = FaultyPath(
            kernel,
            self.server,
            faults,
            round_trip=round_trip,
            replicas=replicas,
            replication=replication,
            read=self._read,
            perform=self._perform,
            after_loss=self._note_lost_writes,
        )
        self.faults = self.faulty_path.faults
        self.outages = self.faulty_path.outages
        self.lags = self.faulty_path.lags
        self.pauses: list[tuple[float, float]] = []

    def close(self) -> None:
        """Give the server back for the next world, unless a script has left something in it."""
        if self.server.can_be_used_again:
            _give_back(self.server)

    def direct_socket(self) -> CommandSocket:
        """The one connection that the direct lane's commands share."""
        if self._direct_socket is None:
            self._direct_socket = CommandSocket(self.server)
        return self._direct_socket

    def watch_leases(self, key: str) -> None:
        """Tell the trace who holds which lease, from now on.

        Args:
            key: of a conversation's lease, with `{conversation}` once; its value is the holder's token.
        """
        self._lease_key = key
        self._watch = LeaseWatch(self.kernel, self.server, key)
        self._locks.declared = self._watch.keys
        self._further.clear()  # nobody's code has used another database yet

    def holder(self, conversation: str) -> str | None:
        """The worker that holds a conversation's watched lease at this instant; None also where none is watched."""
        watches = [self._watch, *(watch for _, watch in self._further.values())]
        holders = (None if watch is None else watch.holder(conversation) for watch in watches)
        return next((holder for holder in holders if holder is not None), None)

    def keys_that_hold(self, words: Mapping[str, str]) -> dict[str, str]:
        """Where each of these words is kept for good, see `kept_words`."""
        return keys_that_hold(self.server, words)

    def stop_faults(self) -> None:
        """Stop all faults: what lasts ends now, what is due does not begin."""
        self.faulty_path.stop()

    def submit(
        self,
        worker: str,
        delivery: str,
        commands: list[list[bytes]],
        process: Callable[[list[bytes]], Any],
        answer: Callable[[list[Any]], object],
        line: Line | None = None,
        fail: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        """Send one command, or a pipeline of several, over one connection.

        `process` runs for each when they reach the server, in their order; `answer` gets the replies when they are back.
        The latency is keyed by worker, first command, its key and how often that was sent, so both lanes draw the same.
        Where something may come between, as in a world with faults or with a command that waits, `line` is the connection,
        and `fail` gets what happened to it instead of `answer` the replies.
        """
        first = self._read(commands[0])
        command, _, command_text, key = first
        draws = self.kernel.draws
        purpose = f"redis {command_text} {key}"
        index = draws.next_index(worker, purpose)
        half = 0.5 * draws.seconds(self._round_trip, worker, purpose, index)
        outward = half
        if (
            self._pause_probability
            and self._pause is not None
            and draws.rare(worker, purpose + " paused", index) < self._pause_probability
        ):
            outward += self._pause(draws.uniform(worker, purpose + " pause", index))
            self.pauses.append((self.kernel.now, self.kernel.now + outward))
        if line is None or not (self.has_faults or command in WAITING or (len(commands) > 1 and may_wait(commands))):
            self.kernel.at(outward, self._arrive, worker, delivery, commands, first, process, answer, half)
        else:
            exchange = Exchange(worker, delivery, commands, first, process, answer, fail, line, purpose, index, half)
            self.faulty_path.send(exchange, outward)

    def push(self, worker: str, receive: Callable[[], object], line: PushedLine) -> None:
        """Let what the server sends by itself over a connection travel to this worker, after what it sent there before."""
        draws = self.kernel.draws
        half = 0.5 * self._round_trip(draws.uniform(worker, "redis push", draws.next_index(worker, "redis push")))
        line.pushed_until = max(self.kernel.now + half, line.pushed_until)
        self.kernel.at(line.pushed_until - self.kernel.now, receive)

    def _arrive(
        self,
        worker: str,
        delivery: str,
        commands: list[list[bytes]],
        first: Read,
        process: Callable[[list[bytes]], Any],
        answer: Callable[[list[Any]], object],
        back: float,
    ) -> None:
        self.kernel.at(back, answer, self._perform(worker, delivery, commands, first, process))

    def _perform(
        self,
        worker: str,
        delivery: str,
        commands: list[list[bytes]],
        first: Read,
        process: Callable[[list[bytes]], Any],
    ) -> list[Any]:
        """Process commands at this instant; their replies."""
        trace, watch, locks = self.kernel.trace, self._watch, self._locks
        if type(process) is OfDatabase and process.database:
            locks, watch = self._watchers_of(process.database)
        blocked = self.faulty_path.blocked
        replies = []
        read: Read | None = first
        for fields in commands:
            command, key, command_text, key_text = read or self._read(fields)
            read = None
            locks.before(key)
            watched = watch is not None and watch.watches(key)
            if watched:
                watch.before(key)  # type: ignore[union-attr]
            reply = process(list(REFUSAL) if self._cluster and crosses_slots(fields) else fields)
            replies.append(reply)
            if type(reply) is Blocked:
                return replies
            record = _redis_command(delivery=delivery, command=command_text, key=key_text, reply=_summary(reply))
            trace.add(worker, record)
            locks.after(worker, delivery, command, key, fields, reply)
            if watched:
                watch.after(key, worker)  # type: ignore[union-attr]
            if blocked.waiting:
                blocked.serve()
        return replies

    def _watchers_of(self, database: int) -> tuple[SetLocks, LeaseWatch | None]:
        """What looks at the locks and the leases of a database other than the first."""
        found = self._further.get(database)
        if found is None:
            locks, watch = self._set_locks(self.kernel, self.server, self._is_handled, database), None
            if self._lease_key is not None:
                watch = LeaseWatch(self.kernel, self.server, self._lease_key, database)
                locks.declared = watch.keys
            found = self._further[database] = locks, watch
        return found

    def _note_lost_writes(self) -> None:
        """The server has lost its last writes: some leases are no longer there, others are again."""
        for locks, watch in ((self._locks, self._watch), *self._further.values()):
            locks.after_loss()
            if watch is not None:
                watch.after_loss()


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
    _give_back(server)
