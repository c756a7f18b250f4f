"""What a worker does, as events by name, at which a fault may strike.

| event                   | the worker's                                                                   |
|-------------------------|--------------------------------------------------------------------------------|
| `request:OPERATION`     | request to the API has left                                                    |
| `served:OPERATION`      | request has been processed by the API                                          |
| `response:OPERATION`    | request is answered, or has failed                                             |
| `redis:COMMAND`         | command, or script of that name, has been processed by Redis                   |
| `handling.start`, `.end`| handling of a delivery begins, or has ended                                    |
| `send`, `send.fate`     | text sets off; what will become of it is decided                               |
| `lease.taken`, `.released` | lease                                                                       |
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from relaysim.sim.kernel import Record

OF_REQUESTS: Final = ("request", "served", "response")
"""The events of a request; an operation's name follows, after a colon."""

OF_REDIS: Final = "redis"
"""The event of a Redis command; the command's name follows, after a colon."""

PLAIN: Final = ("handling.start", "handling.end", "send", "send.fate", "lease.taken", "lease.released")
"""The events whose name is all."""


class Event(NamedTuple):
    """Something that a worker does.

    Attributes:
        worker: its name. It may be the name of something else in the world, which does the same.
        name: as faults name it, e.g. `served:runs.create`.
    """

    worker: str
    name: str


class Events:
    """Reads the records of one trace as events, in the trace's order."""

    __slots__ = ("_requests",)

    def __init__(self) -> None:
        self._requests: dict[str, tuple[str, str]] = {}  # by id: whose, and which operation

    def read(self, record: Record) -> Event | None:
        """The event that a record tells of, if it is one."""
        entity, kind = record.entity, record.kind
        event: Any = record.fields
        if kind == "request":
            self._requests[event.request_id] = entity, event.operation
            return Event(entity, f"request:{event.operation}")
        if kind in OF_REQUESTS:
            sent = self._requests.get(event.request_id)
            return None if sent is None else Event(sent[0], f"{kind}:{sent[1]}")
        if kind == OF_REDIS:
            return Event(entity, f"{kind}:{event.command}")
        if kind in ("lease.taken", "lease.released"):
            return Event(event.worker, kind)
        return Event(entity, kind) if kind in PLAIN else None
