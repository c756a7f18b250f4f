"""Settings of `drain`: every one is checked, documented and seen by a type checker."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from drain_bench import NoClient

from relaysim.relay import DrainSettings, drain
from relaysim.relay.drain.drain_settings import DrainArguments
from relaysim.relay.drain.retries import GRACE_SECONDS
from relaysim.relay.telemetry import Telemetry

NOT_SECONDS = [-1, -0.001, math.inf, math.nan, "2", None, True]
NOT_POSITIVE = [*NOT_SECONDS, 0, 0.0]
NOT_A_COUNT = [-1, 1.5, True, "1", None]
NOT_A_NUMBER_OF = [0, *NOT_A_COUNT]
NOT_A_FLAG = [0, 1, None, "false"]

WRONG: dict[str, list[Any]] = {
    "api": ["assistants", "", None],
    "assistant_id": ["", None, 3],
    "model": ["", None, 3],
    "instructions": [None, 3],
    "key_prefix": ["", None, 3],
    "lease_seconds": [*NOT_POSITIVE, 0.09],
    "sweep_seconds": NOT_POSITIVE,
    "sweep_batch": NOT_A_NUMBER_OF,
    "burst_gap_seconds": NOT_SECONDS,
    "burst_cap_seconds": NOT_SECONDS,
    "batch_messages_max": [*NOT_A_NUMBER_OF, 31],
    "inbox_messages_max": NOT_A_NUMBER_OF,
    "poll_first_seconds": NOT_POSITIVE,
    "poll_factor": [*NOT_POSITIVE, 0.99],
    "poll_cap_seconds": NOT_POSITIVE,
    "poll_hint": NOT_A_FLAG,
    "request_timeout_seconds": NOT_POSITIVE,
    "retry_first_seconds": NOT_POSITIVE,
    "retry_cap_seconds": NOT_POSITIVE,
    "retry_budget_ratio": [*NOT_SECONDS, 1.01],
    "retry_budget_reserve": NOT_A_COUNT,
    "retry_budget_refill_per_second": NOT_POSITIVE,
    "run_patience_seconds": NOT_POSITIVE,
    "foreign_patience_seconds": NOT_SECONDS,
    "thread_patience_seconds": NOT_SECONDS,
    "moved_messages_max": [*NOT_A_COUNT, 33],
    "deadline_seconds": NOT_POSITIVE,
    "apology_span_seconds": NOT_SECONDS,
    "cancel_patience_seconds": NOT_SECONDS,
    "creations_max": NOT_A_NUMBER_OF,
    "send_timeout_seconds": NOT_POSITIVE,
    "send_patience_seconds": NOT_SECONDS,
    "remember_seconds": [*NOT_POSITIVE, 604_799],
    "store_timeout_seconds": NOT_POSITIVE,
    "when_redis_is_away": ["fail", "", None, True],
    "when_redis_evicts": ["", None, True, "evict"],
    "wait_replicas": NOT_A_COUNT,
    "wait_milliseconds": NOT_A_NUMBER_OF,
}
LIMITS: dict[str, list[Any]] = {
    "lease_seconds": [0.1],
    "burst_gap_seconds": [0],
    "burst_cap_seconds": [0],
    "batch_messages_max": [1, 30],
    "inbox_messages_max": [1],
    "poll_factor": [1],
    "retry_budget_ratio": [0, 1],
    "retry_budget_reserve": [0],
    "foreign_patience_seconds": [0],
    "thread_patience_seconds": [0],
    "moved_messages_max": [0, 32],
    "apology_span_seconds": [0],
    "cancel_patience_seconds": [0],
    "creations_max": [1],
    "send_patience_seconds": [0],
    "remember_seconds": [604_800],
    "when_redis_is_away": ["fail_open", "fail_closed"],
    "when_redis_evicts": ["refuse", "warn"],
    "wait_replicas": [0, 2],
    "wait_milliseconds": [1],
}


async def _send(conversation: str, text: str) -> None: ...


def make(**settings: Any) -> Any:
    client: Any = NoClient()
    return drain(client, client, _send, telemetry=Telemetry(), **settings)


def test_every_setting_has_a_rule_and_wrong_values_to_try() -> None:
    names = [field.name for field in fields(DrainSettings)]
    assert list(WRONG) == names
    assert list(DrainSettings.rules()) == names


@pytest.mark.parametrize("name", list(WRONG))
def test_a_wrong_value_is_refused_with_setting_value_and_remedy(name: str) -> None:
    for value in WRONG[name]:
        with pytest.raises(ValueError, match=f"^{name} = .*: must be ") as caught:
            DrainSettings.read("drain", {name: value})
        assert str(caught.value).startswith(f"{name} = {value!r}: must be ")
        with pytest.raises(ValueError, match=f"^{name} = "):
            DrainSettings(**{name: value})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in LIMITS.items() for value in values])
def test_what_the_documentation_allows_is_taken(name: str, value: Any) -> None:
    fitting: dict[str, Any] = {"store_timeout_seconds": 0.05} if name == "lease_seconds" else {}
    assert getattr(DrainSettings(**{name: value, **fitting}), name) == value


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"lease_seconds": 3},
            "store_timeout_seconds = 2.0: must be below 1.7 seconds with lease_seconds = 3, or one renewal that Redis does "
            "not answer loses the lease",
        ),
        (
            {"lease_seconds": 5, "wait_replicas": 1},
            "store_timeout_seconds = 2.0 + wait_milliseconds = 1000: must be below 2.83 seconds with lease_seconds = 5, or "
            "one renewal that Redis does not answer loses the lease",
        ),
        (
            {"lease_seconds": 60, "sweep_seconds": 20},
            "deadline_seconds = 80.0: must be above lease_seconds = 60 + sweep_seconds = 20, or whatever a crashed worker "
            "leaves is found too late for an answer",
        ),
        (
            {"burst_cap_seconds": 70},
            "deadline_seconds = 80.0: must be above burst_cap_seconds = 70 + request_timeout_seconds = 10.0, or no run may "
            "be created in time",
        ),
        (
            {"apology_span_seconds": 80},
            "apology_span_seconds = 80: must be below deadline_seconds = 80.0, or an apology also ends messages that have "
            "only just come",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_at_once_with_both_names(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=r"must be (above|below)") as caught:
        make(**settings)
    assert str(caught.value) == said
    # One notch less is no contradiction.
    reconciled = {name: value * 0.9 if isinstance(value, int) else value for name, value in settings.items()}
    if "lease_seconds" in settings and "sweep_seconds" not in settings:
        reconciled = {**settings, "store_timeout_seconds": 1.6}
    make(**reconciled)


def test_all_contradictions_are_told_together() -> None:
    with pytest.raises(ValueError, match="deadline_seconds") as caught:
        make(deadline_seconds=11)
    assert [problem.partition(" = ")[0] for problem in str(caught.value).split("; ")] == [
        "deadline_seconds",
        "deadline_seconds",
        "apology_span_seconds",
    ]


def test_a_customer_is_promised_no_less_time_than_the_settings_take() -> None:
    assert make().promises["deadline_seconds"] == 90.0
    assert make(deadline_seconds=300).promises["deadline_seconds"] == 300 + 5 + 2 * GRACE_SECONDS + 1
    assert make(deadline_seconds=300).promises["late_apology"]["after_seconds"] == 300
    assert [make(moved_messages_max=kept).promises["remembers"] for kept in (0, 3, 32)] == [0, 3, 8]


def test_the_factory_says_at_once_all_that_is_wrong() -> None:
    with pytest.raises(ValueError, match="leese_seconds") as caught:
        make(leese_seconds=3, sweep_seconds=0, creations_max=0)
    assert str(caught.value).split("; ") == [
        "leese_seconds = 3: drain has no such setting, did you mean lease_seconds?",
        "sweep_seconds = 0: must be a number of seconds above 0",
        "creations_max = 0: must be a whole number, 1 or more",
    ]


def test_settings_can_not_change_afterwards() -> None:
    settings = DrainSettings()
    with pytest.raises(AttributeError):
        settings.lease_seconds = 3.0  # type: ignore[misc]


def test_a_type_checker_sees_the_settings_as_they_are() -> None:
    hints = get_type_hints(DrainSettings)
    assert get_type_hints(DrainArguments) == {field.name: hints[field.name] for field in fields(DrainSettings)}


def test_every_setting_is_documented_in_order() -> None:
    documented = re.findall(r"^    ([a-z_]+)  +\S", DrainSettings.__doc__ or "", re.MULTILINE)
    assert documented == [field.name for field in fields(DrainSettings)]


def test_by_default_a_customer_hears_within_90_seconds_whatever_the_run_does() -> None:
    """The apology waits for a run that is being stopped, and for one last look at it, before it leaves."""
    settings = DrainSettings()
    assert settings.deadline_seconds + settings.cancel_patience_seconds + 2 * GRACE_SECONDS < 90.0
    # A stuck run is given up, and its thread, in time for another.
    assert settings.run_patience_seconds + settings.thread_patience_seconds < settings.deadline_seconds - 30.0
    # A lease survives two renewals that Redis did not answer.
    assert settings.store_timeout_seconds < settings.lease_seconds / 3
