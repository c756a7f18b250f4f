"""Somebody else starts runs on the conversations' threads now and then."""

from __future__ import annotations

from typing import Any

import pytest
from world_bench import run, settings, told

from relaysim.sim.kernel import Kernel
from relaysim.sim.world.foreign_runs import start_foreign_runs


class Service:
    """A stand-in for an API, which notes what is started there."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.started: list[tuple[float, str, str]] = []

    def start_elsewhere(self, thread: str, cause: str) -> None:
        self.started.append((self._kernel.now, thread, cause))


def started(per_minute: float, until: float) -> list[tuple[float, str, str]]:
    kernel = Kernel(7, 0)
    service = Service(kernel)
    stand_in: Any = service
    start_foreign_runs(kernel, stand_in, ["thread_a", "thread_b"], per_minute, lambda: until)
    kernel.run(until=2.0 * until)
    return service.started


def test_each_thread_gets_runs_at_its_rate_each_under_a_name_of_its_own() -> None:
    found = started(per_minute=6.0, until=6000.0)
    for thread in ("thread_a", "thread_b"):
        count = sum(each == thread for _, each, _ in found)
        assert count == pytest.approx(600, abs=100)  # a Poisson count: four standard deviations
    assert len({cause for _, _, cause in found}) == len(found)


def test_none_is_started_from_the_end_on() -> None:
    found = started(per_minute=60.0, until=30.0)
    assert found
    assert max(time for time, _, _ in found) < 30.0
    assert found == started(per_minute=60.0, until=30.0)


@pytest.mark.usefixtures("one_session")
def test_a_world_has_them_if_its_workload_says_so() -> None:
    for per_minute, expected in ((0.0, False), (30.0, True)):
        made = settings("world_relays:sleeper", 1.0, 120.0, workload={"foreign_runs_per_minute": per_minute})
        runs = told(run(made), "run.state")
        assert bool(runs) is expected
        assert {str(each[-1]).partition("#")[0] for each in runs} <= {"elsewhere", "time"}
