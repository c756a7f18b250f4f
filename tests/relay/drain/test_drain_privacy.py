"""No words and no name of a customer in any log line or metric, whatever goes wrong.

Every bench checks its log lines; here are those with much to tell, and the metrics.
"""

from __future__ import annotations

from typing import Any

import pytest
from drain_bench import Bench, Sent, constant

from relaysim.relay.drain.channel import NotSent
from relaysim.sim.backends.replies import Failure

TROUBLES: dict[str, dict[str, Any]] = {
    "api": {"faults": [{"kind": "status", "status": 500, "probability": 0.5}]},
    "refusal": {"faults": [{"kind": "status", "status": 400, "route": "runs.create"}]},
    "redis": {"redis_faults": [{"kind": "away", "at_seconds": constant(1.0), "seconds": constant(15.0)}]},
    "failing": {"replies": [Failure("server_error", "question m1 was too much")]},
    "stuck": {"profile": {"stuck_probability": 1.0}},
}


@pytest.mark.parametrize("trouble", list(TROUBLES))
def test_neither_logs_nor_metrics_tell_of_the_customer(trouble: str) -> None:
    async def refuse(sent: Sent) -> None:
        if len(bench.sent) == 1:
            raise NotSent(f"{sent.conversation} does not want {sent.text}")
        raise TimeoutError(f"{sent.conversation}: {sent.text}")

    with Bench(workers=2, channel=refuse, **TROUBLES[trouble]) as bench:
        bench.say(0.0, "m1", text="My card number is 4111 1111")
        bench.say(0.3, "m2", worker=2, text="And my name is Ana")
        bench.at(3.0, bench.crash, 1)
        bench.run(120)
        published = bench.published()
        assert "relay_outcomes_total" in published
        assert bench.lines
        for private in ("90000", "4111", "Ana", "Answer to", bench.id_of("m1"), bench.thread()):
            assert private not in published
        for private in ("90000", "4111", "Ana", "Answer to", bench.id_of("m1")):
            assert private not in "\n".join(bench.lines)


def test_events_name_a_conversation_by_its_pseudonym() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        names = [event["event"] for event in map(dict, bench.all_events())]
        assert [name for name in names if name != "retry"] == [
            "accepted",
            "lease_taken",
            "run_created",
            "run_ended",
            "outcome",
            "released",
        ]
        assert len({event["conversation"] for event in bench.all_events()}) == 1
        (outcome,) = bench.events("outcome")
        assert outcome["outcome"] == "answered"
        assert outcome["seconds"] == pytest.approx(bench.sent[0].at + 0.1, abs=0.05)
