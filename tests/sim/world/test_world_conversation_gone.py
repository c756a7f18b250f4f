"""Goal: a thread that vanishes costs its customer at most an apology: the relay goes on in a new one, and breaks no promise.

Method: `drain` in worlds in which requests about runs find the thread gone, as somebody else deletes one.
"""

from __future__ import annotations

from typing import Any

import pytest
from world_bench import run, settings

from relaysim.sim.trace.schema import ELSEWHERE, ThreadDeleted
from relaysim.sim.world import Session

GONE = {"kind": "conversation_gone", "route": "runs.*"}


@pytest.fixture(autouse=True)
def _session() -> Any:
    with Session():
        yield


@pytest.mark.parametrize("fault", [{"nth": (2,)}, {"nth": (1, 4)}, {"probability": 0.2}], ids=str)
def test_drain_goes_on_in_a_new_thread_and_breaks_no_promise(fault: dict[str, Any]) -> None:
    workload = {"messages": [{"at_seconds": at} for at in (1.0, 2.0, 30.0, 31.0)]}
    liveness = {"faults_stop_seconds": 60.0, "settle_seconds": 20.0}
    made = settings("relaysim.relay:drain", workload=workload, faults=[{**GONE, **fault}], liveness=liveness)
    result = run(made)
    counts = result.observation["counts"]
    deleted = [event for _, _, _, event in result.records or () if isinstance(event, ThreadDeleted)]
    assert len(deleted) >= 1
    assert {each.cause for each in deleted} == {ELSEWHERE}
    assert counts["checked_S1"] == 4
    assert {name: n for name, n in counts.items() if name.startswith("breach_") and n} == {}
    assert counts["answered"] + counts["covered"] + counts["generic_failure"] + counts["friendly_failure"] >= 4


def test_a_route_that_names_no_conversation_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"faults\.0\.route\n.*'\*' matches assistants\.create, which names no conversation"
    ):
        settings("relaysim.relay:drain", faults=[{"kind": "conversation_gone"}])
