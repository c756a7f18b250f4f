"""What records of a trace are called as events, and whose they are."""

from __future__ import annotations

import pytest

from relaysim.sim.faults.events import Event, Events
from relaysim.sim.kernel import Kernel


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(1, 0)


def test_a_request_is_named_by_its_operation_until_it_is_answered(kernel: Kernel) -> None:
    trace, events = kernel.trace, Events()
    trace.add("worker-1", "request", "worker-1#1", "c1.m1#1", "runs.create", "thread_1", None)
    trace.add("worker-2", "request", "worker-2#1", "c2.m1#1", "runs.list", "thread_2", None)
    trace.add("api", "served", "worker-1#1", 200, None, "run_1")
    trace.add("api", "served", "worker-2#1", 200, None, 0)
    trace.add("worker-1", "response", "worker-1#1", 200, None)
    assert [events.read(record) for record in trace.records] == [
        Event("worker-1", "request:runs.create"),
        Event("worker-2", "request:runs.list"),
        Event("worker-1", "served:runs.create"),
        Event("worker-2", "served:runs.list"),
        Event("worker-1", "response:runs.create"),
    ]


def test_commands_leases_and_the_rest(kernel: Kernel) -> None:
    trace, events = kernel.trace, Events()
    trace.add("worker-1", "redis", "c1.m1#1", "renew", "lease:c1", 1)
    trace.add("redis", "lease.taken", "c1", "worker-2", 7)
    trace.add("redis", "lease.released", "c1", "worker-2")
    trace.add("worker-1", "handling.start", "c1.m1#1", "c1.m1", 1)
    trace.add("worker-1", "handling.end", "c1.m1#1", None, None)
    trace.add("worker-1", "send", "c1.m1#1", "c1", "text")
    assert [events.read(record) for record in trace.records] == [
        Event("worker-1", "redis:renew"),
        Event("worker-2", "lease.taken"),
        Event("worker-2", "lease.released"),
        Event("worker-1", "handling.start"),
        Event("worker-1", "handling.end"),
        Event("worker-1", "send"),
    ]


def test_the_rest_of_a_trace_is_no_event(kernel: Kernel) -> None:
    kernel.trace.add("worker-1", "host.pause", 3.0)
    kernel.trace.add("api", "served", "nobody#1", 200, None, "")
    assert [Events().read(record) for record in kernel.trace.records] == [None, None]
