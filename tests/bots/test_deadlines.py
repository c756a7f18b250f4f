"""Goal: a "Yes" to a bot that answers within its webhook says that nobody has judged a provider's deadline, and how to."""

from __future__ import annotations

import pytest
from judged_bots import Judge

pytestmark = pytest.mark.usefixtures("one_session")

SCENARIO = "one_question.toml"
UNJUDGED = "No provider's deadline was judged"


def test_a_slow_handle_without_a_provider_is_safe_as_far_as_was_judged(judge: Judge) -> None:
    judged = judge("slow_webhook:within", SCENARIO, lane="sdk")
    judged.assert_safe()
    (line,) = (each for each in judged.results["details"] if UNJUDGED in each)
    assert "a `handle` took up to 2" in line
    assert "(whatsapp after 20 s, twilio after 15 s, slack after 3 s)" in line
    assert "--provider" in line


def test_where_webhooks_are_repeated_a_slow_handle_is_no_yes(judge: Judge) -> None:
    """The scenario says that they are, and not how long whoever repeats them waits."""
    repeats = ["workload.redeliver_seconds=3.0"]
    judged = judge("slow_webhook:within", SCENARIO, lane="sdk", sets=repeats)
    assert judged.exit_code == 3
    assert "That is not shown" in judged.answer
    assert "no provider's deadline was judged" in judged.answer
    judge("slow_webhook:afterwards", SCENARIO, lane="sdk", sets=repeats).assert_safe()


def test_with_a_provider_its_deadline_is_judged(judge: Judge) -> None:
    judged = judge("slow_webhook:within", SCENARIO, lane="sdk", provider="slack")
    judged.assert_breaks("S13")
    assert UNJUDGED not in judged.answer
    assert "had one already" in judged.answer


@pytest.mark.parametrize("provider", [None, "slack"])
def test_a_bot_that_acknowledges_first_meets_every_deadline(judge: Judge, provider: str | None) -> None:
    judged = judge("slow_webhook:afterwards", SCENARIO, lane="sdk", provider=provider)
    judged.assert_safe()
    assert UNJUDGED not in judged.answer
