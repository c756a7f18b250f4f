"""What the served API tells of itself: metrics in Prometheus' text format, and a line of JSON per request.

Both listen to the same events as the control API's trace shows, and neither holds anything that a client wrote.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relaysim.sim.trace.schema import FaultStruck, RequestSent, RequestServed, RunState

if TYPE_CHECKING:
    from relaysim.sim.kernel.trace import Fields

PENDING_MAX: Final = 10_000
"""Requests whose answer may still come; the oldest are forgotten. A fault may keep one from ever being served."""


class _Pending(NamedTuple):
    sent: RequestSent
    at: float


class ServedMetrics:
    """Counts what happens in a served API, over all resets.

    Args:
        start_seconds: what Unix time virtual 0 is, at present.
        log: takes each request's line, without its newline; None for no log.
    """

    def __init__(self, start_seconds: Callable[[], float], log: Callable[[str], object] | None = None) -> None:
        self._start_seconds = start_seconds
        self._log = log
        self._pending: dict[str, _Pending] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()
        self.turns: Counter[str] = Counter()

    def note(self, now: float, event: Fields) -> None:
        """An event has happened at virtual `now`."""
        if type(event) is RequestSent:
            self._pending[event.request_id] = _Pending(event, now)
            if len(self._pending) > PENDING_MAX:
                del self._pending[next(iter(self._pending))]
        elif type(event) is RequestServed:
            self._served(now, event)
        elif type(event) is FaultStruck:
            self.faults[event.operation, event.fault] += 1
            self._write(now, event.request_id, event.operation, event.thread_id, None, fault=event.fault)
        elif type(event) is RunState:
            self.turns[event.state] += 1

    def _served(self, now: float, served: RequestServed) -> None:
        pending = self._pending.pop(served.request_id, None)
        if pending is None:
            return
        sent = pending.sent
        self.requests[sent.operation, str(served.status)] += 1
        more = {} if served.error_message is None else {"error": served.error_message}
        self._write(now, served.request_id, sent.operation, sent.thread_id, sent.run_id, status=served.status, **more)

    def _write(
        self, now: float, request_id: str, operation: str, thread: str | None, run: str | None, **more: Any
    ) -> None:
        if self._log is None:
            return
        time = datetime.fromtimestamp(self._start_seconds() + now, UTC).isoformat(timespec="milliseconds")
        line = {
            "timestamp": time.replace("+00:00", "Z"),
            "virtual_seconds": round(now, 6),
            "request": request_id,
            "operation": operation,
            "conversation": thread,
            "turn": run,
            **more,
        }
        self._log(json.dumps({name: value for name, value in line.items() if value is not None}, ensure_ascii=False))


def exposition(metrics: ServedMetrics, *, errors: int, now: float, speed: float) -> bytes:
    """All metrics, in Prometheus' text format 0.0.4.

    Args:
        errors: how many errors of the simulator itself there were.
        now: virtual seconds since the last reset.
        speed: virtual seconds per real second.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

    class Collected:
        def collect(self) -> list[Metric]:
            requests = CounterMetricFamily(
                "relaysim_requests", "requests that the simulated API answered", labels=["operation", "status"]
            )
            for (operation, status), count in sorted(metrics.requests.items()):
                requests.add_metric([operation, status], count)
            faults = CounterMetricFamily(
                "relaysim_faults_fired", "requests that a fault struck", labels=["operation", "kind"]
            )
            for (operation, kind), count in sorted(metrics.faults.items()):
                faults.add_metric([operation, kind], count)
            turns = CounterMetricFamily(
                "relaysim_turn_states", "runs or turns that came into a state", labels=["state"]
            )
            for state, count in sorted(metrics.turns.items()):
                turns.add_metric([state], count)
            failed = CounterMetricFamily("relaysim_simulator_errors", "errors of the simulator itself", errors)
            clock = GaugeMetricFamily("relaysim_virtual_seconds", "virtual time since the last reset", now)
            paced = GaugeMetricFamily("relaysim_speed", "virtual seconds per real second", speed)
            return [requests, faults, turns, failed, clock, paced]

    registry = CollectorRegistry()
    registry.register(Collected())
    return generate_latest(registry)
