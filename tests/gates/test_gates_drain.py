"""The policy `drain` in every scenario of the incident: its promises hold there too, not only in scenarios of its own."""

from __future__ import annotations

import pytest

from relaysim.scenarios.policy_comparison import load_comparison
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.scenarios.scenario_files import INCIDENT
from relaysim.sim.world import CHECKED, INVARIANTS

pytestmark = pytest.mark.usefixtures("one_session")

#: How long customers wait for a reply is judged by claims; these are what the relay and its store owe.
PROMISES = sorted(name for name in INVARIANTS if INVARIANTS[name].startswith("breach_"))


def assert_no_promise_is_broken(name: str, replications: int) -> None:
    comparison = load_comparison(name, ["cancel_and_retry", "drain"])
    (drain,) = (policy for policy in comparison.policies if policy.name == "drain")
    batch = Batch("drain", drain.scenario.to_json(), replications, "direct", claims=())
    summaries, _ = run_batches([batch], jobs=1)
    summary = summaries["drain"]
    broken = {each: summary.invariants[each].count for each in PROMISES if summary.invariants[each].count}
    assert broken == {}
    assert summary.counts[CHECKED["S1-every-message-ends-once"]] > 0


#: Worlds of many messages each take seconds.
_LARGE = ("peak_hour", "peak_hour_before", "peak_hour_one_key", "peak_hour_drain")


@pytest.mark.parametrize("name", INCIDENT)
def test_no_promise_is_broken(name: str) -> None:
    assert_no_promise_is_broken(name, 1 if name in _LARGE else 6)


@pytest.mark.soak
@pytest.mark.parametrize("name", INCIDENT)
def test_no_promise_is_broken_in_sixty_worlds(name: str) -> None:
    assert_no_promise_is_broken(name, 4 if name in _LARGE else 60)
