"""The trace as the control API shows it: events with named fields.

The trace itself holds tuples, for speed; `FIELDS` names their parts. A field that an event does not have is null, or empty
where the simulator writes it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

from relaysim.sim.kernel import Record
from relaysim.sim.openai.simulation import RecentTrace

Kind = Literal["request", "served", "fault", "response", "run.state", "message.stored"]

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "request": ("request_id", "context", "operation", "thread_id", "run_id"),
    "served": ("request_id", "status", "error_message", "detail"),
    "fault": ("request_id", "fault", "operation", "thread_id"),
    "response": ("request_id", "status", "failure"),
    "run.state": ("run_id", "thread_id", "state", "cause"),
    "message.stored": ("thread_id", "message_id", "role", "cause", "text"),
}
"""Per kind of event, the names of its fields in the trace's order."""

MEANING: Final[dict[str, str]] = {
    "request": "a request has left its client; `context` is empty outside of scenarios",
    "served": "the API has processed a request, or a fault has answered it; `detail` is the id of what was created, a run's "
    "state, or a list's length",
    "fault": "a fault has hit a request; `fault` is its kind",
    "response": "an answer has reached its client; scenarios only, since a real client's time is its own",
    "run.state": "a run has come into a state; `cause` is a request's id, `time`, `expiry`, or `control`",
    "message.stored": "a thread has one more message; `cause` is a request's id, or the id of the run that wrote it",
}

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
    event: Event = {"number": number, "time": record.time, "entity": record.entity, "kind": record.kind}
    names = FIELDS.get(record.kind)
    if names is None or len(names) != len(record.fields):
        event["fields"] = list(record.fields)
    else:
        event.update(zip(names, record.fields, strict=True))
    return event


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
    requests: set[Any] = set()
    for _, _, kind, fields in trace.records:
        if kind == "request":
            if fields[3] == thread_id:
                requests.add(fields[0])
        elif kind == "served":
            if fields[3] == thread_id:  # the request that has created it
                requests.add(fields[0])
        elif (kind == "run.state" and fields[1] == thread_id) or (kind == "message.stored" and fields[0] == thread_id):
            requests.add(fields[3])

    def matches(record: Record) -> bool:
        names = FIELDS.get(record.kind, ())
        if "request_id" in names:
            return record.fields[names.index("request_id")] in requests
        return "thread_id" in names and record.fields[names.index("thread_id")] == thread_id

    return matches
