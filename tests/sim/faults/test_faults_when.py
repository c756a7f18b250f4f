"""The conditions as fields of scenario files: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from relaysim.sim.faults import AtOccasions, EventFault
from relaysim.sim.faults.when import NthAttempts, NthCommands, NthEvents, WindowSeconds


class Fields(BaseModel):
    """A table with all of them."""

    window_seconds: WindowSeconds = None
    events: NthEvents = None
    attempts: NthAttempts = None
    commands: NthCommands = None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("window_seconds", (5, 5), "the window must begin at 0 or later and end after it begins, not [5.0, 5.0]"),
        ("window_seconds", (-1, 5), "the window must begin at 0 or later and end after it begins, not [-1.0, 5.0]"),
        ("events", (), "nth counts from 1 and names at least one event"),
        ("attempts", (3, 0), "nth counts from 1 and names at least one attempt"),
        ("commands", (-1,), "nth counts from 1 and names at least one command"),
    ],
)
def test_what_cannot_be_a_condition_is_refused(field: str, value: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Fields.model_validate({field: value})
    (error,) = caught.value.errors()
    assert error["msg"] == f"Value error, {words}"
    assert error["loc"] == (field,)


def test_what_can_be_a_condition_is_taken_as_it_is() -> None:
    made = Fields(window_seconds=(0, 0.5), events=(1,), attempts=(2, 2), commands=(7, 3))
    assert made.model_dump() == {"window_seconds": (0, 0.5), "events": (1,), "attempts": (2, 2), "commands": (7, 3)}
    assert Fields().model_dump() == dict.fromkeys(("window_seconds", "events", "attempts", "commands"))


def test_a_fault_of_events_watches_all_of_them() -> None:
    fault = EventFault(kind="slow", probability=0.3, window_seconds=(1, 2), nth=(4,))
    assert fault.when == AtOccasions("*", 0.3, (1, 2), (4,))
