"""Goal: a bot is held to the order of writing as far as its provider lets it know that order, and no further."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from relaysim.sim.providers import Custom, Evolution, Slack, Telegram, Twilio, WhatsApp
from relaysim.sim.world.judge.written_order import is_known_later


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
    earlier, later = (SimpleNamespace(sent_at=at, first_start=start) for at, start in zip(written, came, strict=True))
    assert is_known_later(later, earlier, seconds) is known  # type: ignore[arg-type]
    assert not is_known_later(earlier, later, seconds)  # type: ignore[arg-type]


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
