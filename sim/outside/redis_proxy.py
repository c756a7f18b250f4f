"""The way of a world's copies to their Redis, with the scenario's faults: loopback ports in place of the server's own.

| fault                             | what a copy meets                                                              |
|-----------------------------------|--------------------------------------------------------------------------------|
| `slow`                            | what it sends in one piece is handed on `delay_seconds` later; so long a delay |
|                                   | that its client gives up is a server that stands still                         |
| `away`                            | connections are reset, new ones refused, for `seconds`                         |
| `restart`, `failover`             | the same, and scripts are forgotten; with `lost_seconds` a replica takes over  |
| `reply_lost`, `command_lost`      | nothing comes back over that connection any more, until the client closes it   |
| `command_late`                    | what follows on that connection is late, too                                   |

Each copy has a port, so that it is known whose a command is. Commands are counted, and faults recorded, as in virtual
time; those that agree on how to talk (`HELLO`, `AUTH`, `SELECT`, `CLIENT` at a connection's beginning) are left alone.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

from relaysim.sim.kernel import Kernel
from relaysim.sim.outside.command_stream import Commands, CommandStream
from relaysim.sim.outside.loopback_door import LoopbackDoor
from relaysim.sim.outside.redis_server import Behind, WorldRedis
from relaysim.sim.redis.command_names import CommandNames, Read
from relaysim.sim.redis.redis_faults import RedisFault, RedisFaultPlan, Window
from relaysim.sim.trace.schema import RedisBack, RedisFaultStruck

_PIECE_BYTES: Final = 65_536
_PROCESSED_SECONDS: Final = 1.0
"""How long the reply to a command is waited for whose writes will be lost; one that waits for data has none."""

_ARRIVED_SECONDS: Final = 0.01
"""How long that reply has to reach its client."""

_AGREEING: Final = frozenset((b"HELLO", b"AUTH", b"SELECT", b"CLIENT"))

OnCommand = Callable[[str, str], object]
"""Told that Redis has processed a command of a worker: both by name."""


class _Line:
    """One connection of a copy, and the one to the server that belongs to it."""

    def __init__(self, worker: str, session: int, client: socket.socket) -> None:
        self.worker = worker
        self.session = session
        self.client = client
        self.stream = CommandStream()
        self.agreeing = True
        self.silent = False  # nothing comes back over it any more
        self.deaf = False  # nor does anything arrive
        self.sent: list[str] = []  # commands that have no reply yet
        self.answered = asyncio.Event()
        self.transports: list[asyncio.BaseTransport] = []
        self.task: asyncio.Task[Any] | None = None

    def reset(self) -> None:
        """The client's connection is reset, the server's closed."""
        with suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if not self.transports:
            self.client.close()
        for transport in self.transports:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        if self.task is not None:
            self.task.cancel()


class _Passage:
    """What becomes of some commands that a copy has sent together."""

    def __init__(self, commands: Commands) -> None:
        self.raw = commands.raw
        self.names: list[str] = []
        self.seconds = 0.0
        self.begins: tuple[Window, Read] | None = None  # once they are processed


class RedisProxy:
    """Everything between the copies of one world and its Redis.

    Args:
        kernel: the world's.
        faults: what goes wrong.
        server: the Redis.
        present: the present instant of the world, see `SimulatedServer.present`.
        sleep: waits for virtual seconds.
        on_command: told of each command, once the server has answered.

    Attributes:
        faults: the faults with how often each has fired.
    """

    def __init__(
        self,
        kernel: Kernel,
        faults: Sequence[RedisFault],
        server: WorldRedis,
        present: Callable[[], AbstractContextManager[Any]],
        sleep: Callable[[float], Awaitable[None]],
        on_command: OnCommand | None = None,
    ) -> None:
        self.faults = RedisFaultPlan(faults, kernel.draws)
        self._kernel = kernel
        self._server = server
        self._present = present
        self._sleep = sleep
        self._on_command = on_command
        self._names = CommandNames()
        self._session = 0
        self._doors: list[LoopbackDoor] = []
        self._lines: set[_Line] = set()
        self._slow: list[Window] = []
        self._gone: list[Window] = []
        self._away = False
        self._gate = asyncio.Event()
        self._gate.set()
        self._changes: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    # From the outside

    def open(self, worker: str) -> int:
        """A port for the clients of this worker."""
        door = LoopbackDoor(lambda client: self._serve(worker, client))
        door.open()
        self._doors.append(door)
        return door.port

    def begin(self) -> None:
        """The world begins: its faults strike from now on, and their windows are counted from here."""
        self.faults.begun = self._kernel.now
        for window in self.faults.windows():
            assert window.begins is not None
            lost = window.lost_seconds
            if lost is None:
                self._kernel.at(window.begins, self._begin, window)
            else:
                behind = min(lost, window.begins)
                self._kernel.at(window.begins - behind, self._fall_behind, window, behind)

    def begin_now(self, position: int) -> None:
        """Let the fault at this position, which lasts and loses nothing, begin now, besides the times that it has."""
        fault = self.faults.faults[position]
        assert fault.seconds is not None
        self._begin(Window(position, fault, self._kernel.now, fault.seconds.sample(0.5), None))

    @property
    def is_away(self) -> bool:
        """Whether connections are refused, until they no longer are."""
        return self._away

    def check(self) -> None:
        """Raise what has kept a fault from being played, if anything has."""
        if self._error is not None:
            raise self._error

    def stop_faults(self) -> None:
        """What lasts ends now, what is due does not begin, and connections over which nothing comes are reset."""
        self.faults.stopped = True
        for window in list(self._slow):
            self._end_slow(window)
        for window in list(self._gone):
            self._end_outage(window)
        for line in list(self._lines):
            if line.silent:
                line.reset()

    async def close(self) -> None:
        """End all connections, and take no more."""
        self.faults.stopped = True
        for door in self._doors:
            await door.close()
        tasks = [*self._changes, *(task for door in self._doors for task in door.tasks)]
        for line in list(self._lines):
            line.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Connections

    async def _serve(self, worker: str, client: socket.socket) -> None:
        line = _Line(worker, self._session, client)
        line.task = asyncio.current_task()
        if self._away:
            line.task = None
            line.reset()
            return
        self._lines.add(line)
        try:
            place = self._server.place
            context = ssl.create_default_context() if place.tls else None
            reader, writer = await asyncio.open_connection(sock=client)
            line.transports.append(writer.transport)
            back, out = await asyncio.open_connection(place.host, place.port, ssl=context)
            line.transports.append(out.transport)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send_on(line, reader, out))
                group.create_task(self._send_back(line, back, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(line)
            for transport in line.transports:
                transport.close()

    async def _send_on(self, line: _Line, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        """What the client sends, to the server; also what it sent before it closed the connection."""
        while data := await reader.read(_PIECE_BYTES):
            with self._present():
                passage = self._take(line, line.stream.feed(data))
            if passage.seconds:
                await self._sleep(passage.seconds)
            await self._gate.wait()
            if line.session != self._session:
                return
            if line.deaf:
                continue
            if passage.begins is not None and not self.faults.stopped:
                await self._begin_after(line, passage, out)
                continue
            line.sent += passage.names
            out.write(passage.raw)
            await out.drain()
        with suppress(OSError, NotImplementedError):
            out.write_eof()

    async def _send_back(self, line: _Line, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the server sends, to the client."""
        while data := await back.read(_PIECE_BYTES):
            line.answered.set()
            if line.sent and self._on_command is not None:
                names, line.sent = line.sent, []
                with self._present():
                    for name in names:
                        self._on_command(line.worker, name)
            if not line.silent and line.session == self._session:
                with suppress(OSError):  # it has closed, and what it sent is processed all the same
                    writer.write(data)
                    await writer.drain()
        if line.session == self._session:
            writer.close()

    # Faults of commands

    def _take(self, line: _Line, commands: Commands) -> _Passage:
        """Let faults hit what has just come."""
        passage = _Passage(commands)
        plan, kernel, now = self.faults, self._kernel, self._kernel.now
        purpose, index = "", 0
        for number, fields in enumerate(commands.fields):
            if line.agreeing and fields[0].upper() in _AGREEING:
                continue
            line.agreeing = False
            read = self._names.read(fields)
            command, key = read[2:]
            passage.names.append(command)
            if not purpose:
                purpose = f"redis {command} {key}"
                index = kernel.draws.next_index(line.worker, purpose)
            begins = plan.begins_with(command, now)
            if begins is not None and begins.lost_seconds is not None:
                passage.begins = passage.begins or (begins, read)
            elif begins is not None:
                self._begin(begins, read)
            named = f"{purpose} {number}" if len(passage.names) > 1 else purpose
            loss = plan.loses(command, now, line.worker, named, index)
            if loss is None:
                continue
            kernel.trace.add("redis", RedisFaultStruck(fault=loss.kind, command=command, key=key))
            line.silent = line.silent or loss.kind != "command_late"
            line.deaf = line.deaf or loss.kind == "command_lost"
            passage.seconds = max(passage.seconds, plan.late_seconds(loss, line.worker, named, index))
        if passage.names:
            for window in self._slow:
                assert window.fault.delay_seconds is not None
                u = kernel.draws.uniform(line.worker, f"{purpose} slow-{window.position}", index)
                passage.seconds += window.fault.delay_seconds.sample(u)
        return passage

    async def _begin_after(self, line: _Line, passage: _Passage, out: asyncio.StreamWriter) -> None:
        """Let the server process these commands, whose writes, and no others, will be lost."""
        assert passage.begins is not None
        self._gate.clear()
        try:
            behind = await self._server.fall_behind()
            line.answered.clear()
            out.write(passage.raw)
            await out.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(line.answered.wait(), _PROCESSED_SECONDS)
            await asyncio.sleep(_ARRIVED_SECONDS)
            with self._present():
                self._begin(*passage.begins, behind)
        except BaseException as error:
            self._note_error(error)
            raise
        finally:
            self._gate.set()

    # Times at which the server is slow or gone

    def _fall_behind(self, window: Window, seconds: float) -> None:
        """A replica takes over in so many seconds, and follows no more from now on."""
        if not self.faults.stopped:
            self._change(self._fallen_behind(window, self._kernel.now + seconds))

    async def _fallen_behind(self, window: Window, begins: float) -> None:
        self._gate.clear()
        try:
            behind = await self._server.fall_behind()
        finally:
            self._gate.set()
        with self._present():
            self._kernel.at(max(begins - self._kernel.now, 0.0), self._begin, window, None, behind)

    def _begin(self, window: Window, read: Read | None = None, behind: Behind | None = None) -> None:
        """Now the server is slow or gone; `read` is the command with which that begins."""
        if self.faults.stopped:
            return
        fault = window.fault
        self.faults.fire(window.position)
        command, key = ("", "") if read is None else read[2:]
        self._kernel.trace.add("redis", RedisFaultStruck(fault=fault.kind, command=command, key=key))
        if fault.kind == "slow":
            self._slow.append(window)
            self._kernel.at(window.seconds, self._end_slow, window)
            return
        self._gone.append(window)
        self._away = True
        self._session += 1
        self._change(self._go_away(window, behind))
        self._kernel.at(window.seconds, self._end_outage, window)

    async def _go_away(self, window: Window, behind: Behind | None) -> None:
        for door in self._doors:
            await door.shut()
        for line in [line for line in self._lines if line.session != self._session]:
            line.reset()
        if behind is not None:
            await self._server.take_over(behind)
        elif window.fault.forgets_scripts:
            await self._server.forget_scripts()

    def _end_slow(self, window: Window) -> None:
        if window in self._slow:
            self._slow.remove(window)
            self._kernel.trace.add("redis", RedisBack(fault=window.fault.kind))

    def _end_outage(self, window: Window) -> None:
        if window in self._gone:
            self._gone.remove(window)
            if not self._gone:
                self._change(self._come_back(window, list(self._changes)))

    async def _come_back(self, window: Window, before: Sequence[asyncio.Task[None]]) -> None:
        """Take connections again, once all that had to be done meanwhile is done."""
        await asyncio.gather(*before)
        if self._gone:
            return
        for door in self._doors:
            door.open()
        self._away = False
        with self._present():
            self._kernel.trace.add("redis", RedisBack(fault=window.fault.kind))

    def _change(self, change: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changed)

    def _changed(self, task: asyncio.Task[None]) -> None:
        self._changes.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._note_error(task.exception())

    def _note_error(self, error: BaseException | None) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._error = self._error or error
