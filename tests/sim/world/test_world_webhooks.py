"""Webhooks: at least once, late, twice, and again until acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from world_bench import run, settings, told

from relaysim.sim.world import Session
from relaysim.sim.world.webhook_faults import WebhookFault

pytestmark = pytest.mark.usefixtures("one_session")


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def test_a_delivery_whose_handling_raised_comes_again_until_one_is_acknowledged() -> None:
    made = settings("world_relays:raiser", workers=1, relay={"raises": 2}, workload={"redeliver_seconds": 3.0})
    assert told(run(made), "handling.start", "webhook.failed", "handling.end") == [
        (1.125, "w1", "handling.start", "c1.m1#1", "c1.m1", 1),
        (1.125, "w1", "handling.end", "c1.m1#1", None, "ValueError"),
        (1.125, "webhooks", "webhook.failed", "c1.m1#1", "w1", "handle raised"),
        (4.125, "w1", "handling.start", "c1.m1#2", "c1.m1", 2),
        (4.125, "w1", "handling.end", "c1.m1#2", None, "ValueError"),
        (4.125, "webhooks", "webhook.failed", "c1.m1#2", "w1", "handle raised"),
        (7.125, "w1", "handling.start", "c1.m1#3", "c1.m1", 3),
        (7.375, "w1", "handling.end", "c1.m1#3", None, None),
    ]


def test_without_redelivery_a_failed_handling_is_the_last() -> None:
    result = run(settings("world_relays:raiser", workers=1))
    assert [record[2] for record in told(result, "handling.start", "webhook.failed", "handling.end")] == [
        "handling.start",
        "handling.end",
    ]


def test_a_repetition_goes_to_a_worker_that_lives() -> None:
    """Three of four workers are dead: whoever is drawn, the fourth gets it."""
    made = settings(
        "world_relays:sleeper",
        workers=4,
        workload={"messages": [{"at_seconds": 1.0, "worker": 1}], "redeliver_seconds": 2.0},
        host_faults=[{"kind": "crash", "at_seconds": 2.0, "workers": [1, 2, 4]}],
    )
    for seed in range(4):
        assert [record[1] for record in told(run(made, seed=seed), "handling.start")] == ["w1", "w3"]


def test_a_duplicate_follows_though_nothing_failed() -> None:
    fault = {"kind": "duplicate", "nth": [2], "seconds": 7.0}
    result = run(settings("world_relays:sender", 1.0, 2.0, 3.0, workers=1, webhook_faults=[fault]))
    assert told(result, "webhook.duplicate") == [(2.0, "webhooks", "webhook.duplicate", "c1.m2#2", 7.0)]
    assert [record[:4:3] for record in told(result, "handling.start")] == [
        (1.125, "c1.m1#1"),
        (2.125, "c1.m2#1"),
        (3.125, "c1.m3#1"),
        (9.125, "c1.m2#2"),
    ]
    assert result.observation["fault_hits"] == {"webhook_faults": [1]}


def test_a_late_delivery_is_overtaken() -> None:
    fault = {"kind": "late", "window_seconds": [0.5, 1.5], "seconds": 5.0}
    result = run(settings("world_relays:sender", 1.0, 2.0, workers=1, webhook_faults=[fault]))
    assert told(result, "webhook.late") == [(1.0, "webhooks", "webhook.late", "c1.m1#1", 5.0)]
    assert [record[:4:3] for record in told(result, "handling.start")] == [(2.125, "c1.m2#1"), (6.125, "c1.m1#1")]


def test_after_a_lost_acknowledgement_the_provider_delivers_again() -> None:
    fault = {"kind": "lost_ack", "nth": [1, 2], "seconds": 4.0}
    result = run(settings("world_relays:sender", workers=1, webhook_faults=[fault]))
    assert told(result, "handling.end", "webhook.failed") == [
        (1.375, "w1", "handling.end", "c1.m1#1", None, None),
        (1.375, "webhooks", "webhook.failed", "c1.m1#1", "w1", "acknowledgement lost"),
        (5.625, "w1", "handling.end", "c1.m1#2", None, None),
        (5.625, "webhooks", "webhook.failed", "c1.m1#2", "w1", "acknowledgement lost"),
        (9.875, "w1", "handling.end", "c1.m1#3", None, None),
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"kind": "late"}, "kind 'late' needs `seconds`, how much longer the delivery takes"),
        ({"kind": "duplicate", "nth": []}, "nth counts from 1 and names at least one event"),
        ({"kind": "duplicate", "window_seconds": [3, 2]}, "the window must begin at 0 or later"),
        ({"kind": "reordered"}, "Input should be 'duplicate', 'late' or 'lost_ack'"),
    ],
)
def test_a_wrong_fault_is_told(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookFault.model_validate(keys)
    assert said in str(caught.value)
