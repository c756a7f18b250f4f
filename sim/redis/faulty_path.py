"""The path of a command and its reply where something may come between: a server that is slow or gone, losses, WAIT."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis.asyncio

from relaysim.sim.kernel import Kernel, Timer
from relaysim.sim.redis.blocked_clients import BlockedClients
from relaysim.sim.redis.command_names import Read
from relaysim.sim.redis.exchange import Exchange, Resettable
from relaysim.sim.redis.redis_faults import RedisFault, RedisFaultPlan, Window
from relaysim.sim.redis.replication import Lag, Replication
from relaysim.sim.redis.scripts import ScriptServer
from relaysim.sim.redis.wait import Blocked
from relaysim.sim.trace.schema import RedisBack, RedisFaultStruck

_SECONDS_PER_MILLISECOND = 0.001

HOST: Final = "localhost:6379"
"""Where redis-py believes that it is connected to."""

RESET: Final = f"Error while reading from {HOST} : (104, 'Connection reset by peer')"
CLOSED: Final = "Connection closed by server."
REFUSED: Final = "Connect call failed ('127.0.0.1', 6379)"
TIMED_OUT: Final = f"Timeout reading from {HOST}"


class FaultyPath:
    """The path between the hosts of a world and its Redis server, with its faults.

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
        lags: from when to when replicas had confirmed nothing, before one of them took over.
        session: grows whenever all connections are reset.
        blocked: the clients whose present command waits for data.
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
        self.lags: list[tuple[float, float]] = []
        self.faults = RedisFaultPlan(faults, kernel.draws)
        self._replication = Replication(server) if any(fault.lost_seconds is not None for fault in faults) else None
        self._waiting: list[Exchange] = []
        self.blocked = BlockedClients(kernel, read=read, perform=perform, go_on=self._process)
        self._sockets: list[Resettable] = []
        self._timers: list[Timer] = []
        self._open_outages: list[Window] = []
        self._slow: list[Window] = []
        self._schedule()

    async def connect(self, worker: str, *, again: bool) -> int:
        """Make a connection; its session.

        The first time takes none, as from a pool that is warm. In a world with faults a lost connection takes a round trip
        to make again. Otherwise it would be there at once after a different number of steps in each lane, and two
        commands of one instant would change places.

        Raises:
            ConnectionRefusedError: after half a round trip, if the server is down.
        """
        if not self.faults.faults or not (again or self._open_outages):
            return self.session
        half = 0.5 * self._kernel.draws.seconds(self._round_trip, worker, "redis connect")
        await self._sleep(half)
        if self._open_outages:
            raise ConnectionRefusedError(errno.ECONNREFUSED, REFUSED)
        session = self.session
        await self._sleep(half)
        return session

    async def _sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._kernel.at(seconds, _wake, future)
        await future

    def register(self, socket: Resettable) -> None:
        """Tell this connection when the server resets all of them."""
        self._sockets.append(socket)

    def send(self, exchange: Exchange, outward: float) -> None:
        """Let an exchange begin; the way out takes `outward` seconds."""
        exchange.deadline = self._kernel.now + exchange.line.timeout
        self._time_out_if_late(exchange, outward)
        self._kernel.at(outward, self._arrive, exchange)

    def _arrive(self, exchange: Exchange) -> None:
        """A command reaches the server, or the server comes to it at last."""
        if exchange.session != self.session:
            self._reset(exchange)
            return
        if not exchange.counted:
            exchange.counted = True
            if self._apply_faults(exchange):
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

    def _apply_faults(self, exchange: Exchange) -> bool:
        """Let faults hit a command that has just reached the server; whether it goes no further."""
        plan, trace, now = self.faults, self._kernel.trace, self._kernel.now
        read: Read | None = exchange.first
        lost, late = False, 0.0
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
                trace.add("redis", RedisFaultStruck(fault=loss.kind, command=command, key=read[3]))
                exchange.unanswered = exchange.unanswered or loss.kind != "command_late"
                lost = lost or loss.kind == "command_lost"
                late = max(late, plan.late_seconds(loss, exchange.worker, purpose, exchange.index))
            read = None
        if exchange.session != self.session:
            self._reset(exchange)
            return True
        if exchange.unanswered:
            self._time_out(exchange)
        if late and not lost:
            self._time_out_if_late(exchange, late)
            self._kernel.at(late, self._arrive_late, exchange)
        return lost or late > 0.0

    def _arrive_late(self, exchange: Exchange) -> None:
        self._kernel.trace.add("redis", RedisBack(fault="command_late"))
        self._arrive(exchange)

    def _delay(self, exchange: Exchange) -> None:
        """A slow server processes this command later."""
        seconds = 0.0
        for window in self._slow:
            assert window.fault.delay_seconds is not None
            u = self._kernel.draws.uniform(
                exchange.worker, f"{exchange.purpose} slow-{window.position}", exchange.index
            )
            seconds += window.fault.delay_seconds.sample(u)
        self._time_out_if_late(exchange, seconds)
        self._kernel.at(seconds, self._arrive, exchange)

    def _process(self, exchange: Exchange) -> None:
        """Process commands at this instant, as far as none has to wait, and send the replies back after the last."""
        replication, commands = self._replication, exchange.commands
        while exchange.position < len(commands):
            fields = commands[exchange.position]
            read = self._read(fields) if exchange.position else exchange.first
            if read[0] == b"WAIT" and not exchange.waited and self._wait_for_replicas(exchange, fields):
                return
            exchange.waited = False
            written = 0 if replication is None else replication.written
            replies = self._perform(exchange.worker, exchange.delivery, [fields], read, exchange.process)
            if type(replies[0]) is Blocked:
                self._block(exchange, replies[0])
                return
            exchange.position += 1
            exchange.replies += replies
            if replication is not None and replication.written != written:
                exchange.line.written = replication.written
        if not exchange.unanswered:
            self._time_out_if_late(exchange, 0.0)
            self._kernel.at(exchange.back, self._answer, exchange)

    def _answer(self, exchange: Exchange) -> None:
        if not exchange.ended:
            exchange.ended = True
            exchange.answer(exchange.replies)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        if not exchange.ended:
            exchange.ended = True
            self.blocked.close(exchange)
            exchange.fail(error)

    def _reset(self, exchange: Exchange) -> None:
        self._fail(exchange, redis.asyncio.ConnectionError(RESET))

    def _time_out_if_late(self, exchange: Exchange, seconds: float) -> None:
        """The reply sets off in so many seconds: if that is past the deadline, the client gives up before."""
        if self._kernel.now + seconds + exchange.back >= exchange.deadline:
            self._time_out(exchange)

    def _time_out(self, exchange: Exchange) -> None:
        """The client will give up at its deadline."""
        if not exchange.timing_out and exchange.deadline < math.inf:
            exchange.timing_out = True
            left = max(exchange.deadline - self._kernel.now, 0.0)
            self._kernel.at(left, self._fail, exchange, redis.asyncio.TimeoutError(TIMED_OUT))

    # WAIT: its reply comes when the replicas have confirmed, or when its own time is up

    def _wait_for_replicas(self, exchange: Exchange, fields: list[bytes]) -> bool:
        """Let a WAIT wait for its replicas; False if its arguments are wrong, which the server will say."""
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
        self._time_out_if_late(exchange, seconds)
        self._kernel.at(seconds, self._finish_wait, exchange, confirmed)
        return True

    def _finish_wait(self, exchange: Exchange, confirmed: int) -> None:
        if exchange in self._waiting:
            self._waiting.remove(exchange)
            self._server.confirmed = confirmed
            exchange.waited = True
            self._process(exchange)

    def _block(self, exchange: Exchange, blocked: Blocked) -> None:
        """A blocking command has found nothing: it waits, as long as the client does."""
        if exchange.ended:  # it came so late that its client has closed the connection, and the server sees that now
            return
        self.blocked.add(exchange, blocked)
        if blocked.timeout:
            self._time_out_if_late(exchange, blocked.timeout)
        else:
            self._time_out(exchange)

    # Windows: times at which the server is slow or gone

    def _schedule(self) -> None:
        now = self._kernel.now
        for window in self.faults.windows():
            assert window.begins is not None
            lost = window.lost_seconds
            if lost is None:
                self._at_unless_stopped(window.begins - now, self._begin, window)
            else:
                self._at_unless_stopped(max(window.begins - lost, now) - now, self._fall_behind, window)

    def _at_unless_stopped(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back unless the faults are stopped before."""
        self._timers.append(self._kernel.at(max(seconds, 0.0), callback, *args))

    def _fall_behind(self, window: Window) -> None:
        assert self._replication is not None
        assert window.begins is not None
        lag = self._replication.fall_behind()
        self.lags.append((self._kernel.now, window.begins))
        self._at_unless_stopped(window.begins - self._kernel.now, self._begin, window, None, lag)

    def _begin(self, window: Window, read: Read | None = None, lag: Lag | None = None) -> None:
        """Now the server is slow or gone; `read` is the command with which that begins."""
        fault, now = window.fault, self._kernel.now
        self.faults.fire(window.position)
        command, key = ("", "") if read is None else read[2:]
        self._kernel.trace.add("redis", RedisFaultStruck(fault=fault.kind, command=command, key=key))
        if fault.kind == "slow":
            self._slow.append(window)
            self._at_unless_stopped(window.seconds, self._end_slow, window)
            return
        if not self._open_outages:
            self.outages.append((now, math.inf))
        self._open_outages.append(window)
        self.session += 1
        if fault.forgets_scripts:
            self._server.script_cache.clear()
        if lag is not None and self._replication is not None:
            self._replication.take_over(lag)
            self._after_loss()
        waiting = [*self._waiting, *self.blocked.take_all()]
        self._waiting.clear()
        for exchange in waiting:
            self._kernel.at(exchange.back, self._reset, exchange)
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.reset()
        self._at_unless_stopped(window.seconds, self._end_outage, window)

    def _end_slow(self, window: Window) -> None:
        self._slow.remove(window)
        self._kernel.trace.add("redis", RedisBack(fault=window.fault.kind))

    def _end_outage(self, window: Window) -> None:
        self._open_outages.remove(window)
        if not self._open_outages:
            self.outages[-1] = (self.outages[-1][0], self._kernel.now)
            self._kernel.trace.add("redis", RedisBack(fault=window.fault.kind))

    def stop(self) -> None:
        """Stop all faults: what lasts ends now, what is due does not begin."""
        self.faults.stopped = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._replication is not None:
            self._replication.catch_up()
        for window in list(self._slow):
            self._end_slow(window)
        for window in list(self._open_outages):
            self._end_outage(window)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
