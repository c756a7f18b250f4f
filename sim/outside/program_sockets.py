"""Our ends of a program's connections, and the line over which it reports: real sockets, of one copy over all its lives."""

from __future__ import annotations

import json
import selectors
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from relaysim.sim.outside.programs import ProgramStartError

ADDRESS: Final = "127.0.0.1"
IDLE_SECONDS: Final = 20.0
"""How many real seconds a program has to become idle, its start included."""

REMEDY: Final = "leave --lockstep out"

_BACKLOG: Final = 128
_PIECE_BYTES: Final = 262_144
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class LockstepError(ProgramStartError):
    """The program cannot be kept on the simulator's clock; the message says why, and what to do."""


class Line:
    """Our end of one of its connections.

    Attributes:
        socket: as given.
        received: what it wrote that was not asked for yet.
        planned: how many bytes will have been written to it after the next step.
        finished: nothing more will be.
    """

    def __init__(self, own: socket.socket) -> None:
        self.socket = own
        self.received = bytearray()
        self.planned = 0
        self.finished = False


class ProgramSockets:
    """All of them. Connections are named `o` and the program's port if it opened them, `i` and our port if we did.

    Args:
        doors: sockets that listen, where it finds the services.

    Attributes:
        ports: of the one where it reports, and of the doors.
        lines: the connections that are open.
        ended: it reports no more.
    """

    def __init__(self, doors: Sequence[socket.socket]) -> None:
        self._control_door = loopback_door()
        self._doors = {door.getsockname()[1]: door for door in (self._control_door, *doors)}
        self.ports = list(self._doors)
        self._shut: dict[int, socket.socket] = {}  # sockets that keep the ports at which nobody listens now
        self._selector = selectors.DefaultSelector()
        for door in self._doors.values():
            self._selector.register(door, selectors.EVENT_READ, "door")
        self.forget()

    def forget(self) -> None:
        """A new life begins."""
        self.lines: dict[str, Line] = {}
        self.ended = False
        self._control: socket.socket | None = None
        self._text = b""
        self._heard: list[dict[str, Any]] = []

    # Doors

    def shut(self, port: int) -> None:
        """Refuse connections at this port."""
        if port in self._doors:
            door = self._doors.pop(port)
            self._unregister(door)
            door.close()
            self._shut[port] = _bound(port)

    def open(self, port: int) -> None:
        """Take connections there again."""
        if port in self._shut:
            door = self._doors[port] = self._shut.pop(port)
            door.listen(_BACKLOG)
            self._selector.register(door, selectors.EVENT_READ, "door")

    # The line over which it reports

    def tell(self, message: Mapping[str, Any]) -> None:
        """Write a message there."""
        if self._control is None:
            self.ended = True
            return
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.ended = True

    def heard(self) -> list[dict[str, Any]]:
        """The messages that have come, each once."""
        heard, self._heard = self._heard, []
        return heard

    def next_heard(self) -> dict[str, Any]:
        """The first of them."""
        return self._heard.pop(0)

    @property
    def has_heard(self) -> bool:
        """Whether there are any."""
        return bool(self._heard)

    # Connections

    def reserve(self) -> str:
        """A connection that will be opened; its name."""
        opened = socket.socket()
        opened.bind((ADDRESS, 0))
        name = f"i{opened.getsockname()[1]}"
        self.lines[name] = Line(opened)
        return name

    def connect(self, name: str, port: int) -> None:
        """Open it.

        Raises:
            OSError: nobody listens.
        """
        opened = self.lines[name].socket
        opened.connect((ADDRESS, port))
        self._take(name, opened)

    def write(self, line: Line, data: bytes) -> None:
        """Write, and read meanwhile; what cannot be written is dropped with its connection."""
        view = memoryview(data)
        until = time.monotonic() + IDLE_SECONDS
        while view and time.monotonic() < until:
            try:
                view = view[line.socket.send(view) :]
            except BlockingIOError:
                self.pump(0.01)
            except OSError:
                return

    def close(self, line: Line, *, reset: bool = False) -> None:
        """Close our end; `reset`: as a server does that has forgotten it."""
        if reset:
            with suppress(OSError):
                line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._unregister(line.socket)
        line.socket.close()

    def drop_all(self) -> None:
        """It has ended: its connections are no more."""
        opened = [line.socket for line in self.lines.values()]
        if self._control is not None:
            opened.append(self._control)
        for each in opened:
            self._unregister(each)
            each.close()
        self.lines, self._control, self.ended = {}, None, True
        for door in self._doors.values():  # what it opened and nobody took
            with suppress(OSError):
                while True:
                    door.accept()[0].close()

    def close_doors(self) -> None:
        """Listen no more."""
        self.drop_all()
        for door in (*self._doors.values(), *self._shut.values()):
            door.close()
        self._selector.close()

    # What comes

    def pump(self, seconds: float) -> None:
        """Take what has come, or comes within so many real seconds."""
        for key, _ in self._selector.select(seconds):
            opened: Any = key.fileobj
            if key.data == "door":
                self._accept(opened)
            elif key.data == "control":
                self._read_control(opened)
            else:
                self._read(key.data, opened)

    def _accept(self, door: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                taken, peer = door.accept()
                if door is not self._control_door:
                    self._take(f"o{peer[1]}", taken)
                elif self._control is None:
                    self._control = taken
                    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(taken, selectors.EVENT_READ, "control")
                else:
                    taken.close()

    def _take(self, name: str, taken: socket.socket) -> None:
        taken.setblocking(False)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines.setdefault(name, Line(taken))
        self._selector.register(taken, selectors.EVENT_READ, name)

    def _read(self, name: str, opened: socket.socket) -> None:
        try:
            data = opened.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and name in self.lines:
            self.lines[name].received += data
        else:
            self._unregister(opened)

    def _read_control(self, control: socket.socket) -> None:
        try:
            data = control.recv(_PIECE_BYTES)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            self._unregister(control)
            return
        *lines, self._text = (self._text + data).split(b"\n")
        self._heard += [json.loads(line) for line in lines]

    def _unregister(self, opened: socket.socket) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(opened)


def loopback_door() -> socket.socket:
    """A socket that listens on a free port of the loopback interface."""
    door = _bound(0)
    door.listen(_BACKLOG)
    return door


def _bound(port: int) -> socket.socket:
    """A socket at this port, which does not listen."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((ADDRESS, port))
    return bound
