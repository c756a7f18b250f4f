"""Goal: an unchanged web application is judged with its provider's webhooks: slow without dedupe it is unsafe and told why,
and its mended twin is safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_bots import Judge

from relaysim.scenarios.cli import main

pytestmark = pytest.mark.usefixtures("one_session")

SCENARIO = "slow_answers.toml"

SLOW = [("fastapi_whatsapp:app", "whatsapp"), ("starlette_slack:app", "slack"), ("flask_whatsapp:app", "whatsapp")]
MENDED = [
    ("fastapi_whatsapp_mended:app", "whatsapp"),
    ("starlette_slack:mended", "slack"),
    ("flask_whatsapp:mended", "whatsapp"),
]


@pytest.mark.parametrize(("application", "provider"), SLOW)
def test_who_answers_before_acknowledging_answers_twice(judge: Judge, application: str, provider: str) -> None:
    judged = judge(application, SCENARIO, worlds=1, provider=provider)
    judged.assert_breaks("T2")
    assert "replies to messages that had one already" in judged.answer


@pytest.mark.parametrize(("application", "provider"), SLOW[:1])
@pytest.mark.usefixtures("judge")
def test_the_story_says_why(application: str, provider: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", SCENARIO, "--seed", "0", "--app", application, "--provider", provider]) == 0
    story = capsys.readouterr().out
    acknowledged, again = (
        story.index(each) for each in ("was not acknowledged: deadline missed", "c1.m1 again (delivery 2)")
    )
    assert acknowledged < again
    assert "another reply to c1.m1, which had one already" in story


@pytest.mark.parametrize(("application", "provider"), MENDED)
def test_the_mended_twin_is_safe(judge: Judge, application: str, provider: str) -> None:
    judged = judge(application, SCENARIO, provider=provider, worlds=2)
    judged.assert_safe()
    assert judged.count("answered") == 12


def test_a_bot_that_lets_no_webhook_in_is_not_judged(judge: Judge) -> None:
    judged = judge("fastapi_whatsapp:app", SCENARIO, worlds=1, sets=("environment.WHATSAPP_APP_SECRET=another",))
    assert judged.exit_code == 3
    assert "status 403 ended" in judged.answer


def test_a_bot_that_takes_its_own_texts_for_messages_talks_to_itself(judge: Judge) -> None:
    judged = judge("starlette_slack:unfiltered", SCENARIO, worlds=1, provider="slack", sets=("limit_seconds=300",))
    judged.assert_breaks("S13")
    assert judged.count("runs") > 20


def test_who_reads_the_first_message_of_a_request_alone_loses_the_second(judge: Judge) -> None:
    """Two messages of a customer within a second come in one request; the mended bot answers both."""
    together = ("provider.several_share=1.0", "workload.messages=[{at_seconds=0.0}, {at_seconds=1.0}]")
    judged = judge("fastapi_whatsapp_mended:first_only", SCENARIO, worlds=1, provider="whatsapp", sets=together)
    judged.assert_breaks("T1")
    judge("fastapi_whatsapp_mended:app", SCENARIO, worlds=1, provider="whatsapp", sets=together).assert_safe()


def test_a_shipped_scenario_has_requests_with_several_messages(judge: Judge) -> None:
    judged = judge("fastapi_whatsapp_mended:first_only", "rapid_pair", worlds=3, provider="whatsapp")
    judged.assert_breaks("T1")


def test_an_application_with_several_workers_is_judged_in_a_shipped_scenario(judge: Judge) -> None:
    """Rapid messages to four workers, which meet in Redis alone."""
    judge("fastapi_collecting:app", "rapid_pair", provider="whatsapp").assert_safe()


def test_what_a_framework_logs_and_answers_with_500_is_named_with_its_line(judge: Judge) -> None:
    judged = judge("flask_whatsapp:mistaken", SCENARIO, worlds=1, provider="whatsapp")
    lines = Path(__file__).with_name("flask_whatsapp.py").read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if '["entries"]' in line]
    assert judged.exit_code == 3
    assert f"KeyError in flask_whatsapp.py:{number} ended" in judged.answer


def test_an_answer_in_a_response_that_comes_too_late_reaches_nobody(judge: Judge) -> None:
    """Twilio waits for 15 s and does not deliver again; every run here takes 15 s and more. Runs of 8 s are quick enough,
    but for the second customer, who waits for the first where a worker has one thread."""
    judged = judge("flask_twilio:app", SCENARIO, worlds=1, provider="twilio")
    judged.assert_breaks("T1")
    assert judged.count("lost") == 6
    quick = ("profile_overrides.run_seconds=8.0",)
    assert judge("flask_twilio:app", SCENARIO, worlds=1, provider="twilio", sets=quick).count("lost") == 3
    judge("flask_twilio:app", SCENARIO, provider="twilio", sets=(*quick, "workers[0].threads=2")).assert_safe()
    judge("flask_twilio:mended", SCENARIO, provider="twilio").assert_safe()


def test_a_message_whose_webhook_was_refused_was_not_there_when_a_later_one_was_answered(judge: Judge) -> None:
    alone = ("workload.conversations=1", "workload.messages=[{at_seconds=0.0}, {at_seconds=5.0}]")
    apart = (*alone, "provider.several_share=0.0", "provider.repeat_seconds=[60.0]")
    judged = judge("fastapi_whatsapp_mended:busy", SCENARIO, worlds=1, provider="whatsapp", sets=apart)
    judged.assert_safe()
    assert judged.count("answered") == 2
