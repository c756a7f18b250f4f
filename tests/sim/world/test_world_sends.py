"""Sending: which messages a text is for, what became of it, and what the relay is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError
from world_bench import run, settings, told

from relaysim.sim.world import Session
from relaysim.sim.world.send_faults import SendFault, SendRefused

pytestmark = pytest.mark.usefixtures("one_session")


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


@pytest.mark.parametrize(
    ("fault", "fate", "received", "ended", "raised"),
    [
        ({"kind": "refused"}, "refused", None, 1.375, "SendRefused"),
        ({"kind": "unknown_delivered"}, "unknown_delivered", 1.25, 11.125, "TimeoutError"),
        ({"kind": "unknown_lost", "seconds": 3.0}, "unknown_lost", None, 4.125, "TimeoutError"),
        ({"kind": "slow", "seconds": 2.0}, "delivered", 2.25, 3.375, None),
        ({"kind": "refused", "nth": [2]}, "delivered", 1.25, 1.375, None),
    ],
)
def test_a_text_meets_its_fate(
    fault: dict[str, object], fate: str, received: float | None, ended: float, raised: str | None
) -> None:
    result = run(settings("world_relays:sender", workers=1, send_faults=[fault]))
    assert told(result, "send", "send.fate") == [
        (1.125, "w1", "send", "c1.m1#1", "c1", "Got c1.m1"),
        (1.125, "w1", "send.fate", "c1.m1#1", "c1", fate),
    ]
    assert [record[0] for record in told(result, "received")] == ([] if received is None else [received])
    assert told(result, "handling.end") == [(ended, "w1", "handling.end", "c1.m1#1", None, raised)]


def test_a_refusal_says_that_it_surely_was_not_sent() -> None:
    assert SendRefused().not_sent is True
    assert not hasattr(TimeoutError(), "not_sent")


def test_the_first_fault_that_hits_decides_and_all_count() -> None:
    faults = [{"kind": "refused", "nth": [2]}, {"kind": "unknown_lost", "nth": [1, 2, 3]}]
    result = run(settings("world_relays:sender", 1.0, 2.0, 3.0, workers=1, send_faults=faults))
    assert [record[-1] for record in told(result, "send.fate")] == ["unknown_lost", "refused", "unknown_lost"]
    assert result.observation["fault_hits"] == {"send_faults": [1, 2]}


def test_what_a_text_is_for_stands_right_after_it() -> None:
    made = settings("world_relays:queue", relay={"runs": False}, send_faults=[{"kind": "slow", "seconds": 1.0}])
    records = run(made).records
    assert records is not None
    ((index, (_, worker, _, fields)),) = [each for each in enumerate(records) if each[1][2] == "send"]
    assert fields == ("", "c1", "Got c1.m1")
    assert [record[1:] for record in records[index + 1 : index + 3]] == [
        (worker, "send.for", ("", "c1", ("c1.m1",))),
        (worker, "send.fate", ("", "c1", "delivered")),
    ]


def test_without_faults_and_ids_there_is_only_the_text() -> None:
    assert told(run(settings("world_relays:sender")), "send.for", "send.fate") == []


def test_a_refusal_has_no_seconds() -> None:
    with pytest.raises(ValidationError, match="`seconds` does not belong to kind 'refused'"):
        SendFault.model_validate({"kind": "refused", "seconds": 1.0})


def test_a_fault_that_is_left_out_hits_nothing_by_number_either() -> None:
    made = settings("world_relays:sender", send_faults=[{"kind": "refused", "nth": [1]}], swarm={"weight_decades": 0.0})
    with Session():
        hits = [run(made, seed=seed).observation["fault_hits"]["send_faults"][0] for seed in range(40)]
    assert 8 < sum(hits) < 32
