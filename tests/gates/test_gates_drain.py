"""The policy `drain` in every scenario of the incident: its promises hold there too, not only in scenarios of its own."""

from __future__ import annotations

import pytest

from relaysim.scenarios.compare import load_comparison
from relaysim.scenarios.load import INCIDENT
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.sim.world import CHECKED, INVARIANTS

#: Worlds of many messages each take seconds.
_FEW = {"peak_hour": 2, "peak_hour_before": 2}
#: How long customers wait for a reply is judged by claims; these are what the relay and its store owe.
PROMISES = sorted(name for name in INVARIANTS if INVARIANTS[name].startswith("breach_"))


@pytest.mark.parametrize("name", INCIDENT)
def test_no_promise_is_broken(name: str) -> None:
    comparison = load_comparison(name, ["cancel_and_retry", "drain"])
    (drain,) = (policy for policy in comparison.policies if policy.name == "drain")
    batch = Batch("drain", drain.scenario.to_json(), _FEW.get(name, 60), "direct", claims=())
    summaries, _ = run_batches([batch], jobs=1)
    summary = summaries["drain"]
    broken = {each: summary.invariants[each].count for each in PROMISES if summary.invariants[each].count}
    assert broken == {}
    assert summary.counts[CHECKED["S1-every-message-ends-once"]] > 0
