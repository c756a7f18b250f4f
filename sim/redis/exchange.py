"""A command, or a pipeline of several, on its way to the server and back, and what it needs to know of its connection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from relaysim.sim.kernel import current_host
from relaysim.sim.redis.command_names import Read
from relaysim.sim.redis.redis_faults import Window
from relaysim.sim.redis.wait import WAITING, Blocked


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


class PushedLine(Protocol):
    """A connection over which the server sends by itself; until then, in virtual seconds, what it has sent is on its way."""

    pushed_until: float


class OfDatabase:
    """Lets the server process a command over a connection that may have selected another database than the first.

    Args:
        process: as of `RedisLink.submit`.
        database: which it has selected at present.
    """

    __slots__ = ("_process", "database")

    def __init__(self, process: Callable[[list[bytes]], Any], database: int) -> None:
        self._process = process
        self.database = database

    def __call__(self, fields: list[bytes]) -> Any:
        return self._process(fields)


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
        begins: the window of a fault that begins once it is processed.
        position: how many of its commands have been processed.
        replies: theirs.
        counted: faults have counted it.
        slowed: a slow server has let it wait.
        waited: the WAIT that comes next has waited.
        unanswered: its replies are lost.
        timing_out: the client will give up at the deadline.
        ended: the client has its replies, or has given up.
        blocked: what its present command waits for; None: it does not.
        host: where the client lives, as far as anybody knows.
    """

    __slots__ = (
        "answer",
        "back",
        "begins",
        "blocked",
        "commands",
        "counted",
        "deadline",
        "delivery",
        "ended",
        "fail",
        "first",
        "host",
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
        self.blocked: Blocked | None = None
        self.host = current_host()
        self.position = 0
        self.replies: list[Any] = []
        self.counted = self.slowed = self.waited = self.unanswered = self.timing_out = self.ended = False


def may_wait(commands: list[list[bytes]]) -> bool:
    """Whether the reply to one of these commands may come later than it is processed."""
    return any(fields[0].upper() in WAITING for fields in commands)
