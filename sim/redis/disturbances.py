"""What comes between a command and its reply: a server that is slow or gone, lost packets, and WAIT."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import redis.asyncio

from relaysim.sim.kernel import Kernel, Timer
from relaysim.sim.redis.faults import RedisFault, RedisFaultPlan, Window
from relaysim.sim.redis.replication import Lag, Replication
from relaysim.sim.redis.scripts import ScriptServer

_SECONDS_PER_MILLISECOND = 0.001

HOST: Final = "localhost:6379"
"""Where redis-py believes that it is connected to."""

RESET: Final = f"Error while reading from {HOST} : (104, 'Connection reset by peer')"
CLOSED: Final = "Connection closed by server."
REFUSED: Final = "Connect call failed ('127.0.0.1', 6379)"
TIMED_OUT: Final = f"Timeout reading from {HOST}"

Read = tuple[bytes, bytes, str, str]
"""A command's name and first key, as bytes and as text."""


class Resettable(Protocol):
    """What is told when the server resets its connections."""

    def reset(self) -> None:
        """The connection is gone."""
        ...


class Line(Protocol):
    """A client's end of one connection.

    Attributes:
        session: the link's when it was made; None while it is not connected.
        written: see `relaysim.sim.redis.replication.Writer`.
        timeout: how many seconds a reply may take.
    """

    session: int | None
    written: int
    timeout: float


class Exchange:
    """A command, or a pipeline of several, and its replies, where something may come between.

    Attributes:
        worker: who sent it.
        delivery: what for, see `relaysim.sim.kernel.current_context`.
        commands: as fields.
        first: the first of them, read.
        process: lets the server process one, returns its reply.
        answer: takes all replies.
        fail: takes an error instead of them.
        line: the connection.
        session: the connection's when it was sent.
        purpose: keys its draws, with the worker and the next.
        index: its number among the worker's of that purpose.
        back: seconds that the way back takes.
        deadline: when the client gives up, in virtual seconds.
        begins: what begins once it is processed.
        position: how many of its commands have been processed.
        replies: theirs.
        counted: faults have counted it.
        slowed: a slow server has let it wait.
        waited: the WAIT that comes next has waited.
        unanswered: it gets no reply.
        timing_out: the client will give up.
        ended: the client has its replies, or has given up.
    """

    __slots__ = (
        "answer",
        "back",
        "begins",
        "commands",
        "counted",
        "deadline",
        "delivery",
        "ended",
        "fail",
        "first",
        "index",
        "line",
        "position",
        "process",
        "purpose",
        "replies",
        "session",
        "slowed",
        "timing_out",
        "unanswered",
        "waited",
        "worker",
    )

    def __init__(
        self,
        worker: str,
        delivery: str,
        commands: list[list[bytes]],
        first: Read,
        process: Callable[[list[bytes]], Any],
        answer: Callable[[list[Any]], object],
        fail: Callable[[Exception], object],
        line: Line,
        purpose: str,
        index: int,
        back: float,
    ) -> None:
        self.worker = worker
        self.delivery = delivery
        self.commands = commands
        self.first = first
        self.process = process
        self.answer = answer
        self.fail = fail
        self.line = line
        self.session = line.session
        self.purpose = purpose
        self.index = index
        self.back = back
        self.deadline = math.inf
        self.begins: Window | None = None
        self.position = 0
        self.replies: list[Any] = []
        self.counted = self.slowed = self.waited = self.unanswered = self.timing_out = self.ended = False


class Disturbances:
    """The disturbed way between the hosts of a world and its Redis server.

    Args:
        kernel: the world's kernel.
        server: the server.
        faults: what goes wrong. What will begin at a time of its own is scheduled now.
        round_trip: turns a uniform in (0, 1) into the seconds of one round trip.
        replicas: how many replicas WAIT can count on.
        replication: turns a uniform into the seconds until they have confirmed.
        read: reads a command.
        perform: lets commands be processed at this instant, see `RedisLink`.
        after_loss: called once the server has lost its last writes.

    Attributes:
        faults: with how often each has fired.
        outages: from when to when, in virtual seconds, the server was gone; a last one that goes on ends at infinity.
        session: grows whenever all connections are reset.
    """

    def __init__(
        self,
        kernel: Kernel,
        server: ScriptServer,
        faults: Sequence[RedisFault],
        *,
        round_trip: Callable[[float], float],
        replicas: int,
        replication: Callable[[float], float],
        read: Callable[[list[bytes]], Read],
        perform: Callable[[str, str, list[list[bytes]], Read, Callable[[list[bytes]], Any]], list[Any]],
        after_loss: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._server = server
        self._round_trip = round_trip
        self._replicas = replicas
        self._replication_seconds = replication
        self._read = read
        self._perform = perform
        self._after_loss = after_loss
        self.session = 0
        self.outages: list[tuple[float, float]] = []
        self.faults = RedisFaultPlan(faults, kernel.draws.uniform)
        self._replication = Replication(server) if any(fault.lost_seconds is not None for fault in faults) else None
        self._waiting: list[Exchange] = []
        self._sockets: list[Resettable] = []
        self._timers: list[Timer] = []
        self._away: list[Window] = []
        self._slow: list[Window] = []
        self._schedule()

    async def connect(self, worker: str, *, again: bool) -> int:
        """Make a connection; its session.

        The first time takes none, as from a pool that is warm. In a disturbed world a lost connection takes a round trip
        to make again. Otherwise it would be there at once after a different number of steps in each lane, and two
        commands of one instant would change places.

        Raises:
            ConnectionRefusedError: after half a round trip, if the server is away.
        """
        if not self.faults.faults or not (again or self._away):
            return self.session
        half = 0.5 * self._round_trip(self._kernel.draws.uniform(worker, "redis connect"))
        await self._pass(half)
        if self._away:
            raise ConnectionRefusedError(errno.ECONNREFUSED, REFUSED)
        session = self.session
        await self._pass(half)
        return session

    async def _pass(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._kernel.at(seconds, _wake, future)
        await future

    def register(self, socket: Resettable) -> None:
        """Tell this connection when the server resets all of them."""
        self._sockets.append(socket)

    def send(self, exchange: Exchange, outward: float) -> None:
        """Let an exchange begin; the way out takes `outward` seconds."""
        exchange.deadline = self._kernel.now + exchange.line.timeout
        self._answer_within(exchange, outward)
        self._kernel.at(outward, self._reach, exchange)

    def _reach(self, exchange: Exchange) -> None:
        """A command reaches the server, or what is left of it."""
        if exchange.session != self.session:
            self._reset(exchange)
            return
        if not exchange.counted:
            exchange.counted = True
            if self._hit(exchange):
                return
        if self._slow and not exchange.slowed:
            exchange.slowed = True
            self._delay(exchange)
            return
        begins = None if self.faults.stopped else exchange.begins
        # What the command writes is what will be lost.
        lag = None if begins is None or self._replication is None else self._replication.fall_behind()
        self._process(exchange)
        if begins is not None:
            self._begin(begins, exchange.first, lag)

    def _hit(self, exchange: Exchange) -> bool:
        """Let faults hit a command that has just reached the server; whether it goes no further."""
        plan, trace, now = self.faults, self._kernel.trace, self._kernel.now
        read: Read | None = exchange.first
        lost = False
        for number, fields in enumerate(exchange.commands):
            read = read or self._read(fields)
            command = read[2]
            begins = plan.begins_with(command, now)
            if begins is not None and begins.lost_seconds is not None and exchange.begins is None:
                exchange.begins = begins
            elif begins is not None:
                self._begin(begins, read)
            purpose = exchange.purpose if number == 0 else f"{exchange.purpose} {number}"
            loss = plan.loses(command, now, exchange.worker, purpose, exchange.index)
            if loss is not None:
                trace.add("redis", "redis.fault", loss.kind, *read[2:])
                exchange.unanswered = True
                lost = lost or loss.kind == "command_lost"
            read = None
        if exchange.session != self.session:
            self._reset(exchange)
            return True
        if exchange.unanswered:
            self._time_out(exchange)
        return lost

    def _delay(self, exchange: Exchange) -> None:
        """A slow server comes to this command later."""
        seconds = 0.0
        for window in self._slow:
            assert window.fault.delay_seconds is not None
            u = self._kernel.draws.uniform(
                exchange.worker, f"{exchange.purpose} slow-{window.position}", exchange.index
            )
            seconds += window.fault.delay_seconds.sample(u)
        self._answer_within(exchange, seconds)
        self._kernel.at(seconds, self._reach, exchange)

    def _process(self, exchange: Exchange) -> None:
        """Process commands at this instant, as far as none has to wait, and send the replies back after the last."""
        replication, commands = self._replication, exchange.commands
        while exchange.position < len(commands):
            fields = commands[exchange.position]
            read = self._read(fields) if exchange.position else exchange.first
            if read[0] == b"WAIT" and not exchange.waited and self._wait(exchange, fields):
                return
            exchange.waited = False
            exchange.position += 1
            written = 0 if replication is None else replication.written
            exchange.replies += self._perform(exchange.worker, exchange.delivery, [fields], read, exchange.process)
            if replication is not None and replication.written != written:
                exchange.line.written = replication.written
        if not exchange.unanswered:
            self._answer_within(exchange, 0.0)
            self._kernel.at(exchange.back, self._answer, exchange)

    def _answer(self, exchange: Exchange) -> None:
        if not exchange.ended:
            exchange.ended = True
            exchange.answer(exchange.replies)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        if not exchange.ended:
            exchange.ended = True
            exchange.fail(error)

    def _reset(self, exchange: Exchange) -> None:
        self._fail(exchange, redis.asyncio.ConnectionError(RESET))

    def _answer_within(self, exchange: Exchange, seconds: float) -> None:
        """The reply sets off in so many seconds; if that is too late, the client gives up before."""
        if self._kernel.now + seconds + exchange.back >= exchange.deadline:
            self._time_out(exchange)

    def _time_out(self, exchange: Exchange) -> None:
        """The client will wait in vain."""
        if not exchange.timing_out and exchange.deadline < math.inf:
            exchange.timing_out = True
            left = max(exchange.deadline - self._kernel.now, 0.0)
            self._kernel.at(left, self._fail, exchange, redis.asyncio.TimeoutError(TIMED_OUT))

    # WAIT: its reply comes when the replicas have confirmed, or when its own time is up

    def _wait(self, exchange: Exchange, fields: list[bytes]) -> bool:
        """Let a WAIT wait; False if it makes no sense, which the server will say."""
        try:
            asked, limit = (int(field) for field in fields[1:])
        except ValueError:
            return False
        if limit < 0:
            return False
        uniform = self._kernel.draws.uniform(exchange.worker, exchange.purpose + " replication", exchange.index)
        seconds = 0.0 if asked <= 0 else self._replication_seconds(uniform)
        confirmed = self._replicas if self._replication is None or self._replication.has(exchange.line) else 0
        limit_seconds = limit * _SECONDS_PER_MILLISECOND
        if confirmed < asked or (limit and seconds > limit_seconds):
            confirmed = confirmed if seconds <= limit_seconds else 0
            if not limit:  # it waits for ever
                self._waiting.append(exchange)
                self._time_out(exchange)
                return True
            seconds = limit_seconds
        self._waiting.append(exchange)
        self._answer_within(exchange, seconds)
        self._kernel.at(seconds, self._wait_no_longer, exchange, confirmed)
        return True

    def _wait_no_longer(self, exchange: Exchange, confirmed: int) -> None:
        if exchange in self._waiting:
            self._waiting.remove(exchange)
            self._server.confirmed = confirmed
            exchange.waited = True
            self._process(exchange)

    # Windows: times at which the server is slow or gone

    def _schedule(self) -> None:
        now = self._kernel.now
        for window in self.faults.windows():
            assert window.begins is not None
            lost = window.lost_seconds
            if lost is None:
                self._later(window.begins - now, self._begin, window)
            else:
                self._later(max(window.begins - lost, now) - now, self._fall_behind, window)

    def _later(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back unless the faults are stopped before."""
        self._timers.append(self._kernel.at(max(seconds, 0.0), callback, *args))

    def _fall_behind(self, window: Window) -> None:
        assert self._replication is not None
        assert window.begins is not None
        lag = self._replication.fall_behind()
        self._later(window.begins - self._kernel.now, self._begin, window, None, lag)

    def _begin(self, window: Window, read: Read | None = None, lag: Lag | None = None) -> None:
        """Now it is slow or gone; `read` is the command with which that begins."""
        fault, now = window.fault, self._kernel.now
        self.faults.fire(window.position)
        self._kernel.trace.add("redis", "redis.fault", fault.kind, *(("", "") if read is None else read[2:]))
        if fault.kind == "slow":
            self._slow.append(window)
            self._later(window.seconds, self._end_slow, window)
            return
        if not self._away:
            self.outages.append((now, math.inf))
        self._away.append(window)
        self.session += 1
        if fault.forgets_scripts:
            self._server.script_cache.clear()
        if lag is not None and self._replication is not None:
            self._replication.take_over(lag)
            self._after_loss()
        waiting, self._waiting = self._waiting, []
        for exchange in waiting:
            self._kernel.at(exchange.back, self._reset, exchange)
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.reset()
        self._later(window.seconds, self._end_away, window)

    def _end_slow(self, window: Window) -> None:
        self._slow.remove(window)
        self._kernel.trace.add("redis", "redis.back", window.fault.kind)

    def _end_away(self, window: Window) -> None:
        self._away.remove(window)
        if not self._away:
            self.outages[-1] = (self.outages[-1][0], self._kernel.now)
            self._kernel.trace.add("redis", "redis.back", window.fault.kind)

    def stop(self) -> None:
        """From now on nothing goes wrong any more: what goes on ends, what is due does not begin."""
        self.faults.stopped = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._replication is not None:
            self._replication.catch_up()
        for window in list(self._slow):
            self._end_slow(window)
        for window in list(self._away):
            self._end_away(window)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def has_wait(commands: list[list[bytes]]) -> bool:
    """Whether one of these commands is WAIT."""
    return any(fields[0].upper() == b"WAIT" for fields in commands)
