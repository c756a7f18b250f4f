"""The trace as the control API shows it: numbered events, a page at a time.

A field that an event does not have is null, or empty where the simulator writes it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, get_args

from relaysim.sim.doors.simulation import RecentTrace
from relaysim.sim.kernel import Record
from relaysim.sim.trace.schema import as_object

Kind = Literal["request", "served", "fault", "response", "run.state", "message.stored", "event.delivered"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)
"""What a simulated API records; `relaysim.sim.trace.schema` says what of each."""

Event = dict[str, Any]


class Page(NamedTuple):
    """Events, and where the next page begins.

    Attributes:
        events: oldest first.
        next: give it as `after` for what follows.
        dropped: events after the number asked for that are no longer kept: this reader has missed them.
    """

    events: list[Event]
    next: int
    dropped: int


def named(record: Record, number: int) -> Event:
    """One event, with its number in the trace."""
    return {"number": number, **as_object(*record)}


def page_of_trace(
    trace: RecentTrace, after: int, limit: int, kinds: Sequence[str] = (), thread_id: str | None = None
) -> Page:
    """At most `limit` events whose number is above `after`.

    Args:
        trace: of the present world.
        after: the number of an event; 0: from the first that is kept.
        limit: 1 or more.
        kinds: only events of these kinds; empty: of all.
        thread_id: only events about this thread, answers to requests about it included.
    """
    matches = _about(trace, thread_id) if thread_id is not None else None
    events: list[Event] = []
    first = max(after, trace.dropped)
    number = first
    for number, record in _numbered(trace, first):
        if (not kinds or record.kind in kinds) and (matches is None or matches(record)):
            events.append(named(record, number))
            if len(events) == limit:
                break
    return Page(events, number, max(trace.dropped - after, 0))


def _numbered(trace: RecentTrace, first: int) -> Iterator[tuple[int, Record]]:
    return enumerate(islice(trace.records, first - trace.dropped, None), start=first + 1)


def _about(trace: RecentTrace, thread_id: str) -> Callable[[Record], bool]:
    """Whether an event is about a thread. What a request did to it names the request, and so do its answer and its fault."""
    requests: set[str] = set()
    for record in trace.records:
        event: Any = record.fields
        if record.kind == "request":
            if event.thread_id == thread_id:
                requests.add(event.request_id)
        elif record.kind == "served":
            if event.detail == thread_id:  # the request that has created it
                requests.add(event.request_id)
        elif record.kind in ("run.state", "message.stored") and event.thread_id == thread_id:
            requests.add(event.cause)

    def matches(record: Record) -> bool:
        request_id = getattr(record.fields, "request_id", None)
        if request_id is not None:
            return request_id in requests
        return getattr(record.fields, "thread_id", None) == thread_id

    return matches
