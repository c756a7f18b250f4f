"""A trace in the Chrome trace format, which Perfetto (ui.perfetto.dev) and `chrome://tracing` open.

Customers, each worker, Redis and the API are a process each; what lasts is a slice on a track of it: messages on their way
to their first handling, handlings, requests, the holds of locks and leases, runs. Slices of one track never overlap: those
that would get a track more, so nothing has to nest. What takes no time is an instant: texts received, faults, logs,
exceptions; a text sent is a slice of one microsecond, since arrows begin and end in slices only. Arrows lead from a message
to its handlings, from a request to the run that it created, and from a run to the text that was sent of it.

Source: "Trace Event Format" (Google): `ph` X, i, M, s, f; `ts` and `dur` in microseconds, here of virtual time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.crashes import Crashes
from relaysim.sim.trace.holds import Hold, Holds
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    HostCrash,
    HostPause,
    HostRestart,
    HostResume,
    HostSkew,
    HostSlow,
    HostStop,
    LogLine,
    LoopBlocked,
    Received,
    RedisBack,
    RedisFaultStruck,
    TaskCancelled,
    UnhandledException,
    WebhookFailed,
    as_object,
)

CUSTOMERS: Final = "customers"
REDIS: Final = "Redis"
API: Final = "API"

_TEXT_MAX: Final = 2000
_MICROSECONDS: Final = 1_000_000

Record = tuple[float, str, str, Sequence[Any]]


def chrome_trace(records: Sequence[Record], roles: OperationRoles) -> dict[str, Any]:
    """The trace as one JSON object: `traceEvents`, in the order of their times, and `displayTimeUnit`.

    Args:
        records: of one world, in their order.
        roles: what the API's operations do.
    """
    chronicle = Chronicle(roles)
    chronicle.read(records)
    crashes = Crashes()
    crashes.read(records)
    tracks = _Tracks()
    slices: dict[int, tuple[int, int, float]] = {}  # by id() of what it is of -> process, track, begin
    end = chronicle.end
    events: list[dict[str, Any]] = []

    def add(of: Any, process: str, group: str, name: str, begin: float, until: float | None, **facts: Any) -> None:
        crash = crashes.first_after(process, begin)
        last = end if until is None else until
        if until is None and crash is not None:
            last = until = crash[0]
            facts["ended_by"] = "crash"
        process_id, track = tracks.track(process, group, begin, last)
        slices[id(of)] = process_id, track, begin
        if until is None:
            facts["unended"] = True
        events.append(
            {
                "ph": "X",
                "name": name,
                "cat": group,
                "pid": process_id,
                "tid": track,
                "ts": _ticks(begin),
                "dur": _ticks(last) - _ticks(begin),
                "args": {key: each for key, each in facts.items() if each not in (None, "", ())},
            }
        )

    for handling in chronicle.handlings.values():
        facts = {"delivery": handling.delivery, "outcome": handling.outcome, "error": handling.error_class}
        add(handling, handling.worker, "handlings", handling.message_id, handling.start, handling.end, **facts)
    for request in chronicle.requests.values():
        add(
            request,
            request.worker or "clients",
            "requests",
            request.operation,
            request.left,
            request.answered,
            delivery=request.delivery,
            thread=request.thread,
            run=request.run,
            status=request.status if request.answered is not None else None,
            failure=request.failure,
            error=request.error_message,
        )
    for run in chronicle.runs.values():
        states = ", ".join(f"{state} at {time:.3f}" for time, state in run.states)
        add(run, API, f"runs on {run.thread}", f"{run.id} {run.state}", run.created, run.ended, states=states)
    for hold in _holds(records):
        add(hold, REDIS, f"{hold.kind} {hold.key}", hold.worker, hold.began, hold.ended, ended_by=hold.how)
    for message in chronicle.messages.values():
        first = message.first_start
        facts = {"text": _shortened(message.text), "retry_of": message.retry_of}
        add(message, CUSTOMERS, message.conversation, f"sends {message.id}", message.sent_at, first, **facts)
    for send in chronicle.sends:
        until = send.time + 1 / _MICROSECONDS
        facts = {"text": _shortened(send.text), "fate": send.fate, "ends": ", ".join(send.names)}
        add(send, send.worker, "texts", f"sends to {send.conversation}", send.time, until, **facts)
    instants = _Instants(tracks)
    instants.read(records)
    events += instants.events
    events += _flows(chronicle, slices)
    events.sort(key=lambda each: (each["ts"], _FIRST.get(each["ph"], 1)))
    return {"traceEvents": [*tracks.named(), *events], "displayTimeUnit": "ms"}


_FIRST: Final = {"X": 0, "i": 1, "s": 2, "f": 3}
"""At one instant a slice comes before the flow that is bound to it."""


def _ticks(time: float) -> float:
    return round(time * _MICROSECONDS, 3)


def _holds(records: Sequence[Record]) -> list[Hold]:
    reader = Holds()
    reader.read(records)
    return reader.holds


class _Tracks:
    """Processes, and in each the tracks of each group of slices: as few as keep those that overlap apart."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {CUSTOMERS: 1, API: 2, REDIS: 3}
        self._ids: dict[tuple[str, str, int], int] = {}
        self._busy: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}

    def track(self, process: str, group: str, begin: float, end: float) -> tuple[int, int]:
        """Ids of the process and of the group's first track that is free all that time."""
        taken = self._busy.setdefault((process, group), [])
        begin, end = _ticks(begin), _ticks(end)
        number = next(
            (place for place, each in enumerate(taken) if all(end <= first or last <= begin for first, last in each)),
            len(taken),
        )
        if number == len(taken):
            taken.append([])
        taken[number].append((begin, max(end, begin + 1)))  # two of no length at once are two
        return self._id(process, group, number)

    def instants(self, process: str, group: str) -> tuple[int, int]:
        """Ids of the process and of the track of a group of instants."""
        return self._id(process, group, 0)

    def _id(self, process: str, group: str, number: int) -> tuple[int, int]:
        process_id = self._processes.setdefault(process, len(self._processes) + 1)
        return process_id, self._ids.setdefault((process, group, number), len(self._ids) + 1)

    def named(self) -> Iterable[dict[str, Any]]:
        """The records that name processes and tracks and give their order."""
        for process, process_id in self._processes.items():
            yield _metadata("process_name", process_id, 0, name=process)
            yield _metadata("process_sort_index", process_id, 0, sort_index=process_id)
        for (process, group, number), track in self._ids.items():
            process_id = self._processes[process]
            again = f" ({number + 1})" if number else ""
            yield _metadata("thread_name", process_id, track, name=f"{group}{again}")
            yield _metadata("thread_sort_index", process_id, track, sort_index=track)


def _metadata(kind: str, process_id: int, track: int, **facts: Any) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process_id, "tid": track, "ts": 0, "args": facts}


class _Instants(TraceReader):
    """What takes no time."""

    def __init__(self, tracks: _Tracks) -> None:
        self._tracks = tracks
        self.events: list[dict[str, Any]] = []

    def _add(self, time: float, process: str, group: str, name: str, event: Any, kind: str) -> None:
        process_id, track = self._tracks.instants(process, group)
        facts = {
            key: _shortened(each)
            for key, each in as_object(time, process, kind, event).items()
            if key not in ("time", "kind", "entity")
        }
        where = {"cat": group, "pid": process_id, "tid": track}
        self.events.append({"ph": "i", "s": "t", "name": name, **where, "ts": _ticks(time), "args": facts})

    def on_received(self, time: float, entity: str, event: Received) -> None:
        self._add(time, CUSTOMERS, f"{event.conversation} receives", "receives", event, "received")

    def on_log(self, time: float, entity: str, event: LogLine) -> None:
        self._add(time, entity, "log", event.level, event, "log")

    def on_exception(self, time: float, entity: str, event: UnhandledException) -> None:
        self._add(time, entity, "exceptions", event.headline, event, "exception")

    def on_task_cancelled(self, time: float, entity: str, event: TaskCancelled) -> None:
        self._add(time, entity, "tasks", "cancels a task", event, "task.cancelled")

    def on_loop_blocked(self, time: float, entity: str, event: LoopBlocked) -> None:
        self._add(time, entity, "faults", "its loop was blocked", event, "loop.blocked")

    def on_webhook_failed(self, time: float, entity: str, event: WebhookFailed) -> None:
        self._add(time, event.worker, "faults", f"not acknowledged: {event.reason}", event, "webhook.failed")

    def on_redis_fault(self, time: float, entity: str, event: RedisFaultStruck) -> None:
        self._add(time, REDIS, "faults", event.fault, event, "redis.fault")

    def on_redis_back(self, time: float, entity: str, event: RedisBack) -> None:
        self._add(time, REDIS, "faults", f"over: {event.fault}", event, "redis.back")

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        self._add(time, entity, "faults", "crash", event, "host.crash")

    def on_host_stop(self, time: float, entity: str, event: HostStop) -> None:
        self._add(time, entity, "faults", "is told to stop", event, "host.stop")

    def on_host_restart(self, time: float, entity: str, event: HostRestart) -> None:
        self._add(time, entity, "faults", "restart", event, "host.restart")

    def on_host_pause(self, time: float, entity: str, event: HostPause) -> None:
        self._add(time, entity, "faults", "pause", event, "host.pause")

    def on_host_resume(self, time: float, entity: str, event: HostResume) -> None:
        self._add(time, entity, "faults", "resume", event, "host.resume")

    def on_host_slow(self, time: float, entity: str, event: HostSlow) -> None:
        self._add(time, entity, "faults", "slow", event, "host.slow")

    def on_host_skew(self, time: float, entity: str, event: HostSkew) -> None:
        self._add(time, entity, "faults", "clock set", event, "host.skew")


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _TEXT_MAX:
        return value[: _TEXT_MAX - 1] + "…"
    return value


def _flows(chronicle: Chronicle, slices: dict[int, tuple[int, int, float]]) -> Iterable[dict[str, Any]]:
    """Arrows from causes to what they caused; both ends stand at the beginning of a slice."""
    number = 0

    def arrow(name: str, source: object, target: object) -> Iterable[dict[str, Any]]:
        nonlocal number
        number += 1
        for ph, subject in (("s", source), ("f", target)):
            process_id, track, begin = slices[id(subject)]
            end: dict[str, Any] = {"ph": ph, "id": number, "name": name, "cat": "cause"}
            end |= {"pid": process_id, "tid": track, "ts": _ticks(begin)}
            yield end | ({"bp": "e"} if ph == "f" else {})

    for handling in chronicle.handlings.values():
        if handling.message is not None:
            yield from arrow("delivered", handling.message, handling)
    for run in chronicle.runs.values():
        if run.request is not None:
            yield from arrow("created", run.request, run)
    for send in chronicle.sends:
        if send.run is not None and send.run.created <= send.time:
            yield from arrow("sent", send.run, send)
