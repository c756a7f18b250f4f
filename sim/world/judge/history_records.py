"""What a history has beyond the chronicle: releases, claims and steps of leases, and times in which something was wrong."""

from __future__ import annotations

from typing import NamedTuple

from relaysim.sim.trace.subjects import Lease, Run


class Release:
    """A lease that its holder let go.

    Attributes:
        runs: the runs that were active on the conversation's threads at that instant, with whether their cancel had
            been requested.
        command: the Redis command that did it.
    """

    __slots__ = ("command", "index", "lease", "runs", "time")

    def __init__(self, lease: Lease, time: float, index: int, runs: list[tuple[Run, bool]]) -> None:
        self.lease = lease
        self.time = time
        self.index = index
        self.runs = runs
        self.command = ""


class Claim(NamedTuple):
    """A worker's request for the lease of a conversation that a look had found.

    Attributes:
        holder: who held it when Redis got the request.
        granted: whether it got the lease.
    """

    time: float
    worker: str
    conversation: str
    holder: Lease | None
    granted: bool


class LateStep(NamedTuple):
    """A step that took effect although its holder had taken another one meanwhile.

    Attributes:
        sent_at: when the late one had been sent.
        after: the command of the other one.
    """

    time: float
    lease: Lease
    command: str
    sent_at: float
    after: str


class ProcessedStep(NamedTuple):
    """A step that Redis has processed."""

    time: float
    lease: Lease
    command: str
    is_late: bool


class Interval:
    """A time in which something was wrong."""

    __slots__ = ("begin", "end", "kind")

    def __init__(self, begin: float, end: float, kind: str) -> None:
        self.begin = begin
        self.end = end
        self.kind = kind
