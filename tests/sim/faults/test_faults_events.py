"""What records of a trace are called as events, and whose they are."""

from __future__ import annotations

import pytest

from relaysim.sim.faults.worker_events import Event, Events
from relaysim.sim.kernel import Kernel
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    HostPause,
    LeaseReleased,
    LeaseTaken,
    RedisCommand,
    RequestSent,
    RequestServed,
    ResponseReceived,
    TextSent,
)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(1, 0)


def test_a_request_is_named_by_its_operation_until_it_is_answered(kernel: Kernel) -> None:
    trace, events = kernel.trace, Events()
    trace.add("worker-1", RequestSent("worker-1#1", "c1.m1#1", "runs.create", "thread_1", None))
    trace.add("worker-2", RequestSent("worker-2#1", "c2.m1#1", "runs.list", "thread_2", None))
    trace.add("api", RequestServed("worker-1#1", 200, None, "run_1"))
    trace.add("api", RequestServed("worker-2#1", 200, None, 0))
    trace.add("worker-1", ResponseReceived("worker-1#1", 200, None))
    assert [events.read(record) for record in trace.records] == [
        Event("worker-1", "request:runs.create"),
        Event("worker-2", "request:runs.list"),
        Event("worker-1", "served:runs.create"),
        Event("worker-2", "served:runs.list"),
        Event("worker-1", "response:runs.create"),
    ]


def test_commands_leases_and_the_rest(kernel: Kernel) -> None:
    trace, events = kernel.trace, Events()
    trace.add("worker-1", RedisCommand("c1.m1#1", "renew", "lease:c1", 1))
    trace.add("redis", LeaseTaken("c1", "worker-2"))
    trace.add("redis", LeaseReleased("c1", "worker-2"))
    trace.add("worker-1", HandlingStart("c1.m1#1", "c1.m1", 1))
    trace.add("worker-1", HandlingEnd("c1.m1#1", None, None))
    trace.add("worker-1", TextSent("c1.m1#1", "c1", "text"))
    assert [events.read(record) for record in trace.records] == [
        Event("worker-1", "redis:renew"),
        Event("worker-2", "lease.taken"),
        Event("worker-2", "lease.released"),
        Event("worker-1", "handling.start"),
        Event("worker-1", "handling.end"),
        Event("worker-1", "send"),
    ]


def test_the_rest_of_a_trace_is_no_event(kernel: Kernel) -> None:
    kernel.trace.add("worker-1", HostPause(3.0))
    kernel.trace.add("api", RequestServed("nobody#1", 200, None, ""))
    assert [Events().read(record) for record in kernel.trace.records] == [None, None]
