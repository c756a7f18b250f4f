"""Settings: the incident's values by default; errors that name the setting, its value and the remedy, all at once."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_doubles import MemoryApi, MemoryRedis

from relaysim.relay import RelaySettings, RetrySettings, cancel_and_retry, check_then_act
from relaysim.relay.policy_settings import RelayArguments, RetryArguments
from relaysim.relay.setting_rules import Settings


async def _send(conversation: str, text: str) -> None: ...


def make(factory: Callable[..., Any], **settings: Any) -> Any:
    return factory(MemoryApi(), MemoryRedis(), _send, **settings)


def test_the_defaults_are_the_incidents() -> None:
    shared = {
        "assistant_id": "asst_relaysim",
        "poll_interval_seconds": 1.0,
        "poll_attempts": 60,
        "chat_lock_seconds": 60.0,
        "thread_lock_seconds": 120.0,
        "chat_lock_prefix": "lock:chat:",
        "thread_lock_prefix": "lock:thread:",
        "lock_retry_seconds": 0.1,
        "lock_wait_seconds": 180.0,
        "lock_release": "token",
        "deduplicate_seconds": 0.0,
    }
    assert asdict(RelaySettings()) == shared
    assert asdict(RetrySettings()) == shared | {
        "attempts": 3,
        "first_wait_seconds": 2.0,
        "factor": 2.0,
        "max_wait_seconds": None,
        "waits": None,
        "jitter": "none",
        "wait_after_last_failure": True,
        "cancels": "each_conflict",
        "cancel_error": "ignore",
        "cancel_with_thread_id": True,
        "log_symbols": True,
    }
    assert RetrySettings().planned_waits == (2.0, 4.0, 8.0)


NOT_SECONDS = [-1, -0.001, math.inf, math.nan, "2", None, True]
NOT_POSITIVE = [*NOT_SECONDS, 0, 0.0]
WRONG: dict[str, list[Any]] = {
    "assistant_id": ["", None, 3],
    "poll_interval_seconds": NOT_POSITIVE,
    "poll_attempts": [0, -1, 1.5, True, "60", None],
    "chat_lock_seconds": [*NOT_POSITIVE, 0.0004],
    "thread_lock_seconds": [*NOT_POSITIVE, 0.0004],
    "chat_lock_prefix": ["", None, 1, "thread:", "seen:"],
    "thread_lock_prefix": ["", None, 1, "thread:", "seen:"],
    "lock_retry_seconds": NOT_POSITIVE,
    "lock_wait_seconds": NOT_SECONDS,
    "lock_release": ["Token", "", None, True, []],
    "deduplicate_seconds": [*NOT_SECONDS, 0.0004],
    "attempts": [0, -1, 1.5, True, "3", None, 1001, 10**12],
    "first_wait_seconds": NOT_SECONDS,
    "factor": NOT_POSITIVE,
    "max_wait_seconds": [-1, -0.001, math.inf, math.nan, "2", True],
    "waits": [3, "2,4,8", [1, -1, 1], [1, "2", 3], [1, math.nan, 1], [True, 1, 1], {1, 2, 3}],
    "jitter": ["some", None, True, {}],
    "wait_after_last_failure": [0, 1, None, "false"],
    "cancels": ["once", "", None, True, []],
    "cancel_error": ["log", None, True],
    "cancel_with_thread_id": [0, 1, None, "false"],
    "log_symbols": [0, 1, None, "false"],
}


def _kinds(kind: type[Settings]) -> list[type[Settings]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


@pytest.mark.parametrize("kind", _kinds(Settings)[1:])
def test_every_default_is_within_its_range(kind: type[Settings]) -> None:
    """Which is why a setting that was not given is not looked at again."""
    defaults = {field.name: field.default for field in fields(kind)}
    assert kind._out_of_range(defaults) == []
    assert defaults


def test_every_setting_has_wrong_values_to_try() -> None:
    assert list(WRONG) == [field.name for field in fields(RetrySettings)]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_with_setting_value_and_remedy(name: str, value: Any) -> None:
    factories = [cancel_and_retry]
    if name in {field.name for field in fields(RelaySettings)}:
        factories.append(check_then_act)  # type: ignore[arg-type]
    for factory in factories:
        with pytest.raises(ValueError, match=r": must (be|differ from) ") as caught:
            make(factory, **{name: value})
        assert str(caught.value).startswith(f"{name} = {value!r}: must ")
    with pytest.raises(ValueError, match=f"^{name} = "):
        RetrySettings(**{name: value})


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="atempts") as caught:
        make(cancel_and_retry, atempts=4, factor=-1, jitter="some", whatever=None)
    problems = str(caught.value).split("; ")
    assert problems[0] == "atempts = 4: cancel_and_retry has no such setting, did you mean attempts?"
    assert re.fullmatch(
        r"whatever = None: cancel_and_retry has no such setting, there are \d\d, such as \w+, \w+, \w+ "
        r"\(relaysim\.relay\.policy_settings\.RetrySettings has all\)",
        problems[1],
    )
    assert problems[2:] == [
        "factor = -1: must be a number above 0",
        "jitter = 'some': must be 'none' or 'full' or 'equal'",
    ]


def test_a_setting_of_the_fix_is_refused_by_the_policy_that_never_retries() -> None:
    with pytest.raises(ValueError, match=r"^attempts = 3: check_then_act has no such setting, as it never retries: "):
        make(check_then_act, attempts=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"waits": [2, 4]}, r"waits = \[2, 4\] has 2 waits: must have 3, with attempts = 3"),
        ({"waits": [2, 4, 8, 16]}, "has 4 waits: must have 3"),
        ({"waits": [2], "wait_after_last_failure": False}, "has 1 waits: must have 2, .* = False"),
        ({"factor": 1e200}, r"factor = 1e\+200 makes the waits infinite"),
        ({"factor": 10, "attempts": 500}, "factor = 10 makes the waits infinite"),
        ({"factor": 2.5, "attempts": 1000}, "factor = 2.5 makes the waits infinite"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(cancel_and_retry, **settings)


def test_settings_can_not_change_afterwards() -> None:
    waits = [1.0, 2.0, 3.0]
    settings = RetrySettings(waits=waits)
    waits[0] = 9.0
    assert settings.planned_waits == (1.0, 2.0, 3.0)
    with pytest.raises(AttributeError):
        settings.attempts = 4  # type: ignore[misc]


@given(
    attempts=st.integers(1, 8),
    first=st.floats(0, 100),
    factor=st.floats(0.125, 8),
    wait_after_last_failure=st.booleans(),
)
def test_the_planned_waits_grow_by_the_factor(
    attempts: int, first: float, factor: float, wait_after_last_failure: bool
) -> None:
    settings = RetrySettings(
        attempts=attempts, first_wait_seconds=first, factor=factor, wait_after_last_failure=wait_after_last_failure
    )
    planned = settings.planned_waits
    assert len(planned) == attempts - (not wait_after_last_failure)
    assert planned == tuple(first * factor**index for index in range(len(planned)))


@pytest.mark.parametrize(("arguments", "settings"), [(RelayArguments, RelaySettings), (RetryArguments, RetrySettings)])
def test_a_type_checker_sees_the_settings_as_they_are(arguments: type, settings: type) -> None:
    hints = get_type_hints(settings)
    assert get_type_hints(arguments) == {field.name: hints[field.name] for field in fields(settings)}
