"""Goal: a bot is held to the order of writing as far as its provider lets it know that order, and no further."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from relaysim.scenarios.load import load
from relaysim.sim.providers import Custom, Evolution, Slack, Telegram, Twilio, WhatsApp
from relaysim.sim.world import run_world
from relaysim.sim.world.judge.early_looks import crossing
from relaysim.sim.world.judge.written_order import is_known_later
from relaysim.sim.world.settings import FAULT_LISTS
from relaysim.sim.world.variations import with_value

pytestmark = pytest.mark.usefixtures("one_session")


def message(sent_at: float, came: float | None, stored_at: float | None = None, raised_at: float | None = None) -> Any:
    """A message as the judge knows it; `raised_at`: of an earlier delivery, at which the relay refused to take it in."""
    deliveries = [] if came is None else [SimpleNamespace(start=came, error_class=None)]
    if raised_at is not None:
        deliveries.insert(0, SimpleNamespace(start=raised_at, error_class="InboxUnavailable"))
    return SimpleNamespace(
        sent_at=sent_at,
        handlings=deliveries,
        first_start=deliveries[0].start if deliveries else None,
        stored_at=raised_at if raised_at is not None else stored_at,
        acceptances=[at for at in (raised_at, stored_at) if at is not None],
    )


@pytest.mark.parametrize(
    ("written", "came", "seconds", "known"),
    [
        ((1.1, 1.9), (5.0, 4.0), 0.0, True),
        ((1.1, 1.9), (5.0, 4.0), 1.0, False),
        ((1.1, 1.9), (4.0, 5.0), 1.0, True),
        ((1.1, 1.9), (4.0, 4.0), 1.0, False),
        ((1.9, 2.1), (5.0, 4.0), 1.0, True),
        ((1.1, 9.9), (5.0, 4.0), inf, False),
        ((1.1, 9.9), (4.0, 5.0), inf, True),
        ((1.1, 1.9), (None, 4.0), 1.0, False),
    ],
)
def test_what_came_in_the_other_order_within_the_clocks_step_is_not_known(
    written: tuple[float, float], came: tuple[Any, Any], seconds: float, known: bool
) -> None:
    earlier, later = (message(at, start) for at, start in zip(written, came, strict=True))
    assert is_known_later(later, earlier, seconds) is known
    assert not is_known_later(earlier, later, seconds)


@pytest.mark.parametrize(("stored", "known"), [((6.0, 7.0), True), ((7.0, 6.0), False)])
def test_of_messages_that_two_workers_had_at_once_the_store_says_which_came_first(
    stored: tuple[float, float], known: bool
) -> None:
    earlier, later = (message(at, 4.0 + at, it) for at, it in enumerate(stored))
    assert is_known_later(later, earlier, inf) is known
    assert is_known_later(later, earlier, 0.0)


def test_what_a_relay_refused_to_take_in_came_when_it_took_it_in() -> None:
    """A failover took the first acceptance back; the delivery that the relay acknowledged came after the later message."""
    earlier, later = message(0.0, 6.0, 8.0, raised_at=2.0), message(1.0, 5.0, 7.0)
    assert not is_known_later(later, earlier, inf)
    assert is_known_later(later, message(0.0, 4.0, 6.0, raised_at=2.0), inf)


def test_a_relay_that_is_not_told_when_a_message_was_written_is_judged_by_what_it_can_know() -> None:
    """The webhooks cross. It answers in the order in which they came, which is wrong only where it is told better."""
    sets = ["workload.conversations=1", "workload.bursts.messages_mean=4", "workload.bursts.duration_seconds=40"]
    sets += [f"{name}=[]" for name in FAULT_LISTS]
    webhooks = {"kind": "uniform", "low": 0.0, "high": 10.0}
    for tells in (True, False):
        settings = load("drain_faults", [*sets, f"workload.tells_time={str(tells).lower()}"]).world_settings()
        world = settings.model_copy(update={"profile": with_value(settings.profile, "webhook_seconds", webhooks)})
        counts = run_world(world, root_seed=1, seed=0, lane="direct").observation["counts"]
        assert counts["breach_S14"] == counts["breach_S3"] == 0
        assert counts["messages"] > 5


def test_how_fine_each_provider_says_it() -> None:
    assert [each().order_seconds for each in (Telegram, Slack, WhatsApp, Evolution, Twilio)] == [
        0.0,
        0.0,
        1.0,
        1.0,
        inf,
    ]
    assert Custom().order_seconds == 1.0
    assert Custom(body={"text": "{text}"}).order_seconds == inf


def test_a_breach_of_the_order_says_that_webhooks_crossed_where_they_did() -> None:
    def message(name: str, written: float, came: float | None) -> Any:
        return SimpleNamespace(id=name, sent_at=written, first_start=came)

    said = crossing(message("c1.m1", 1.0, 4.25), message("c1.m2", 1.5, 4.0))
    assert "(c1.m1, written 0.500 s before c1.m2, came 0.250 s after it)" in said
    for first, second in ((4.0, 4.25), (4.0, 4.0), (None, 4.0), (4.0, None)):
        assert crossing(message("c1.m1", 1.0, first), message("c1.m2", 1.5, second)) == ""
